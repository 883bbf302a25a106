/**
 * The process's environment, on runtimes that have one.
 *
 * @module
 */

import { globals } from "./runtime.ts";

/**
 * The named variables, and no others. A variable that Deno does not let us read is absent: we ask whether
 * reading is granted first, since reading without it prompts, or throws.
 */
export function readEnvironment(names: readonly string[]): Record<string, string> {
  const values: Record<string, string> = {};
  for (const name of names) {
    const value = readVariable(name);
    if (value !== undefined) values[name] = value;
  }
  return values;
}

function readVariable(name: string): string | undefined {
  const { Deno } = globals();
  try {
    // Only where there is no Deno: there, looking at `process` loads all of its Node layer.
    if (Deno === undefined) return globals().process?.env?.[name];
    const state = Deno.permissions?.querySync?.({ name: "env", variable: name }).state;
    return state === "granted" ? Deno.env?.get(name) : undefined;
  } catch {
    return undefined;
  }
}
