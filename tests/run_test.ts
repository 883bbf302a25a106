/** Running all test files, each in its own process, several at a time. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { runTestFiles, testFilesOf } from "./support/test_files.ts";

const GREEN = `Deno.test("adds", async (t) => { await t.step("twice", () => {}); });`;
const RED = `
Deno.test("holds", () => {});
Deno.test("breaks", () => { throw new Error("one is not two"); });`;
const HANGING = `Deno.test("waits", () => new Promise((done) => setTimeout(done, 60_000)));`;

async function runOf(files: Record<string, string>, limitMs = 30_000) {
  const folder = await Deno.makeTempDir();
  try {
    for (const [name, text] of Object.entries(files)) {
      await Deno.writeTextFile(`${folder}/${name}`, text);
    }
    const printed: string[] = [];
    const code = await runTestFiles({
      root: new URL(`file://${folder}/`),
      files: Object.keys(files),
      flags: ["--no-check"],
      limitMs,
      workers: 2,
      print: (text) => printed.push(text),
    });
    return { code, text: printed.join("") };
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("all files pass: their names, and one line of totals", async () => {
  const { code, text } = await runOf({ "a_test.ts": GREEN, "b_test.ts": GREEN });
  assertEquals(code, 0);
  assert(
    /^(a 1, b 1|b 1, a 1)\n\nok \| 2 passed \(2 steps\) \| 0 failed \(\d+s\)\n$/.test(text),
    text,
  );
});

Deno.test("a file that fails: its full output, the totals, and what failed", async () => {
  const { code, text } = await runOf({ "a_test.ts": GREEN, "b_test.ts": RED });
  assertEquals(code, 1);
  assertStringIncludes(text, "one is not two");
  assertStringIncludes(text, "FAILED | 2 passed (1 step) | 1 failed");
  assertStringIncludes(text, "Failed: b_test.ts");
});

Deno.test("a file that cannot run: its output, and a failure even though no test failed", async () => {
  const { code, text } = await runOf({ "a_test.ts": GREEN, "b_test.ts": `import "./none.ts";` });
  assertEquals(code, 1);
  assertStringIncludes(text, "none.ts");
  assertStringIncludes(text, "FAILED | 1 passed (1 step) | 1 failed");
});

Deno.test("a file that hangs is stopped and named", async () => {
  const { code, text } = await runOf({ "a_test.ts": GREEN, "b_test.ts": HANGING }, 3_000);
  assertEquals(code, 1);
  assertStringIncludes(text, "b_test.ts: still running after 3 s");
  assertStringIncludes(text, "FAILED | 1 passed (1 step) | 1 failed");
});

Deno.test("the files are every test of the repository that deno.json does not exclude", async () => {
  const folder = await Deno.makeTempDir();
  try {
    for (const path of ["tests/left", "tests/deep", "node_modules/p", ".git"]) {
      await Deno.mkdir(`${folder}/${path}`, { recursive: true });
    }
    const paths = ["a_test.ts", "tests/b_test.ts", "tests/deep/c_test.ts"];
    const others = [
      "tests/left/d_test.ts",
      "node_modules/p/e_test.ts",
      ".git/f_test.ts",
      "test.ts",
    ];
    for (const path of [...paths, ...others]) await Deno.writeTextFile(`${folder}/${path}`, "");
    assertEquals(await testFilesOf(new URL(`file://${folder}/`), ["tests/left/"]), paths);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
