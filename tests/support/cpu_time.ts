import process from "node:process";

/**
 * Milliseconds of CPU time this process has used: bounds on work are held against it, since the clock also runs while
 * other processes have the cores.
 */
export function cpuTimeMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}
