/** How programs are found in other packages' documentation, and the error if one is no longer there. */
import { assertEquals, assertStringIncludes } from "@std/assert";
import { rejection } from "../support/wire.ts";
import { programsOf, runExample } from "./published_examples.ts";

Deno.test("programs: the heading of each, in Markdown and in comments", () => {
  const text = [
    "# One",
    "```bash",
    "# no heading, no program",
    "```",
    "```ts highlight=1",
    "a();",
    "",
    "```",
    "**Two**:",
    "   ```js",
    "   b();",
    "   ```",
    "/**",
    " * <summary><strong>Three</strong></summary>",
    " *",
    " * ```typescript",
    " * if (c) {",
    " *   c();",
    " * }",
    " * ```",
    " */",
  ].join("\n");
  assertEquals(programsOf(text), [
    { under: "One", code: "a();\n" },
    { under: "Two", code: "   b();" },
    { under: "Three", code: "if (c) {\n  c();\n}" },
  ]);
});

Deno.test("programs: for a moved program or file the error says where to look and what to do", async () => {
  const run = (file: string) =>
    rejection(
      runExample({ setup: "ai.ts", package: "ai" }, { blocks: [{ file, under: "Gone" }] }),
    );
  const file = "docs/07-reference/01-ai-sdk-core/02-stream-text.mdx";
  const moved = String(await run(file));
  assertStringIncludes(moved, `Cannot find program 0 under "Gone" of ${file} in ai@`);
  assertStringIncludes(moved, 'programs stand under "`streamText()`"');
  assertStringIncludes(moved, "pin the version before");
  assertStringIncludes(String(await run("docs/gone.mdx")), "there is no such file");
});
