/** The matrix on this runtime, for `run.ts`: prints its cells as JSON. The argument selects them. */
import process from "node:process";
import { runCells } from "./cells.mjs";

const results = await runCells(JSON.parse(process.argv[2] ?? "{}"));
console.log(JSON.stringify(results));
