/**
 * Keeps the tables of `docs/assumptions.md` equal to the list in `src/cli/assumptions.ts`: run as a program it rewrites
 * the tables.
 */

import { SECTIONS } from "../../src/cli/assumptions.ts";

const DOCUMENT = new URL("../../docs/assumptions.md", import.meta.url);

/** The list as rows of the document: cells without padding. */
export function listedRows(): string[] {
  return SECTIONS.flatMap(({ title, assumptions }) =>
    assumptions.map(({ text, verdict, evidence, pinned }) =>
      [title, text, verdict, evidence, pinned].join(" | ")
    )
  );
}

/** The rows of the document's tables about the server. */
export function documentedRows(document: string): string[] {
  const titles = new Set(SECTIONS.map(({ title }) => title));
  const rows: string[] = [];
  let title = "";
  for (const line of document.split("\n")) {
    if (line.startsWith("## ")) title = line.slice(3);
    if (!titles.has(title) || !line.startsWith("|") || /^\| (?:-|assumption )/.test(line)) continue;
    const cells = line.split(/(?<!\\)\|/).slice(1, -1).map((cell) => cell.trim());
    rows.push([title, ...cells].join(" | "));
  }
  return rows;
}

/** The document with the list's tables. */
export function withTables(document: string): string {
  let text = document;
  for (const { title, assumptions } of SECTIONS) {
    const rows = assumptions.map(({ text, verdict, evidence, pinned }) =>
      `| ${[text, verdict, evidence, pinned].join(" | ")} |`
    );
    const heading = `## ${title}\n`;
    const start = text.indexOf(heading);
    if (start === -1) {
      throw new Error(`Cannot write the table of "${title}": there is no such section`);
    }
    const end = text.indexOf("\n## ", start + 1);
    const section = text.slice(start, end === -1 ? undefined : end);
    const table = /^(\|.*\|\n\|.*\|)$(?:\n^\|.*\|$)*/m;
    const written = section.replace(table, (_, head: string) => [head, ...rows].join("\n"));
    text = text.slice(0, start) + written + text.slice(end === -1 ? text.length : end);
  }
  return text;
}

if (import.meta.main) {
  await Deno.writeTextFile(DOCUMENT, withTables(await Deno.readTextFile(DOCUMENT)));
  await new Deno.Command(Deno.execPath(), { args: ["fmt", "--quiet", DOCUMENT.pathname] }).output();
}
