/**
 * Surroundings of the program (runtime, system, container), as far as we can tell without a permission. Read only after
 * a connection has failed, to find the likely cause.
 *
 * @module
 */

import { ADDRESS_VARIABLE, type ConnectionFacts } from "../core/connection_hints.ts";
import { isFile, readIfPermitted } from "./files.ts";
import { globals, isGranted, isNode } from "./runtime.ts";

/** Facts about the runtime and its machine. */
export type Surroundings = Pick<
  ConnectionFacts,
  "runtime" | "platform" | "surroundings" | "isVariableHidden"
>;

/** Access to system files. */
export interface SystemFiles {
  /** The text of a file, if it exists and we may read it. */
  readonly read: (path: string) => string | undefined;
  /** Whether a path is a file, as far as we may look. */
  readonly isFile: (path: string) => boolean;
}

const PLATFORMS: Readonly<Record<string, Surroundings["platform"]>> = {
  linux: "linux",
  android: "linux",
  darwin: "macos",
  win32: "windows",
  windows: "windows",
};

/** Marker files of container engines: Docker, Podman. */
const CONTAINER_FILES = ["/.dockerenv", "/run/.containerenv"];
/** Matches the names of a container's control groups, on kernels that still show them. */
const CONTAINER_GROUP = /docker|containerd|kubepods|libpod|lxc/;

/** Reads the surroundings. */
export function readSurroundings(
  files: SystemFiles = { read: readIfPermitted, isFile: isFile },
): Surroundings {
  const platform = platformOf();
  return {
    runtime: runtimeOf(),
    platform,
    surroundings: surroundingsOf(platform, files),
    isVariableHidden: !isGranted({ name: "env", variable: ADDRESS_VARIABLE }),
  };
}

function surroundingsOf(
  platform: Surroundings["platform"],
  { read, isFile }: SystemFiles,
): Surroundings["surroundings"] {
  // Only Linux has these files; on Windows, their paths would be looked up on the current drive.
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
  // On Deno, reading `process` loads its whole Node layer.
  const name = Deno === undefined ? process?.platform : Deno.build?.os;
  return PLATFORMS[name ?? ""];
}
