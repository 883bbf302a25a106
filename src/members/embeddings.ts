/**
 * Embedding many texts: in batches, their order kept.
 *
 * @module
 */

import { requestEmbeddings } from "../api/embeddings.ts";
import { addUsage } from "../api/answer_parts.ts";
import { type ParseError, providerError } from "../core/errors.ts";
import { quote } from "../core/fields.ts";
import { isSameModel } from "../core/model_names.ts";
import {
  arrayOf,
  callback,
  checkCallOptions,
  count,
  describe,
  nonEmptyText,
  type RefusalMaker,
  required,
  type Rule,
  table,
  text,
  textOr,
} from "../core/checks.ts";
import type { CallOptions, EmbeddingRequest, EmbeddingResponse } from "../core/types.ts";
import { listenToAbort } from "../transport/timers.ts";
import type { Transport } from "../transport/transport.ts";
import type { Server } from "../server/server.ts";

const input: Rule<string | string[]> = (value, of, refusal) => {
  const each = arrayOf(textOr(text), { form: "text or an array of texts", show: describe });
  if (Array.isArray(value) && value.length === 0) throw refusal(`${of} cannot be empty: it is []`);
  return textOr(each)(value, of, refusal);
};
const EMBEDDING_REQUEST = table<EmbeddingRequest>({
  model: nonEmptyText,
  input: required(input),
  batchSize: count,
  concurrency: count,
  onProgress: callback,
}, { whole: "the request is" });
const DEFAULT_BATCH_SIZE = 64;
/** Whole books in one request would be one long silence, and lost together. */
const MAX_BATCH_LENGTH = 1024 * 1024;

/** As `ModelProvider.embed`. */
export async function embed(
  server: Server,
  input: EmbeddingRequest,
  options: CallOptions | undefined,
): Promise<EmbeddingResponse> {
  const startedAt = performance.now();
  const refusal = server.refusalMaker("embed");
  const checked = checkCallOptions(options, refusal);
  const request = checkEmbeddingRequest(input, refusal);
  const fields = { input: request.input };
  const addressed = await server.withModel("embed", request.model, fields, checked, "embedding");
  const { model, action, body } = addressed;
  const known = new Set<string>();
  const onBatch = async (response: EmbeddingResponse, signal: AbortSignal): Promise<void> => {
    // Every batch may be answered by another model; each is told once.
    if (known.has(response.model)) return;
    known.add(response.model);
    const rest = { ...server.remaining(checked, startedAt), signal };
    await server.checkAnswer(addressed, response.model, rest, { response });
  };
  const show = server.words(checked, body);
  const batch = { transport: server.transport, model, action, options: checked, startedAt, show };
  try {
    return await embedInBatches(request, batch, onBatch);
  } catch (error) {
    const rest = server.remaining(checked, startedAt);
    throw await server.explainEmbeddingFailure(action, model, error, rest);
  }
}

/** Refuses a request that cannot be sent, and gives a copy: callers empty a queue once it is handed in. */
export function checkEmbeddingRequest(request: unknown, refusal: RefusalMaker): EmbeddingRequest {
  return EMBEDDING_REQUEST(request, "", refusal);
}

/** What is the same for every batch of a call. */
export interface BatchCall {
  readonly transport: Transport;
  readonly model: string;
  /** Completes "Cannot …" in errors. */
  readonly action: string;
  readonly options: CallOptions;
  /** When the call began, by `performance.now()`. */
  readonly startedAt: number;
  /** Shows what the server wrote. */
  readonly show: (text: string) => string;
}

/**
 * Embeds all texts. The first failure ends the batches under way.
 *
 * @param onBatch is shown each batch's answer; what it throws ends the call. Its signal ends with the call.
 */
export async function embedInBatches(
  request: EmbeddingRequest,
  { transport, model, action, options, startedAt, show }: BatchCall,
  onBatch: (response: EmbeddingResponse, signal: AbortSignal) => Promise<void>,
): Promise<EmbeddingResponse> {
  const texts = typeof request.input === "string" ? [request.input] : request.input;
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
      const own = { ...options, signal: controller.signal };
      const response = await requestEmbeddings(transport, model, input, action, own, startedAt);
      await onBatch(response, controller.signal);
      controller.signal.throwIfAborted();
      responses[batch] = response;
      done += input.length;
      const told: unknown = request.onProgress?.(done, texts.length);
      // An async callback that rejects ends the call as one that throws does.
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
    // Nothing goes on behind the caller's back.
    await Promise.allSettled(workers);
  }
  return join(responses, action, transport, show);
}

/** The texts in their order: so many to a batch, unless they are long. A longer one than that is one by itself. */
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
  action: string,
  transport: Transport,
  show: BatchCall["show"],
): EmbeddingResponse {
  const [first] = responses;
  if (first === undefined || responses.length === 1) return first ?? { model: "", embeddings: [] };
  const mixed = (what: string): ParseError =>
    providerError(
      "malformed_response",
      `Cannot ${action}: the batches do not fit together: ${what}`,
      {
        service: transport.server.service,
        endpoint: transport.server.baseUrl,
        attempts: responses.length,
        hint:
          "Embed them again while one model stays loaded: vectors of two models cannot be compared.",
      },
    );
  // Where a substitution is accepted, it may begin half-way.
  const stranger = responses.find(({ model }) => !isSameModel(model, first.model));
  if (stranger !== undefined) {
    const [one, other] = [first, stranger].map(({ model }) => quote(show(model)));
    throw mixed(`${one} answered, then ${other}`);
  }
  const width = first.embeddings[0]?.length;
  const other = responses.find(({ embeddings }) => embeddings[0]?.length !== width);
  if (other !== undefined) {
    throw mixed(`vectors of ${width} numbers, then of ${other.embeddings[0]?.length}`);
  }
  const usage = responses.map((response) => response.usage).reduce(addUsage);
  return {
    model: first.model,
    embeddings: responses.flatMap(({ embeddings }) => embeddings),
    ...(usage === undefined ? {} : { usage }),
  };
}
