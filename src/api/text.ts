/**
 * `POST /v1/completions`: text that the model continues, whole or as it is generated. No template is applied
 * and nothing is taken out of the text.
 *
 * @see https://lmstudio.ai/docs/developer/openai-compat/completions
 * @module
 */

import { checkFields, checkName, isRecord, type Refuse } from "../core/request_checks.ts";
import type { TextCompletionRequest, TextCompletionResponse } from "../core/text.ts";
import type { FinishReason, PartialAnswer, StreamingChunk } from "../core/types.ts";
import { describe, describeType } from "../core/value_checks.ts";
import { finishReasonOf, type Piece } from "../transport/ending.ts";
import { malformedResponse } from "../transport/transport.ts";
import {
  decodeServerStats,
  decodeUsage,
  firstChoice,
  measureStats,
  textOf,
} from "./answer_parts.ts";
import { frameFields, FrameReader, type FrameSummary, GrowingText } from "./frames.ts";
import type { Decoding, StreamedCall, StreamedRoute } from "./route.ts";
import {
  checkExtraBody,
  checkSampling,
  encodeSampling,
  SAMPLING_FIELDS,
  withExtraBody,
} from "./sampling.ts";

/** The route of text completions. */
export const TEXT: StreamedRoute<TextCompletionRequest, TextCompletionResponse, StreamingChunk> = {
  path: "/v1/completions",
  policy: () => "stateless",
  check: checkTextRequest,
  encode: encodeTextRequest,
  decode: decodeText,
  streamFields: frameFields,
  stream: (call) => new TextReader(call),
  answeredBy: ({ model }) => model,
};

const OWN_FIELDS = ["model", "prompt", "suffix", "echo", "extraBody"] as const;
const REQUEST_FIELDS: ReadonlySet<string> = new Set(
  [...OWN_FIELDS, ...SAMPLING_FIELDS] satisfies (keyof TextCompletionRequest)[],
);

/** Refuses a request that cannot be sent, and returns it as an object. */
function checkTextRequest(request: unknown, refuse: Refuse): TextCompletionRequest {
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
function encodeTextRequest(request: TextCompletionRequest): Record<string, unknown> {
  const { prompt, suffix, echo } = request;
  return withExtraBody({ prompt, suffix, echo, ...encodeSampling(request) }, request.extraBody);
}

/** Decodes a whole answer. */
function decodeText(
  value: unknown,
  { context, elapsedMs }: Decoding,
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

/** Reads one streamed continuation. */
class TextReader extends FrameReader<TextCompletionResponse> {
  readonly #text = new GrowingText();

  constructor(call: StreamedCall<TextCompletionResponse>) {
    super(TEXT, call);
  }

  override partial(): PartialAnswer | undefined {
    const content = this.#text.toString();
    return content === "" ? undefined : { content, toolCalls: [] };
  }

  protected override plainText({ text }: Record<string, unknown>): string {
    return typeof text === "string" ? text : "";
  }

  protected override takePlainText(text: string, items: StreamingChunk[]): Piece {
    if (text === "") return "nothing";
    this.events.countText(text.length);
    this.#text.push(text);
    items.push({ content: text, isFinal: false });
    return "text";
  }

  protected override takeChoice({ text }: Record<string, unknown>, items: StreamingChunk[]): Piece {
    return this.takePlainText(textOf(text), items);
  }

  protected override takeRest(): void {}

  protected override finishReasonFor(reason: string | undefined): FinishReason {
    return reason ?? "stop";
  }

  protected override giveWhole({ text }: TextCompletionResponse, items: StreamingChunk[]): void {
    this.takePlainText(text, items);
  }

  protected override answerOf(
    { id, model, finishReason, more }: FrameSummary,
  ): TextCompletionResponse {
    return { id, model, text: this.#text.toString(), finishReason, ...more };
  }
}
