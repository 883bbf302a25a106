/**
 * Configuration for a server that discovery found. Any local program can answer like LM Studio, so the API token and
 * headers go only to the server they are meant for.
 *
 * @module
 */

import {
  type ConfigEntry,
  freezeWithoutSecrets,
  isSet,
  type ResolvedCascade,
  type ResolvedConfig,
  SECRET_KEYS,
} from "../core/config.ts";
import { isOnThisMachine } from "../platform/own_addresses.ts";

/**
 * Adapts a configuration to another address. If an address is configured, secrets go only to its origin, whatever source
 * each of them comes from; otherwise they go only to servers on this machine.
 */
export function cascadeAt(cascade: ResolvedCascade, endpoint: string): ResolvedCascade {
  const { config, entries } = cascade;
  const isConfigured = isSet(cascade, "baseUrl");
  if (isConfigured && config.baseUrl === endpoint) return cascade;
  const mayHaveSecrets = isConfigured
    ? new URL(config.baseUrl).origin === new URL(endpoint).origin
    : isOnThisMachine(endpoint);
  const values: Record<string, unknown> = { ...config, baseUrl: endpoint };
  if (!mayHaveSecrets) { for (const key of SECRET_KEYS) delete values[key]; }
  const { headers = Object.freeze({}) } = values;
  return {
    config: freezeWithoutSecrets<ResolvedConfig>({ ...values, headers }),
    entries: entries.map((entry): ConfigEntry => {
      const { key } = entry;
      if (key === "baseUrl") return { key, value: endpoint, source: "option" };
      if (mayHaveSecrets || !SECRET_KEYS.has(key)) return entry;
      return { key, value: key === "headers" ? headers : undefined, source: "default" };
    }),
    ...(mayHaveSecrets || config.apiToken === undefined ? {} : {
      unauthorizedHint: `The API token is meant for ${
        isConfigured ? config.baseUrl : "servers on this machine"
      } and is not sent elsewhere: set \`baseUrl\` to this server's address, with its own token.`,
    }),
  };
}
