/**
 * `decide`: by `/v1/decisions`, else by `/v1/systemone`.
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
/** Assumed: the documentation names no release. */
const UPDATE =
  "Update LM Studio: its newest versions answer `/v1/decisions`. Ollama does `/v1/systemone` from 0.35 on.";
/** Statuses of a route that is not there, where the server has no words for it. */
const NO_ROUTE: ReadonlySet<number> = new Set([404, 405, 501]);
const MISSING_CODES: ReadonlySet<string> = new Set([
  "unexpected_endpoint",
  "unsupported_by_server",
  "not_lm_studio",
  "invalid_request",
]);

/** The spelling a server was seen to know. */
const known = new WeakMap<Server, DecisionSpelling>();

/** As `LMStudioProvider.decide`. */
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
    known.set(server, spelling);
    return response;
  };
  try {
    const spelling = known.get(server);
    if (spelling !== undefined) return await ask(spelling);
    try {
      return await ask(DECISIONS);
    } catch (error) {
      if (!isRouteMissing(error)) throw error;
      return await ask(SYSTEM_ONE, server.remaining(checked, startedAt));
    }
  } catch (error) {
    if (isRouteMissing(error)) throw unsupported(error);
    throw await explain(server, error, request, checked);
  }
}

/** Whether a server does not have the route, whatever it says instead. */
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

/** A chat model refuses such questions in words that nobody has published: the listing tells that it is one. */
async function explain(
  server: Server,
  error: unknown,
  request: DecisionRequest,
  options: CallOptions,
): Promise<unknown> {
  const isAnswer = isProviderError(error) && error.status !== undefined &&
    error.kind !== "authentication" && error.kind !== "rate-limited" && error.kind !== "parse";
  if (!isAnswer) return error;
  // Read now: an answer means that the request was one.
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
        ? "Download a decision model and name it."
        : `Name a decision model: ${names}.`,
      cause: error,
    },
  );
}

/** A listing for what an error says: without one, empty, the error is told all the same. */
async function listingFor(server: Server, options: CallOptions): Promise<readonly ModelInfo[]> {
  try {
    return await server.listTogether(options, VERB);
  } catch (error) {
    options.signal?.throwIfAborted();
    if (isProviderError(error)) return [];
    throw error;
  }
}
