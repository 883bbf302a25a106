/** What is published: that JSR accepts it, that npm gets its types, and that none of its links are dead. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { missingDeclarations } from "./runtimes/pack.ts";

const ROOT = new URL("../", import.meta.url);
const ALLOWED =
  /^(mod\.ts|src\/[a-z0-9_/]+\.ts|(docs\/|fixtures\/([a-z]+\/)?)?[\w-]+\.md|docs\/(performance\.svg|browser\.png)|examples\/\w+\.ts|examples\/browser\/\w+\.(ts|html|css)|LICENSE|deno\.json)$/;
const REQUIRED = ["CHANGELOG.md", "LICENSE", "README.md", "deno.json", "mod.ts"];

/** The paths that `deno publish` would include, and its output. */
async function publishDry(): Promise<{ success: boolean; output: string; files: string[] }> {
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["publish", "--dry-run", "--allow-dirty"],
    cwd: ROOT,
    env: { NO_COLOR: "1" },
  }).output();
  const decoder = new TextDecoder();
  const output = decoder.decode(stdout) + decoder.decode(stderr);
  const files = [...output.matchAll(/^\s+(file:\S+) \(/gm)]
    .map(([, url = ""]) => url.replace(ROOT.href, ""));
  return { success, output, files };
}

/** Relative links in Markdown files whose target is not among the files. */
async function deadLinks(files: readonly string[], read: (file: string) => Promise<string>) {
  const dead: string[] = [];
  for (const file of files.filter((file) => file.endsWith(".md"))) {
    for (const [, target = ""] of (await read(file)).matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^(https?:|#)/.test(target)) continue;
      const { pathname } = new URL(target, `file:///${file}`);
      if (!files.includes(pathname.slice(1))) dead.push(`${file}: ${target}`);
    }
  }
  return dead;
}

Deno.test("deno publish includes only the module, and finds no slow types", async () => {
  const { success, output, files } = await publishDry();
  assert(success, output);
  assertEquals(files.filter((file) => !ALLOWED.test(file)), []);
  assertEquals(REQUIRED.filter((file) => !files.includes(file)), []);
});

Deno.test("links in published files lead to published files", async () => {
  const { files } = await publishDry();
  assert(files.includes("docs/errors.md"));
  assertEquals(await deadLinks(files, (file) => Deno.readTextFile(new URL(file, ROOT))), []);
  const text =
    "[a](docs/gone.md) [b](examples/) [c](https://lmstudio.ai) [d](#install) [e](LICENSE)";
  assertEquals(await deadLinks(["README.md", "LICENSE"], () => Promise.resolve(text)), [
    "README.md: docs/gone.md",
    "README.md: examples/",
  ]);
});

Deno.test("deno task pack: one line, and a tarball with every type and every link", async () => {
  const folder = await Deno.makeTempDir({ prefix: "lmstudio-package-" });
  try {
    const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["task", "--quiet", "pack", `${folder}/package.tgz`],
      cwd: ROOT,
      env: { NO_COLOR: "1" },
    }).output();
    const decoder = new TextDecoder();
    assertEquals({ code, errors: decoder.decode(stderr) }, { code: 0, errors: "" });
    assertMatch(decoder.decode(stdout), /^\S+package\.tgz: packed, its types checked\n$/);

    const unpacked = `${folder}/package/`;
    await new Deno.Command("tar", { args: ["-xzf", `${folder}/package.tgz`, "-C", folder] })
      .output();
    const files = await filesBelow(unpacked);
    assert(files.includes("README.md"));
    assertEquals(await deadLinks(files, (file) => Deno.readTextFile(unpacked + file)), []);

    const entries = ["./mod.d.ts", "./src/ai_sdk/mod.d.ts", "./src/testing/mod.d.ts"];
    assertEquals(await missingDeclarations(unpacked, entries), []);
    await Deno.remove(`${unpacked}src/core/types.d.ts`);
    await Deno.remove(`${unpacked}src/testing/mod.d.ts`);
    assertEquals(await missingDeclarations(unpacked, entries), [
      "src/core/types.d.ts",
      "src/testing/mod.d.ts",
    ]);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

async function filesBelow(folder: string, path = ""): Promise<string[]> {
  const files: string[] = [];
  for await (const { name, isDirectory } of Deno.readDir(folder + path)) {
    if (isDirectory) files.push(...await filesBelow(folder, `${path}${name}/`));
    else files.push(path + name);
  }
  return files;
}

Deno.test("every entry point in deno.json is a published file", async () => {
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

Deno.test("workflows: minimal permissions, and no untrusted input or action", async () => {
  const granted: Record<string, string[]> = {};
  for await (const { name } of Deno.readDir(new URL(".github/workflows/", ROOT))) {
    const text = await Deno.readTextFile(new URL(`.github/workflows/${name}`, ROOT));
    // At the top, for all jobs; a job may add one it needs.
    assertMatch(text, /^permissions:\n {2}contents: read\n\n/m, name);
    granted[name] = [...text.matchAll(/^ +([a-z-]+): write\b/gm)].map(([, what = ""]) => what);
    assert(!/pull_request_target|workflow_run|write-all|secrets\./.test(text), name);
    // The shell would run whatever a stranger writes into a title or branch name.
    assert(!/run:.*\$\{\{/.test(text), name);
    const checkouts = text.match(/uses: actions\/checkout@/g) ?? [];
    assertEquals(text.match(/persist-credentials: false/g)?.length, checkouts.length, name);
    assertEquals([...text.matchAll(/uses: (?!actions\/)(.*)/g)].map(([, used]) => used), [], name);
  }
  assertEquals(granted, { "ci.yml": [], "publish.yml": ["id-token"] });
});
