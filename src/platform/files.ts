/**
 * Optional files. The user did not ask for them, so a file that is missing or that we may not read causes neither a
 * prompt nor an error.
 *
 * @module
 */

import { readTextFile } from "./environment.ts";
import { builtinModule, isGranted } from "./runtime.ts";

interface FileSystem {
  statSync(path: string): { isDirectory(): boolean; isFile(): boolean };
  readdirSync(path: string): string[];
}

/** The text of a file, if it exists and we may read it without a prompt. */
export function readIfPermitted(path: string): string | undefined {
  const result = mayRead(path) ? readTextFile(path) : undefined;
  return result === undefined || result.problem !== undefined ? undefined : result.text;
}

/** Whether a path is a folder, as far as we may look without a prompt. */
export function isFolder(path: string): boolean {
  return lookAt(path)?.isDirectory() ?? false;
}

/** Whether a path is a file, as far as we may look without a prompt. */
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

/** The sorted names in a folder; empty if we may not read it. */
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
