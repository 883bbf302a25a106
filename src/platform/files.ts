/**
 * Files that may be there. Nobody asked for them, so where they are missing or may not be read there is neither a prompt
 * nor an error.
 *
 * @module
 */

import { readTextFile } from "./environment.ts";
import { builtinModule, isGranted } from "./runtime.ts";

interface FileSystem {
  statSync(path: string): { isDirectory(): boolean; isFile(): boolean };
  readdirSync(path: string): string[];
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
