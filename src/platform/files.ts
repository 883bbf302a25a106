/**
 * Files, read at once: constructors cannot wait. Those of the configuration are read only when named, others only
 * where they may be.
 *
 * @module
 */

import { builtinModule, isGranted } from "./runtime.ts";

/** The text of a file, or why there is none and what to do about it. */
export type FileResult =
  | { readonly text: string; readonly problem?: undefined }
  | { readonly problem: string; readonly hint?: string | undefined };

interface FileSystem {
  readFileSync(path: string): Uint8Array;
  statSync(path: string): { isDirectory(): boolean; isFile(): boolean };
  readdirSync(path: string): string[];
}

// --- Named files ------------------------------------------------------------------------------

/** The text of a file that somebody named. */
export function readTextFile(path: string): FileResult {
  const fs = builtinModule<FileSystem>("node:fs");
  if (fs === undefined) {
    return {
      problem: "this runtime has no files",
      hint: "Files need Deno, Bun, or Node 20.16 or later: elsewhere give the values as options.",
    };
  }
  let bytes: Uint8Array;
  try {
    bytes = fs.readFileSync(path);
  } catch (error) {
    return explain(error, path);
  }
  try {
    // Drops a byte order mark, as some editors write it.
    const text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
    // UTF-16 without a mark is UTF-8 full of NULs: read as such, a `.env` file would just be empty.
    if (!text.includes("\0")) return { text };
  } catch {
    // Not UTF-8.
  }
  return { problem: "it is not UTF-8 text", hint: "Save it as UTF-8." };
}

/** The variables of a `.env` text; `undefined` where the runtime cannot parse one. */
export function parseDotenv(text: string): Readonly<Record<string, string>> | undefined {
  return builtinModule<{ parseEnv?(text: string): Record<string, string> }>("node:util")
    ?.parseEnv?.(text);
}

function explain(error: unknown, path: string): FileResult {
  const { name, code } = error as { name?: string; code?: string };
  if (code === "ENOENT") return { problem: "there is no such file" };
  if (code === "EISDIR") return { problem: "it is a folder" };
  if (name === "NotCapable") {
    return { problem: "Deno does not allow it", hint: `Run Deno with \`--allow-read=${path}\`.` };
  }
  if (code === "EACCES" || code === "EPERM" || code === "ERR_ACCESS_DENIED") {
    return { problem: "reading it is not allowed" };
  }
  return { problem: code ?? name ?? "unknown reason" };
}

// --- Files that may be there ------------------------------------------------------------------
// Nobody asked for them, so where they are missing or may not be read there is neither a prompt nor an error.

/** The text of a file, where there is one that may be read without asking. */
export function readIfPermitted(path: string): string | undefined {
  const result = mayRead(path) ? readTextFile(path) : undefined;
  return result === undefined || result.problem !== undefined ? undefined : result.text;
}

/** Whether there is a folder, as far as may be looked without asking. */
export function isFolder(path: string): boolean {
  return lookAt(path)?.isDirectory() ?? false;
}

/** Whether there is a file, as far as may be looked without asking. */
export function isFile(path: string): boolean {
  return lookAt(path)?.isFile() ?? false;
}

function lookAt(path: string): ReturnType<FileSystem["statSync"]> | undefined {
  if (!mayRead(path)) return undefined;
  try {
    return builtinModule<FileSystem>("node:fs")?.statSync(path);
  } catch {
    return undefined;
  }
}

/** The names in a folder, in their order; none where it may not be read. */
export function listFolder(path: string): string[] {
  if (!mayRead(path)) return [];
  try {
    return builtinModule<FileSystem>("node:fs")?.readdirSync(path).sort() ?? [];
  } catch {
    return [];
  }
}

function mayRead(path: string): boolean {
  return isGranted({ name: "read", path });
}
