/**
 * Search for LM Studio at other addresses on this machine after a connection was refused, because its port may have
 * changed or the address may be wrong.
 *
 * @module
 */

import { readEnvironment } from "../platform/environment.ts";
import { acceptsConnections } from "../platform/network.ts";
import { isGranted } from "../platform/runtime.ts";
import { listenToAbort, startTimer } from "../transport/timers.ts";
import { localCandidates } from "./candidates.ts";
import { probeService } from "./probes.ts";

/** Timeout for all probes together, unless the caller can wait longer: a hint must not delay the error. */
const LOOK_MS = 300;

/**
 * Returns an address on this machine at which LM Studio answers, if it does so on the same port, the default port or
 * one that its own files name. Sends no secrets, and does nothing that would prompt for a permission.
 *
 * @param env used instead of the process's environment.
 * @param lookMs timeout for all probes together.
 */
export async function findElsewhere(
  baseUrl: string,
  signal: AbortSignal,
  env: Readonly<Record<string, string | undefined>> | undefined,
  lookMs: number = LOOK_MS,
): Promise<string | undefined> {
  const { port } = new URL(baseUrl);
  const known = localCandidates(env ?? readEnvironment(["HOME", "USERPROFILE"]));
  const endpoints = new Set([`http://127.0.0.1:${port || 80}`, ...known]);
  const controller = new AbortController();
  const stopListening = listenToAbort(signal, () => controller.abort());
  const stopTimer = startTimer(lookMs, () => controller.abort());
  const look = async (endpoint: string): Promise<string> => {
    // Connect first, so that `fetch` is not called for nothing: it may be a mock that counts calls.
    const isTaken = await acceptsConnections(endpoint, lookMs, controller.signal);
    if (isTaken !== true) throw new Error("nobody there");
    const options = { timeoutMs: lookMs, signal: controller.signal, env };
    await probeService({ type: "lmstudio", endpoint }, options);
    return endpoint;
  };
  const looks = [...endpoints]
    .filter((endpoint) => endpoint !== baseUrl && mayConnect(endpoint)).map(look);
  try {
    return await Promise.any(looks);
  } catch {
    return undefined;
  } finally {
    stopTimer();
    stopListening();
    controller.abort();
    await Promise.allSettled(looks);
  }
}

/** Whether a connection may be made without asking for a permission. */
function mayConnect(url: string): boolean {
  const { hostname, port, protocol } = new URL(url);
  return isGranted({
    name: "net",
    host: `${hostname}:${port || (protocol === "https:" ? 443 : 80)}`,
  });
}
