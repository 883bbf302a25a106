/**
 * The kinds of servers a provider can talk to.
 *
 * @module
 */

import { decodeOpenAI, type Listing, LMSTUDIO_LISTINGS } from "../api/models.ts";
import type { ServiceType } from "../core/services.ts";
import type { Dialect } from "./server_models.ts";

const OPENAI_LISTINGS: readonly Listing[] = [{ path: "/v1/models", decode: decodeOpenAI }];

/** LM Studio, with its own listings. */
export const LM_STUDIO: Dialect = {
  service: "LM Studio",
  provider: "lmstudio",
  listings: LMSTUDIO_LISTINGS,
  substitutesModels: true,
};

/** Any server with `/v1`. */
export function openAICompatible(provider: string, service: string): Dialect {
  return { service, provider, listings: OPENAI_LISTINGS, substitutesModels: false };
}

/** By the type that discovery tells. Ollama is only ever asked by its OpenAI-compatible routes. */
export const DIALECTS: Readonly<Record<ServiceType, Dialect>> = {
  lmstudio: LM_STUDIO,
  ollama: openAICompatible("ollama", "Ollama"),
};
