/** The tokenizer of Llama 2 and Mistral, 0.7 MB: the smallest one of a popular model. */
import llama from "npm:llama-tokenizer-js@^1.2.2";
import type { ModelUnderTest } from "./context_run.ts";

/** Cost of an image in LLaVA. */
export const LLAMA: ModelUnderTest = {
  name: "llama",
  countTokens: (text) => llama.encode(text, false, false).length,
  imageTokens: 576,
};
