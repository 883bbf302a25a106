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
  checkCallback,
  checkCallOptions,
  checkFields,
  checkName,
  checkNumber,
  isRecord,
  type Refuse,
} from "../core/request_checks.ts";
import type { CallOptions, EmbeddingRequest, EmbeddingResponse } from "../core/types.ts";
import { describe, describeType } from "../core/value_checks.ts";
import { listenToAbort } from "../transport/timers.ts";
import type { Transport } from "../transport/transport.ts";
import type { Server } from "../server/server.ts";

const FIELDS: ReadonlySet<string> = new Set(
  [
    "model",
    "input",
    "batchSize",
    "concurrency",
    "onProgress",
  ] satisfies (keyof EmbeddingRequest)[],
);
const COUNT = {
  form: "a whole number above 0",
  accepts: (value: number) => Number.isInteger(value) && value > 0,
};
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
  const refuse = server.refuse("embed");
  const checked = checkCallOptions(options, refuse);
  const request = checkEmbeddingRequest(input, refuse);
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

/** Refuses a request that cannot be sent, and returns a copy: callers empty a queue once it is handed in. */
export function checkEmbeddingRequest(request: unknown, refuse: Refuse): EmbeddingRequest {
  if (!isRecord(request)) throw refuse(`the request is ${describeType(request)}, not an object`);
  checkFields(request, FIELDS, "field", refuse);
  checkName("model", request.model, refuse);
  checkNumber("batchSize", request.batchSize, COUNT, refuse);
  checkNumber("concurrency", request.concurrency, COUNT, refuse);
  checkCallback("onProgress", request.onProgress, refuse);
  const { input } = request;
  if (input === "") throw refuse("input cannot be empty");
  if (typeof input !== "string") {
    if (!Array.isArray(input)) {
      throw refuse(`input is ${describe(input)}, not text or an array of texts`);
    }
    if (input.length === 0) throw refuse("input cannot be empty: it is []");
    for (const [index, text] of input.entries()) {
      if (text === "") throw refuse(`input[${index}] cannot be empty`);
      if (typeof text !== "string") {
        throw refuse(`input[${index}] is ${describe(text)}, not text`);
      }
    }
  }
  return {
    ...request,
    input: typeof input === "string" ? input : [...input],
  } as unknown as EmbeddingRequest;
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
