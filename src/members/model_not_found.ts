/**
 * Error for a model that no server has, or no server that lists its models.
 *
 * @module
 */

import { isProviderError, type ModelNotAvailableError, providerError } from "../core/errors.ts";
import { quote } from "../core/fields.ts";
import { nearestNames } from "../core/listed_models.ts";
import type { ServiceInfo } from "../core/services.ts";
import { MAX_AVAILABLE, shownNearest } from "../server/models.ts";
import { DIALECTS } from "../server/server.ts";

/** A server that did not list its models. */
export interface SilentServer {
  readonly service: ServiceInfo;
  readonly error: unknown;
}

/**
 * None of the servers has this model.
 *
 * @param silent those that may have it all the same, but do not tell.
 * @param show shows what a server wrote.
 */
export function modelNotFound(
  action: string,
  model: string,
  services: readonly ServiceInfo[],
  silent: readonly SilentServer[],
  show: (text: string) => string,
): ModelNotAvailableError {
  const speaking = services.filter(({ endpoint }) =>
    silent.every(({ service }) => service.endpoint !== endpoint)
  );
  const tell = silent.length === 0 ? "" : " that tell";
  const rest = silent.map(({ service, error }) =>
    `; ${names([service])} does not tell${isProviderError(error) ? ` (${error.code})` : ""}`
  );
  const available = [...new Set(services.flatMap(({ models }) => models))];
  const near = nearestNames(available, model, MAX_AVAILABLE);
  const nearest = near.length === 0 ? "" : `; ${shownNearest(near, show)}`;
  const first = silent.map(({ error }) => error).find((error) => isProviderError(error));
  const hint =
    "Use an id that `listModels()` gives, or download the model with `lms get <model>` or " +
    "`ollama pull <model>`.";
  return providerError(
    "model_not_found",
    `Cannot ${action}: none of the servers${tell} (${names(speaking)}) has the model ${
      quote(model)
    }` + nearest + rest.join(""),
    {
      model,
      available: available.slice(0, MAX_AVAILABLE).map(show),
      hint: first === undefined ? hint : `${first.hint} ${hint}`,
      cause: first,
    },
  );
}

function names(services: readonly ServiceInfo[]): string {
  return services.map(({ type, endpoint }) => `${DIALECTS[type].service} at ${endpoint}`).join(
    ", ",
  );
}
