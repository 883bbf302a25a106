// @ts-ignore -- only the benchmark installs it
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { EMBEDDING_MODEL, MODEL } from "./requests.mjs";
import { callsOf } from "./sdk_models.mjs";

const connect = (url) =>
  createOpenAICompatible({ name: "lmstudio", baseURL: `${url}/v1`, includeUsage: true });

export const { stream, completion, embeddings } = callsOf(
  (url) => connect(url).chatModel(MODEL),
  (url) => connect(url).embeddingModel(EMBEDDING_MODEL),
);
