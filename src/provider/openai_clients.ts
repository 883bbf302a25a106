/**
 * What other clients need to talk to the same server.
 *
 * @module
 */

import type { ServerModels } from "../server/server_models.ts";

/** The options of an OpenAI-style client, under the names that most of them use. */
export interface OpenAIClientOptions {
  /** Root of the server's OpenAI-style routes, such as `http://127.0.0.1:1234/v1`. */
  baseURL: string;
  /** The API token, or `"lm-studio"` where there is none: such clients refuse to be without. */
  apiKey: string;
  /**
   * Takes what the global `fetch` takes, for addresses below the server's alone, sends it once, with the provider's
   * token, headers and timers, and answers as the server does. But an error under 200 has the status 400, and a
   * stream that breaks off breaks. Rejects with an error of `AnyProviderError`, or with the `signal.reason`.
   */
  fetch: typeof globalThis.fetch;
}

/** In LM Studio's own examples. */
const PLACEHOLDER_KEY = "lm-studio";

/** The options of a client for this server. */
export function openAIClientOptions({ config, transport }: ServerModels): OpenAIClientOptions {
  const apiKey = config.apiToken ?? PLACEHOLDER_KEY;
  return {
    baseURL: `${config.baseUrl}/v1`,
    apiKey,
    // The placeholder also where a token is: people write it down beside `fetch`.
    fetch: (input, init) => transport.forward([apiKey, PLACEHOLDER_KEY], input, init),
  };
}
