/**
 * `POST /v1/completions`: text that the model continues, whole and streamed. No chat template is applied, and nothing
 * is taken out of the text.
 *
 * @see https://lmstudio.ai/docs/developer/openai-compat/completions
 * @module
 */

import { flag, nonEmptyText, type RefusalMaker, required, table, text } from "../core/checks.ts";
import { isRecord } from "../core/fields.ts";
import type { TextCompletionRequest, TextCompletionResponse } from "../core/text.ts";
import { writable } from "../core/unwritable.ts";
import type { FinishReason, PartialAnswer, StreamingChunk } from "../core/types.ts";
import { finishReasonOf, type FrameContent } from "../transport/event_reader.ts";
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
import { encodeSampling, extraBody, SAMPLING, withExtraBody } from "./completion_request.ts";

/** The text completions route. */
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

const TEXT_REQUEST = table<TextCompletionRequest>({
  model: nonEmptyText,
  // Engines differ in what they do with several prompts or with token ids; one text works the same everywhere.
  prompt: required(text),
  suffix: text,
  echo: flag,
  ...SAMPLING,
  extraBody: extraBody(["model", "prompt", "stream"], writable),
}, { whole: "the request is", form: "a string or an object" });

/** Checks a request and returns it as an object; throws if it cannot be sent. */
function checkTextRequest(request: unknown, refusal: RefusalMaker): TextCompletionRequest {
  const given = typeof request === "string" ? { prompt: request } : request;
  return TEXT_REQUEST(given, "", refusal);
}

/** The body for a checked request, without the model. */
function encodeTextRequest(request: TextCompletionRequest): Record<string, unknown> {
  const { prompt, suffix, echo } = request;
  const body: Record<string, unknown> = { prompt, suffix, echo };
  encodeSampling(request, body);
  return withExtraBody(body, request.extraBody);
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

  protected override takePlainText(text: string, items: StreamingChunk[]): FrameContent {
    if (text === "") return "nothing";
    this.events.countText(text.length);
    this.#text.push(text);
    items.push({ content: text, isFinal: false });
    return "text";
  }

  protected override takeChoice(
    { text }: Record<string, unknown>,
    items: StreamingChunk[],
  ): FrameContent {
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
