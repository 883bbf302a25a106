/**
 * Surroundings of the program: runtime, system, container, as far as they can be known without a permission. Read only
 * once a connection has failed, to tell causes apart.
 *
 * @module
 */

import type { ConnectionFacts } from "../core/connection_hints.ts";
import { isFile, readIfPermitted } from "./files.ts";
import { globals, isNode } from "./runtime.ts";

/** Facts about the runtime and its machine. */
export type Surroundings = Pick<ConnectionFacts, "runtime" | "platform" | "surroundings">;

/** Access to files of the system. */
export interface SystemFiles {
  /** The text of a file that may be read. */
  readonly read: (path: string) => string | undefined;
  /** Whether there is a file, as far as may be looked. */
  readonly isFile: (path: string) => boolean;
}

const PLATFORMS: Readonly<Record<string, Surroundings["platform"]>> = {
  linux: "linux",
  android: "linux",
  darwin: "macos",
  win32: "windows",
  windows: "windows",
};

/** Files that container engines put at these places: Docker, Podman. */
const CONTAINER_FILES = ["/.dockerenv", "/run/.containerenv"];
/** In the names of a container's control groups, where the kernel still shows them. */
const CONTAINER_GROUP = /docker|containerd|kubepods|libpod|lxc/;

/** Reads the surroundings. */
export function readSurroundings(
  files: SystemFiles = { read: readIfPermitted, isFile: isFile },
): Surroundings {
  const platform = platformOf();
  return { runtime: runtimeOf(), platform, surroundings: surroundingsOf(platform, files) };
}

function surroundingsOf(
  platform: Surroundings["platform"],
  { read, isFile }: SystemFiles,
): Surroundings["surroundings"] {
  // Nowhere else are there such files; a path of theirs on Windows would be looked for on the current drive.
  if (platform !== "linux") return undefined;
  if (CONTAINER_FILES.some(isFile)) return "container";
  if (CONTAINER_GROUP.test(read("/proc/1/cgroup") ?? "")) return "container";
  return /microsoft|wsl/i.test(read("/proc/version") ?? "") ? "wsl" : undefined;
}

function runtimeOf(): Surroundings["runtime"] {
  const { Deno, Bun } = globals();
  if (Deno !== undefined) return "deno";
  if (Bun !== undefined) return "bun";
  return isNode() ? "node" : undefined;
}

function platformOf(): Surroundings["platform"] {
  const { Deno, process } = globals();
  // In Deno, looking at `process` loads all of its Node layer.
  const name = Deno === undefined ? process?.platform : Deno.build?.os;
  return PLATFORMS[name ?? ""];
}
