/**
 * The two numbers of a context overflow, in every wording that has them. All text is `fold`ed: lower case,
 * `'` for every quote, single spaces, no backslashes.
 *
 * @module
 */

/** The first that matches counts: what is surely the prompt stands before what may be more than it. */
const PROMPT_TOKENS: readonly RegExp[] = [
  /n_prompt_tokens\W{1,4}(\d{1,15})/,
  // LM Studio 0.3, 0.4, MLX.
  /first (\d{1,15}) tokens/,
  /n_keep\W{1,4}(\d{1,15})/,
  /input has (\d{1,15}) tokens/,
  /input length (\d{1,15})/,
  // llama-server.
  /(?:request|input|prompt) \((\d{1,15}) tokens/,
  // Servers that copy OpenAI's words: "you requested 4232 tokens (3107 in the messages, 1125 in the completion)".
  /(\d{1,15}) in the messages/,
  /(?:has|passed) (\d{1,15}) input tokens/,
  /(?:requested|resulted in) (\d{1,15}) tokens/,
];

const CONTEXT_LENGTH: readonly RegExp[] = [
  /n_ctx\W{1,4}(\d{1,15})/,
  /context length of (?:only )?(\d{1,15})/,
  /only supports (\d{1,15}) tokens/,
  /context size \((\d{1,15})/,
  /context length is (?:only )?(\d{1,15})/,
  /context length (\d{1,15})/,
];

/** What a text says of an overflow; absent what it does not say. */
export function readContextNumbers(
  folded: string,
): { promptTokens: number | undefined; contextLength: number | undefined } {
  return {
    promptTokens: firstNumber(PROMPT_TOKENS, folded),
    contextLength: firstNumber(CONTEXT_LENGTH, folded),
  };
}

function firstNumber(patterns: readonly RegExp[], folded: string): number | undefined {
  for (const pattern of patterns) {
    const digits = pattern.exec(folded)?.[1];
    if (digits !== undefined) return Number(digits);
  }
  return undefined;
}
