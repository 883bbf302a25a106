/**
 * Search for LM Studio at other addresses of this machine, once a call was refused: its port was changed, or another one
 * was meant.
 *
 * @module
 */

import { readEnvironment } from "../platform/environment.ts";
import { acceptsConnections } from "../platform/network.ts";
import { isGranted } from "../platform/runtime.ts";
import { listenToAbort, startTimer } from "../transport/timers.ts";
import { localCandidates } from "./candidates.ts";
import { probeService } from "./probes.ts";

/** Limit of all probes together: an error must not be late for a hint. */
const LOOK_MS = 300;

/**
 * The address of this machine where LM Studio answers, if it does at the same port, the usual one or one that its
 * own files name. Nothing secret is sent, and nothing is asked that would need a permission.
 *
 * @param env used instead of the process's environment.
 */
export async function findElsewhere(
  baseUrl: string,
  signal: AbortSignal,
  env: Readonly<Record<string, string | undefined>> | undefined,
): Promise<string | undefined> {
  const { port } = new URL(baseUrl);
  const known = localCandidates(env ?? readEnvironment(["HOME", "USERPROFILE"]));
  const endpoints = new Set([`http://127.0.0.1:${port || 80}`, ...known]);
  const controller = new AbortController();
  const stopListening = listenToAbort(signal, () => controller.abort());
  const stopTimer = startTimer(LOOK_MS, () => controller.abort());
  const look = async (endpoint: string): Promise<string> => {
    // Without a server there `fetch` is not asked: it may be a mock that counts.
    const isTaken = await acceptsConnections(endpoint, LOOK_MS, controller.signal);
    if (isTaken !== true) throw new Error("nobody there");
    const options = { timeoutMs: LOOK_MS, signal: controller.signal, env };
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
