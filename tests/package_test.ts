/** What is published, and that JSR takes it. */
import { assert, assertEquals } from "@std/assert";

const ROOT = new URL("../", import.meta.url);
const ALLOWED = /^(mod\.ts|src\/[a-z0-9_/]+\.ts|README\.md|LICENSE|CHANGELOG\.md|deno\.json)$/;
const REQUIRED = ["CHANGELOG.md", "LICENSE", "README.md", "deno.json", "mod.ts"];

Deno.test("deno publish takes the module alone, and finds no slow types", async () => {
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["publish", "--dry-run", "--allow-dirty"],
    cwd: ROOT,
    env: { NO_COLOR: "1" },
  }).output();
  const decoder = new TextDecoder();
  const output = decoder.decode(stdout) + decoder.decode(stderr);
  assert(success, output);
  const files = [...output.matchAll(/^\s+(file:\S+) \(/gm)]
    .map(([, url = ""]) => url.replace(ROOT.href, ""));
  assertEquals(files.filter((file) => !ALLOWED.test(file)), []);
  assertEquals(REQUIRED.filter((file) => !files.includes(file)), []);
});

Deno.test("every entry of deno.json is a file that is published", async () => {
  const { exports } = JSON.parse(await Deno.readTextFile(new URL("deno.json", ROOT)));
  for (const file of Object.values<string>(exports)) {
    const path = file.replace("./", "");
    assert(ALLOWED.test(path), path);
    assert((await Deno.stat(new URL(path, ROOT))).isFile, path);
  }
});

Deno.test("deno.json imports no package from npm but zod: Deno would download it with the demo", async () => {
  const { imports } = JSON.parse(await Deno.readTextFile(new URL("deno.json", ROOT)));
  const packages = Object.entries<string>(imports).filter(([, target]) =>
    target.startsWith("npm:")
  );
  assertEquals(packages.map(([name]) => name), ["zod"]);
});
