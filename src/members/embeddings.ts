/**
 * Embedding of many texts in batches, with their order kept.
 *
 * @module
 */

import { addUsage } from "../api/usage.ts";
import { EMBEDDINGS } from "../api/embeddings.ts";
import { isProviderError, type ParseError, providerError } from "../core/errors.ts";
import { quote } from "../core/fields.ts";
import { importOnUse } from "../core/import_on_use.ts";
import { isSameModel } from "../core/model_names.ts";
import type {
  CallOptions,
  EmbeddingRequest,
  EmbeddingResponse,
  EmbeddingWarning,
} from "../core/types.ts";
import { listenToAbort } from "../transport/timers.ts";
import { ask, prepare, type PreparedCall } from "../server/calls.ts";
import { isTakenForLLM, TAKEN_FOR_LLM, USE_EMBEDDING_MODEL } from "../server/models.ts";
import type { Server } from "../server/server.ts";

const VERB = "embed";
const DEFAULT_BATCH_SIZE = 64;
/** Limit per request: a request of whole books would be silent for long, and a failure would lose all of them. */
const MAX_BATCH_LENGTH = 1024 * 1024;
/** No text has more tokens per character than this. Texts that are short enough are not counted. */
const MOST_TOKENS_PER_CHARACTER = 2;

type PreparedEmbedding = PreparedCall<EmbeddingRequest, EmbeddingResponse>;

/** Implements `ModelProvider.embed`. */
export async function embed(
  server: Server,
  input: EmbeddingRequest,
  options: CallOptions | undefined,
): Promise<EmbeddingResponse> {
  const prepared = await prepare(server, EMBEDDINGS, VERB, input, options);
  const { request, model, action, startedAt, options: checked } = prepared;
  const texts = typeof request.input === "string" ? [request.input] : request.input;
  const warnings = await lengthWarnings(server, model, texts);
  const known = new Set<string>();
  const onBatch = async (response: EmbeddingResponse, signal: AbortSignal): Promise<void> => {
    // Each batch may be answered by a different model; each model is checked once.
    if (known.has(response.model)) return;
    known.add(response.model);
    const rest = { ...server.remaining(checked, startedAt), signal };
    await server.checkAnswer(prepared, response.model, rest, { response });
  };
  try {
    const response = await embedInBatches(texts, prepared, onBatch);
    return warnings.length === 0 ? response : { ...response, warnings };
  } catch (error) {
    const rest = server.remaining(checked, startedAt);
    throw await explainFailure(server, action, model, error, rest);
  }
}

/**
 * Warns of texts that are probably longer than the model's context: the server embeds only their beginning, without
 * saying so. Uses the listing at hand, because an estimate is not worth another request per call.
 */
async function lengthWarnings(
  server: Server,
  model: string,
  texts: readonly string[],
): Promise<EmbeddingWarning[]> {
  const listed = server.listed(model);
  const contextLength = listed?.loadedContextLength ?? listed?.maxContextLength ?? Infinity;
  const isLong = ({ length }: string) => length * MOST_TOKENS_PER_CHARACTER > contextLength;
  if (!texts.some(isLong)) return [];
  const { estimateTokens } = await importOnUse(() => import("../core/token_estimate.ts"), VERB);
  const warnings: EmbeddingWarning[] = [];
  for (const [index, text] of texts.entries()) {
    const estimatedTokens = isLong(text) ? estimateTokens(text) : 0;
    if (estimatedTokens <= contextLength) continue;
    warnings.push({ code: "input_truncated", index, estimatedTokens, contextLength });
  }
  return warnings;
}

/** Codes that LM Studio returns if it takes the model for another type. */
const WRONG_TYPE_CODES: ReadonlySet<string> = new Set([
  "no_model_loaded",
  "model_not_found",
  "wrong_model_type",
]);

/**
 * Explains a failure caused by LM Studio taking an embedding model for a language model: the server then says that no
 * model is loaded, or that it does not know the model.
 */
async function explainFailure(
  server: Server,
  action: string,
  model: string,
  error: unknown,
  options: CallOptions,
): Promise<unknown> {
  if (server.dialect.provider !== "lmstudio" || !isProviderError(error)) return error;
  if (!WRONG_TYPE_CODES.has(error.code)) return error;
  const listed = await server.find(model, options, action);
  if (listed === undefined || !isTakenForLLM(listed)) return error;
  const { endpoint, attempts, status } = error;
  return providerError("wrong_model_type", `Cannot ${action}: ${TAKEN_FOR_LLM}`, {
    service: server.service,
    endpoint,
    attempts,
    status,
    hint: USE_EMBEDDING_MODEL,
    model,
    cause: error,
  });
}

/**
 * Embeds all texts. The first failure aborts the batches under way.
 *
 * @param onBatch called with each batch's answer; an error it throws ends the call. Its signal is aborted with the call.
 */
async function embedInBatches(
  texts: readonly string[],
  prepared: PreparedEmbedding,
  onBatch: (response: EmbeddingResponse, signal: AbortSignal) => Promise<void>,
): Promise<EmbeddingResponse> {
  const { request, options, body } = prepared;
  const batches = batchesOf(texts, request.batchSize ?? DEFAULT_BATCH_SIZE);
  const responses: EmbeddingResponse[] = [];
  const controller = new AbortController();
  const { signal } = options;
  const onAbort = (): void => controller.abort(signal?.reason);
  const stopListening = listenToAbort(signal, onAbort);
  if (signal?.aborted === true) onAbort();
  let nextBatch = 0;
  let done = 0;
  const work = async (): Promise<void> => {
    while (!controller.signal.aborted) {
      const batch = nextBatch++;
      const input = batches[batch];
      if (input === undefined) return;
      const response = await ask({
        ...prepared,
        body: { ...body, input },
        options: { ...options, signal: controller.signal },
      });
      await onBatch(response, controller.signal);
      controller.signal.throwIfAborted();
      responses[batch] = response;
      done += input.length;
      const told: unknown = request.onProgress?.(done, texts.length);
      // An async callback that rejects ends the call, like one that throws.
      if (told instanceof Promise) told.catch((reason) => controller.abort(reason));
    }
  };
  const workers = Array.from(
    { length: Math.min(request.concurrency ?? 1, batches.length) },
    () =>
      work().catch((error) => {
        controller.abort(error);
        throw error;
      }),
  );
  try {
    await Promise.all(workers);
    controller.signal.throwIfAborted();
  } finally {
    stopListening();
    // No request outlives the call.
    await Promise.allSettled(workers);
  }
  return join(responses, prepared);
}

/** Splits the texts, in order, into batches of limited count and length. A text over the limit gets its own batch. */
function batchesOf(texts: readonly string[], size: number): string[][] {
  const batches: string[][] = [];
  let last: string[] | undefined;
  let length = 0;
  for (const text of texts) {
    length += text.length;
    if (last === undefined || last.length === size || length > MAX_BATCH_LENGTH) {
      last = [];
      batches.push(last);
      length = text.length;
    }
    last.push(text);
  }
  return batches;
}

function join(
  responses: readonly EmbeddingResponse[],
  { server, action, options, body }: PreparedEmbedding,
): EmbeddingResponse {
  const [first] = responses;
  if (first === undefined || responses.length === 1) return first ?? { model: "", embeddings: [] };
  const mixed = (what: string): ParseError =>
    providerError(
      "malformed_response",
      `Cannot ${action}: the batches do not match: ${what}`,
      {
        service: server.service,
        endpoint: server.config.baseUrl,
        attempts: responses.length,
        hint:
          "Embed the texts again while one model stays loaded: vectors from different models cannot be compared.",
      },
    );
  // If substitutions are accepted, one may start halfway through.
  const stranger = responses.find(({ model }) => !isSameModel(model, first.model));
  if (stranger !== undefined) {
    const show = server.words(options, body);
    const [one, other] = [first, stranger].map(({ model }) => quote(show(model)));
    throw mixed(`${one} answered, then ${other}`);
  }
  const width = first.embeddings[0]?.length;
  const other = responses.find(({ embeddings }) => embeddings[0]?.length !== width);
  if (other !== undefined) {
    throw mixed(`the vectors have ${width} numbers, then ${other.embeddings[0]?.length}`);
  }
  const usage = responses.map((response) => response.usage).reduce(addUsage);
  return {
    model: first.model,
    embeddings: responses.flatMap(({ embeddings }) => embeddings),
    ...(responses.some(({ truncated }) => truncated) ? { truncated: "client" } : {}),
    ...(usage === undefined ? {} : { usage }),
  };
}
