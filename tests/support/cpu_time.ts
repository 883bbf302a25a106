import process from "node:process";

/**
 * Milliseconds of CPU time that this process has used. Limits on work are compared with CPU time, since the clock also
 * runs while other processes use the cores.
 */
export function cpuTimeMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}
