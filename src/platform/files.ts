/**
 * The two files of the configuration, read only when named.
 *
 * @module
 */

import { builtinModule } from "./runtime.ts";

/** The text of a file, or why there is none. */
export type FileResult =
  | { readonly text: string; readonly problem?: undefined }
  | { readonly problem: string };

/** Reads a file at once: constructors cannot wait. */
export function readTextFile(path: string): FileResult {
  const fs = builtinModule<{ readFileSync(path: string, encoding: "utf8"): string }>("node:fs");
  if (fs === undefined) return { problem: "cannot be read: this runtime has no files" };
  try {
    // A byte order mark, as some editors write it, is not part of the text.
    return { text: fs.readFileSync(path, "utf8").replace(/^\uFEFF/, "") };
  } catch (error) {
    return { problem: `cannot be read: ${reason(error)}` };
  }
}

/** The variables of a `.env` text; `undefined` where the runtime cannot parse one. */
export function parseDotenv(text: string): Readonly<Record<string, string>> | undefined {
  return builtinModule<{ parseEnv?(text: string): Record<string, string> }>("node:util")
    ?.parseEnv?.(text);
}

function reason(error: unknown): string {
  const { name, code } = error as { name?: string; code?: string };
  if (code === "ENOENT") return "there is no such file";
  if (code === "EISDIR") return "it is a folder";
  if (name === "NotCapable" || code === "EACCES" || code === "ERR_ACCESS_DENIED") {
    return "reading it is not allowed (in Deno, allow it with `--allow-read`)";
  }
  return code ?? name ?? "unknown reason";
}
