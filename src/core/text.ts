/**
 * Text that a model continues, without a chat: what goes in and comes out of `/v1/completions`.
 *
 * @module
 */

import type { CompletionRequest, FinishReason, GenerationStats, Usage } from "./types.ts";

/**
 * Text to continue, and how. Only `prompt` is needed. The settings of the sampling are those of a
 * `CompletionRequest`; what only a chat has (messages, tools, images, a schema, reasoning) is not there.
 *
 * @see https://lmstudio.ai/docs/developer/openai-compat/completions
 */
export interface TextCompletionRequest extends
  Pick<
    CompletionRequest,
    | "model"
    | "temperature"
    | "topP"
    | "topK"
    | "minP"
    | "maxTokens"
    | "stop"
    | "seed"
    | "presencePenalty"
    | "frequencyPenalty"
    | "repeatPenalty"
    | "logitBias"
    | "ttlSeconds"
    | "draftModel"
  > {
  /**
   * The text to go on from, as it is: no chat template is applied. May be empty, for a model that starts by
   * itself.
   */
  prompt: string;
  /**
   * The text that comes after the gap that the model fills. LM Studio's documentation does not say whether it
   * counts; it is sent as given.
   */
  suffix?: string | undefined;
  /**
   * Asks for the prompt before the text. LM Studio's documentation does not say whether it counts; it is sent
   * as given, and `text` is what came.
   */
  echo?: boolean | undefined;
  /** Sent as it is, beside the rest; may not set `model`, `prompt` or `stream`. */
  extraBody?: Readonly<Record<string, unknown>> | undefined;
}

/** A whole continuation. */
export interface TextCompletionResponse {
  /** The server's id of this answer. */
  id: string;
  /** The model that answered, as the server names it. */
  model: string;
  /** The text, as the model wrote it: nothing is taken out of it, `<think>` neither. */
  text: string;
  /** Why the model stopped: `"stop"`, `"length"`, or a reason of the server's own. */
  finishReason: FinishReason;
  /** Tokens read and written, where the server tells. */
  usage?: Usage;
  /** How fast it came. */
  stats?: GenerationStats;
  /** The decoded body; of a stream, its last frame. */
  raw: unknown;
}
