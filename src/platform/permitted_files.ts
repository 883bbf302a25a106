/**
 * Files that may be there and may be read, and are passed over where they are not: nobody asked for them,
 * so there must be neither a prompt nor an error.
 *
 * @module
 */

import { readTextFile } from "./files.ts";
import { builtinModule } from "./runtime.ts";

interface FileSystem {
  statSync(path: string): { isDirectory(): boolean; isFile(): boolean };
  readdirSync(path: string): string[];
}

interface DenoPermissions {
  readonly Deno?: {
    readonly permissions?: {
      querySync?(descriptor: { name: "read"; path: string }): { readonly state: string };
    };
  };
}

/** The text of a file, where there is one that may be read without asking. */
export function readIfPermitted(path: string): string | undefined {
  const result = mayRead(path) ? readTextFile(path) : undefined;
  return result === undefined || result.problem !== undefined ? undefined : result.text;
}

/** Whether there is a folder, as far as may be looked without asking. */
export function isFolder(path: string): boolean {
  return lookAt(path)?.isDirectory() ?? false;
}

/** The same of a file. */
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

/** Deno asks on the terminal, or throws, where a path is read that was not granted. */
function mayRead(path: string): boolean {
  const { Deno } = globalThis as unknown as DenoPermissions;
  if (Deno === undefined) return true;
  try {
    return Deno.permissions?.querySync?.({ name: "read", path }).state === "granted";
  } catch {
    return false;
  }
}
