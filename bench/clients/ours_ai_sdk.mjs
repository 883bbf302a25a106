import { createLMStudio } from "@patinox/lmstudio/ai-sdk";
import { EMBEDDING_MODEL, MODEL } from "./requests.mjs";
import { callsOf } from "./sdk_models.mjs";

const connect = (baseUrl) => createLMStudio({ baseUrl, env: {} });

export const { stream, completion, embeddings } = callsOf(
  (url) => connect(url)(MODEL),
  (url) => connect(url).embeddingModel(EMBEDDING_MODEL),
);
