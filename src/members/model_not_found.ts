/**
 * Error for a model that none of the servers has, as far as they list their models.
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
 * Creates the error for a model that none of the servers has.
 *
 * @param silent servers that did not list their models, so they may have it.
 * @param show makes text from a server safe to show.
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
  const tell = silent.length === 0 ? "" : " that list their models";
  const rest = silent.map(({ service, error }) => {
    const why = isProviderError(error) ? ` (${error.code})` : "";
    return `; ${names([service])} does not list its models${why}`;
  });
  const available = [...new Set(services.flatMap(({ models }) => models))];
  const near = nearestNames(available, model, MAX_AVAILABLE);
  const nearest = near.length === 0 ? "" : `; ${shownNearest(near, show)}`;
  const first = silent.map(({ error }) => error).find((error) => isProviderError(error));
  const hint = "Use an id from `listModels()`, or download the model with `lms get <model>` or " +
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
