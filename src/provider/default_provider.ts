/**
 * The provider that the configuration names, else the one that is found.
 *
 * @module
 */

import { configurationError, type LMStudioProviderOptions } from "../core/config.ts";
import type { ServiceType } from "../core/services.ts";
import type { ModelProvider } from "../core/types.ts";
import { describe } from "../core/value_checks.ts";
import { readPreference } from "../discovery/candidates.ts";
import { resolveWithSources } from "../platform/resolve_config.ts";
import { readVariables } from "../platform/variables.ts";
import { LMStudioProvider } from "./lmstudio.ts";
import { LocalProvider } from "./local.ts";
import { finderFor, isAddressGiven, onlyType } from "./server_search.ts";

const VARIABLES = ["PATINOX_MODEL_PROVIDER", "PATINOX_MODEL_DEFAULT", "LOCAL_PROVIDER_PREFERENCE"];

/**
 * The provider this machine is set up for: as `PATINOX_MODEL_PROVIDER` says (`lmstudio`, `ollama` or `local`), else
 * LM Studio at its configured address, else whatever discovery prefers. Only discovery touches the network.
 *
 * @param options as for `new LMStudioProvider()`; `discovery` says how to look for servers.
 * @throws {NetworkError} code `service_not_found`, with what was tried and why each failed.
 * @throws {ConfigurationError} naming the option, variable or file, and the value.
 *
 * @example
 * ```ts
 * import { createDefaultProvider } from "jsr:@patinox/lmstudio";
 *
 * const provider = await createDefaultProvider();
 * console.log(provider.name, (await provider.complete("Say hello.")).content);
 * ```
 */
export async function createDefaultProvider(
  options: LMStudioProviderOptions = {},
): Promise<ModelProvider> {
  const { config } = resolveWithSources(options);
  const variables = readVariables(options, VARIABLES);
  const model = config.model ?? variables.PATINOX_MODEL_DEFAULT;
  const own: LMStudioProviderOptions = model === undefined ? options : { ...options, model };
  const preference = readPreference(variables);
  switch (variables.PATINOX_MODEL_PROVIDER?.toLowerCase()) {
    case "lmstudio":
      return isAddressGiven(own) ? new LMStudioProvider(own) : await LMStudioProvider.discover(own);
    case "ollama":
      return only("ollama", own);
    case "local":
      return new LocalProvider(own);
    case undefined:
      break;
    default:
      throw configurationError(
        `variable PATINOX_MODEL_PROVIDER is ${describe(variables.PATINOX_MODEL_PROVIDER)}, ` +
          "not lmstudio, ollama or local",
        undefined,
        "default",
      );
  }
  if (isAddressGiven(own) && preference !== "ollama") return new LMStudioProvider(own);
  const finder = finderFor(own);
  const { type, endpoint } = await finder.find();
  return type === "lmstudio"
    ? new LMStudioProvider({ ...own, baseUrl: endpoint })
    : only(type, { ...own, discovery: finder });
}

function only(type: ServiceType, options: LMStudioProviderOptions): LocalProvider {
  return new LocalProvider({ ...options, discovery: onlyType(type, finderFor(options)) });
}
