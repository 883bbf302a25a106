/**
 * The provider that the configuration names, else the one that is found.
 *
 * @module
 */

import type { LMStudioProviderOptions } from "../core/config.ts";
import { fromCaller } from "../core/errors.ts";
import type { ServiceType } from "../core/services.ts";
import type { ModelProvider } from "../core/types.ts";
import { readPreference } from "../discovery/candidates.ts";
import { readVariables, resolveWithSources } from "../platform/environment.ts";
import { lmstudioAt, LMStudioProvider } from "./lmstudio.ts";
import { LocalProvider } from "./local.ts";
import {
  finderFor,
  FRAMEWORK_VARIABLES,
  isAddressGiven,
  namedProvider,
  onlyType,
  PROVIDER_VARIABLES,
} from "./server_search.ts";

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
  return await fromCaller(async () => {
    const { model } = resolveWithSources(options, undefined, FRAMEWORK_VARIABLES).config;
    const variables = readVariables(options, PROVIDER_VARIABLES);
    // The framework's own variable is read by no provider but the local one, so it is handed on.
    const isFrameworks = model !== resolveWithSources(options).config.model;
    const own = isFrameworks ? { ...options, model } : options;
    const preference = readPreference(variables);
    switch (namedProvider(variables)) {
      case "lmstudio":
        return isAddressGiven(own)
          ? new LMStudioProvider(own)
          : await LMStudioProvider.discover(own);
      case "ollama":
        return only("ollama", own);
      case "local":
        return new LocalProvider(own);
      case undefined:
        break;
    }
    if (isAddressGiven(own) && preference !== "ollama") return new LMStudioProvider(own);
    const finder = finderFor(own);
    const { type, endpoint } = await finder.find();
    return type === "lmstudio"
      ? lmstudioAt(endpoint, own)
      : only(type, { ...own, discovery: finder });
  });
}

function only(type: ServiceType, options: LMStudioProviderOptions): LocalProvider {
  return new LocalProvider({ ...options, discovery: onlyType(type, finderFor(options)) });
}
