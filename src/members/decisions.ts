/**
 * Implementation of `decide`: through `/v1/decisions` or `/v1/systemone`, whichever the server has.
 *
 * @module
 */

import { decisionRoute, DECISIONS, type DecisionSpelling, SYSTEM_ONE } from "../api/decisions.ts";
import { checkCallOptions } from "../core/checks.ts";
import type { DecisionRequest, DecisionResponse } from "../core/decisions.ts";
import { isProviderError, providerError } from "../core/errors.ts";
import type { CallOptions, ModelInfo } from "../core/types.ts";
import { call } from "../server/calls.ts";
import { shownIds, shownNames } from "../server/models.ts";
import type { Server } from "../server/server.ts";

const VERB = "decide";
/** An assumption: the documentation does not say which LM Studio version introduced the route. */
const UPDATE =
  "Update the server: the newest versions of LM Studio have `/v1/decisions`; Ollama has `/v1/systemone` since 0.35.";
/** Statuses that mean a missing route if the server's message does not say so. */
const NO_ROUTE: ReadonlySet<number> = new Set([404, 405, 501]);
const MISSING_CODES: ReadonlySet<string> = new Set([
  "unexpected_endpoint",
  "unsupported_by_server",
  "not_lm_studio",
  "invalid_request",
]);

/**
 * The spelling that each server accepted last, which is tried first. The transport does not remember that one of these
 * routes is missing: it does so only for routes whose first LM Studio version is known, and for 30 s.
 */
const preferred = new WeakMap<Server, DecisionSpelling>();

/** Implements `LMStudioProvider.decide`. */
export async function decide(
  server: Server,
  request: DecisionRequest,
  options: CallOptions | undefined,
): Promise<DecisionResponse> {
  const startedAt = performance.now();
  const checked = checkCallOptions(options, server.refusalMaker(VERB));
  const ask = async (
    spelling: DecisionSpelling,
    own: CallOptions = checked,
  ): Promise<DecisionResponse> => {
    const response = await call(server, decisionRoute(spelling), VERB, request, own);
    preferred.set(server, spelling);
    return response;
  };
  try {
    const first = preferred.get(server) ?? DECISIONS;
    try {
      return await ask(first);
    } catch (error) {
      if (!isRouteMissing(error)) throw error;
      const other = first === DECISIONS ? SYSTEM_ONE : DECISIONS;
      return await ask(other, server.remaining(checked, startedAt));
    }
  } catch (error) {
    if (isRouteMissing(error)) throw unsupported(error);
    throw await explain(server, error, request, checked);
  }
}

/** Whether an error means that the server lacks the route, however the server puts it. */
function isRouteMissing(error: unknown): boolean {
  if (!isProviderError(error) || !MISSING_CODES.has(error.code)) return false;
  return error.code === "unexpected_endpoint" || error.code === "unsupported_by_server" ||
    NO_ROUTE.has(error.status ?? 0);
}

function unsupported(cause: unknown): unknown {
  if (!isProviderError(cause)) return cause;
  const { service, endpoint, status, attempts } = cause;
  return providerError(
    "unsupported_by_server",
    `Cannot ${VERB}: the server has no route for decisions`,
    { service, endpoint, status, attempts, hint: UPDATE, cause },
  );
}

/** Explains an error with the listing: how a chat model rejects such questions is not documented. */
async function explain(
  server: Server,
  error: unknown,
  request: DecisionRequest,
  options: CallOptions,
): Promise<unknown> {
  const isAnswer = isProviderError(error) && error.status !== undefined &&
    error.kind !== "authentication" && error.kind !== "rate-limited" && error.kind !== "parse";
  if (!isAnswer) return error;
  // Safe to read unchecked: the server answered, so the request passed the checks.
  const { model = server.config.decisionModel } = request;
  if (model === undefined) return error;
  const listed = await server.find(model, options, VERB);
  if (listed === undefined || listed.loaded === undefined || listed.type === "decision") {
    return error;
  }
  const { service, endpoint, status, attempts } = error;
  const models = await listingFor(server, options);
  const deciders = models.filter(({ type }) => type === "decision");
  const show = server.words(options);
  const names = shownNames(deciders.map(({ id }) => id), show);
  return providerError(
    "wrong_model_type",
    `Cannot ${VERB}: the model is listed as ${listed.type}, not as a decision model`,
    {
      service,
      endpoint,
      status,
      attempts,
      model,
      available: shownIds(deciders, show),
      hint: deciders.length === 0
        ? "Download a decision model and name it in the request."
        : `Name a decision model in the request: ${names}.`,
      cause: error,
    },
  );
}

/** Lists the models to name in an error; empty if the listing fails, since the error is useful without it. */
async function listingFor(server: Server, options: CallOptions): Promise<readonly ModelInfo[]> {
  try {
    return await server.listTogether(options, VERB);
  } catch (error) {
    options.signal?.throwIfAborted();
    if (isProviderError(error)) return [];
    throw error;
  }
}
