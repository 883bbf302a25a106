/**
 * `POST /v1/completions`: text that the model continues, whole or as it is generated. No template is applied
 * and nothing is taken out of the text.
 *
 * @see https://lmstudio.ai/docs/developer/openai-compat/completions
 * @module
 */

import { checkFields, checkName, isRecord, type Refuse } from "../core/request_checks.ts";
import type { TextCompletionRequest, TextCompletionResponse } from "../core/text.ts";
import type { CallOptions, FinishReason, PartialAnswer, StreamingChunk } from "../core/types.ts";
import { describe, describeType } from "../core/value_checks.ts";
import { finishReasonOf } from "../transport/ending.ts";
import type { ErrorContext } from "../transport/error_mapping.ts";
import { malformedResponse, type Transport } from "../transport/transport.ts";
import { FrameStream, type FrameStreamRequest, type StreamSummary } from "./frame_stream.ts";
import {
  checkExtraBody,
  checkSampling,
  encodeSampling,
  SAMPLING_FIELDS,
  withExtraBody,
} from "./sampling.ts";
import { decodeServerStats, decodeUsage, measureStats } from "./usage.ts";
import { firstChoice, textOf } from "./wire_choice.ts";

const PATH = "/v1/completions";
const OWN_FIELDS = ["model", "prompt", "suffix", "echo", "extraBody"] as const;
const REQUEST_FIELDS: ReadonlySet<string> = new Set(
  [...OWN_FIELDS, ...SAMPLING_FIELDS] satisfies (keyof TextCompletionRequest)[],
);

/** Refuses a request that cannot be sent, and returns it as an object. */
export function checkTextRequest(request: unknown, refuse: Refuse): TextCompletionRequest {
  const checked = typeof request === "string" ? { prompt: request } : request;
  if (!isRecord(checked)) {
    throw refuse(`the request is ${describe(request)}, not text or an object`);
  }
  checkFields(checked, REQUEST_FIELDS, "field", refuse);
  checkName("model", checked.model, refuse);
  const { prompt, suffix, echo } = checked;
  // Engines differ in what several prompts, or tokens, give; one text gives one answer everywhere.
  if (typeof prompt !== "string") throw refuse(`prompt is ${describe(prompt)}, not text`);
  if (suffix !== undefined && typeof suffix !== "string") {
    throw refuse(`suffix is ${describeType(suffix)}, not text`);
  }
  if (echo !== undefined && typeof echo !== "boolean") {
    throw refuse(`echo is ${describe(echo)}, not true or false`);
  }
  checkSampling(checked, refuse);
  checkExtraBody(checked.extraBody, ["model", "prompt", "stream"], refuse);
  return checked as unknown as TextCompletionRequest;
}

/** The body for a checked request, but for the model. */
export function encodeTextRequest(request: TextCompletionRequest): Record<string, unknown> {
  const { prompt, suffix, echo } = request;
  return withExtraBody({ prompt, suffix, echo, ...encodeSampling(request) }, request.extraBody);
}

/**
 * Asks for one continuation.
 *
 * @param body as `encodeTextRequest` gives it, with the model.
 * @param startedAt when the call began that this request is part of.
 */
export async function requestText(
  transport: Transport,
  body: Record<string, unknown>,
  action: string,
  options: CallOptions,
  startedAt: number,
): Promise<TextCompletionResponse> {
  const sentAt = performance.now();
  const model = textOf(body.model);
  const { value, context } = await transport.json(
    { method: "POST", path: PATH, body, policy: "stateless", action, model },
    options,
    Infinity,
    startedAt,
  );
  return decodeText(value, performance.now() - sentAt, context);
}

/** Decodes a whole answer. */
function decodeText(
  value: unknown,
  elapsedMs: number,
  context: ErrorContext,
): TextCompletionResponse {
  const choice = isRecord(value) && Array.isArray(value.choices)
    ? firstChoice(value.choices)
    : undefined;
  if (!isRecord(value) || typeof choice?.text !== "string") {
    throw malformedResponse("the answer has no choices[0].text", value, context);
  }
  const usage = decodeUsage(value.usage, value.timings);
  return {
    id: textOf(value.id),
    model: textOf(value.model) || (context.model ?? ""),
    text: choice.text,
    finishReason: finishReasonOf(choice.finish_reason) ?? "stop",
    ...(usage === undefined ? {} : { usage }),
    stats: decodeServerStats(value) ?? measureStats(usage, elapsedMs),
    raw: value,
  };
}

/** One streamed continuation: `next()` until it gives `undefined`, then `response()`. */
export class TextStream extends FrameStream<TextCompletionResponse> {
  #text = "";

  constructor(transport: Transport, request: FrameStreamRequest<TextCompletionResponse>) {
    super(transport, PATH, request);
  }

  override partial(): PartialAnswer | undefined {
    return this.#text === "" ? undefined : { content: this.#text, toolCalls: [] };
  }

  protected override takeChoice(choice: Record<string, unknown>): StreamingChunk | undefined {
    const text = textOf(choice.text);
    if (text !== "") {
      this.countText(text.length);
      this.markPiece("text");
    }
    return this.#chunk(text);
  }

  protected override takeRest(): undefined {}

  protected override finishReasonFor(reason: string | undefined): FinishReason {
    return reason ?? "stop";
  }

  protected override decodeWhole(
    value: unknown,
    elapsedMs: number,
    context: ErrorContext,
  ): TextCompletionResponse {
    return decodeText(value, elapsedMs, context);
  }

  protected override chunkOf({ text }: TextCompletionResponse): StreamingChunk | undefined {
    return this.#chunk(text);
  }

  protected override assemble(
    { id, model, finishReason, more }: StreamSummary,
  ): TextCompletionResponse {
    return { id, model, text: this.#text, finishReason, ...more };
  }

  #chunk(content: string): StreamingChunk | undefined {
    if (content === "") return undefined;
    this.#text += content;
    return { content, isFinal: false };
  }
}
