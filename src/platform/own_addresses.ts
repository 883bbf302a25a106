/**
 * Network addresses of this machine.
 *
 * @module
 */

import { isLoopback } from "../core/base_url.ts";
import { builtinModule, isGranted } from "./runtime.ts";

interface OperatingSystem {
  networkInterfaces(): Readonly<
    Record<string, readonly { readonly address: string }[] | undefined>
  >;
}

/** Whether a server at this address runs on this machine, as far as we can tell without a prompt. */
export function isOnThisMachine(url: string): boolean {
  if (isLoopback(url)) return true;
  const host = new URL(url).hostname.replace(/^\[(.*)\]$/, "$1");
  return ownAddresses().includes(host);
}

function ownAddresses(): string[] {
  if (!isGranted({ name: "sys", kind: "networkInterfaces" })) return [];
  try {
    const interfaces = builtinModule<OperatingSystem>("node:os")?.networkInterfaces() ?? {};
    return Object.values(interfaces).flatMap((own = []) => own.map(({ address }) => address));
  } catch {
    return [];
  }
}
