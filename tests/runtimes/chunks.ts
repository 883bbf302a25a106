/** Bundles for browsers, and their sizes. */
import { gzipSync } from "node:zlib";
import { type Outcome, run } from "./command.ts";

/** The chunks of a bundle, by how they are loaded. */
export interface Chunks {
  /** Chunks that the entry imports statically, itself included. */
  atStart: string;
  /** Chunks loaded on first use. */
  later: string;
}

interface Entry {
  /** The folder that imports are resolved from. */
  cwd: string;
  /** File name without the folder. */
  file: string;
  outdir: string;
  flags?: readonly string[];
}

export function bundle(entry: Entry): Promise<Outcome> {
  return bundleWith(entry, ["--code-splitting"]);
}

/** Into one file, as service workers need: `import()` is not allowed there. */
export function bundleIntoOne(entry: Entry): Promise<Outcome> {
  return bundleWith(entry, ["--format", "iife"]);
}

function bundleWith(
  { cwd, file, outdir, flags = [] }: Entry,
  way: readonly string[],
): Promise<Outcome> {
  const options = ["--quiet", "--platform", "browser", ...way, "--outdir", outdir];
  return run([Deno.execPath(), "bundle", ...flags, ...options, file], { cwd });
}

/** Reads the output of `bundle()`. */
export async function readChunks({ file, outdir }: Entry): Promise<Chunks> {
  const entry = file.replace(/\.\w+$/, ".js");
  const files = new Map<string, string>();
  for await (const { name } of Deno.readDir(outdir)) {
    files.set(name, await Deno.readTextFile(`${outdir}/${name}`));
  }
  const start = new Set([entry]);
  // Iterating a set includes entries added during the iteration.
  for (const name of start) {
    const text = files.get(name);
    if (text === undefined) throw new Error(`Cannot find ${name} of the bundle in ${outdir}`);
    for (const [, file = ""] of text.matchAll(/\b(?:from|import)\s*["']\.\/([^"']+)["']/g)) {
      start.add(file);
    }
  }
  const join = (isWanted: boolean): string =>
    [...files].filter(([name]) => start.has(name) === isWanted).map(([, text]) => text).join("");
  return { atStart: join(true), later: join(false) };
}

/** In kB (1000 bytes), with one decimal. */
export function kilobytes(bytes: Uint8Array | string): number {
  const { length } = typeof bytes === "string" ? new TextEncoder().encode(bytes) : bytes;
  return Math.round(length / 100) / 10;
}

/** Size in kB as sent by a server that compresses in advance. */
export function gzipKilobytes(text: string): number {
  return kilobytes(gzipSync(text, { level: 9 }));
}
