/** What the faults come to, as Markdown: rows that follow from `faults.mjs` alone. */
import { concerns, FAULTS } from "./faults.mjs";
import { METHODS } from "./methods.mjs";

/** How the kinds of methods are called there. */
const KINDS = {
  read: "reads",
  question: "questions",
  stateless: "generation",
  stream: "streams",
  stateful: "stateful calls",
  "stateful stream": "stateful streams",
  repeatable: "`models.unload`",
  client: "clients",
  "streaming client": "streaming clients",
};
const RUNTIMES = { deno: "Deno", node: "Node", bun: "Bun" };
/** How outcomes are called there. */
const WORDS = { right: "correct", "as it came": "as received" };

/** The methods of each kind. */
export function kindsTable() {
  const rows = Object.entries(KINDS).filter(([kind]) => kind !== "repeatable").map(
    ([kind, name]) => {
      const names = Object.entries(METHODS)
        .filter(([, method]) => method.kind === kind)
        .map(([method]) => `\`${method}\``);
      return [name, names.join(", ")];
    },
  );
  return table(["kind", "methods"], rows);
}

/** What each kind of method makes of each fault, and what is otherwise on a runtime. */
export function faultsTable() {
  const rows = [];
  const exceptions = [];
  for (const [name, fault] of Object.entries(FAULTS)) {
    rows.push([name, fault.says, outcomes(fault.expected, fault)]);
    for (const [runtime, expected] of Object.entries(fault.on ?? {})) {
      exceptions.push([name, RUNTIMES[runtime], outcomes(expected, fault)]);
    }
  }
  return `${table(["fault", "on the wire", "result"], rows)}

${table(["fault", "except on", "result"], exceptions)}`;
}

/** A table, as the formatter would write it. */
export function table(head, rows) {
  const all = [head, ...rows];
  const widths = head.map((_, i) => Math.max(3, ...all.map((row) => [...String(row[i])].length)));
  const line = (cells, fill = " ") =>
    `| ${cells.map((cell, i) => String(cell).padEnd(widths[i], fill)).join(" | ")} |`;
  return [line(head), line(head.map(() => ""), "-"), ...rows.map((row) => line(row))].join("\n");
}

/** Such as "reads `connection_reset` ×2, all others `connection_reset`". */
function outcomes(expected, fault) {
  const { "*": others, ...special } = expected;
  const byOutcome = new Map();
  for (const [who, outcome] of Object.entries(special)) {
    if (who in KINDS && !concerns(fault, who)) continue;
    byOutcome.set(outcome, [...byOutcome.get(outcome) ?? [], KINDS[who] ?? `\`${who}\``]);
  }
  const parts = [...byOutcome].map(([outcome, names]) => `${names.join(", ")}: ${shown(outcome)}`);
  if (others !== undefined) {
    const who = parts.length > 0 ? "all others" : fault.isOfStreams ? "streams" : "all";
    parts.push(`${who}: ${shown(others)}`);
  }
  return parts.join("; ");
}

function shown(outcome) {
  return outcome.split(" | ").map((one) => {
    const [what, times] = one.split(" ×");
    const isCode = what.includes("/") || what === "false";
    const word = isCode ? `\`${what.split("/").at(-1)}\`` : WORDS[what] ?? what;
    return times === undefined ? word : `${word} ×${times}`;
  }).join(" or ");
}
