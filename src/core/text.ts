/**
 * Text completions: requests and answers of `/v1/completions`, which continues a text without messages.
 *
 * @module
 */

import type { CompletionRequest, FinishReason, GenerationStats, Usage } from "./types.ts";

/**
 * Text completion request. Only `prompt` is required. The sampling settings are those of a `CompletionRequest`; there
 * are no messages, tools, images, schema or reasoning.
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
   * Text to continue, sent unchanged: no chat template is applied. May be empty, so that the model starts on its own.
   */
  prompt: string;
  /**
   * Text after the gap that the model fills. It is sent, but LM Studio's documentation does not say whether it has an
   * effect.
   */
  suffix?: string | undefined;
  /**
   * Whether the answer should repeat the prompt before the text. It is sent, but LM Studio's documentation does not say
   * whether it has an effect; `text` is whatever the server returned.
   */
  echo?: boolean | undefined;
  /** Additional fields for the server, sent unchanged; may not set `model`, `prompt` or `stream`. */
  extraBody?: Readonly<Record<string, unknown>> | undefined;
}

/** Whole answer of a text completion. */
export interface TextCompletionResponse {
  /** The server's id for this answer. */
  id: string;
  /** The model that answered, as the server names it. */
  model: string;
  /** The text as the model wrote it; nothing is removed, not even `<think>` blocks. */
  text: string;
  /** Why the model stopped: `"stop"`, `"length"`, or the server's own reason. */
  finishReason: FinishReason;
  /** Tokens read and written, if the server reports them. */
  usage?: Usage;
  /** Speed of the generation. */
  stats?: GenerationStats;
  /** The decoded body; for a stream, its last frame. */
  raw: unknown;
}
