import { LMStudioProvider } from "@patinox/lmstudio";
import { EMBEDDING_MODEL, INPUTS, MODEL, PROMPT } from "./requests.mjs";

const connect = (baseUrl) =>
  new LMStudioProvider({ baseUrl, env: {}, model: MODEL, embeddingModel: EMBEDDING_MODEL });

export function stream(url) {
  const lmstudio = connect(url);
  return async () => {
    let length = 0;
    for await (const { content } of lmstudio.streamCompletion(PROMPT)) length += content.length;
    return length;
  };
}

export function completion(url) {
  const lmstudio = connect(url);
  return async () => (await lmstudio.complete(PROMPT)).content.length;
}

export function embeddings(url) {
  const lmstudio = connect(url);
  return async () => {
    const { embeddings } = await lmstudio.embed({ input: INPUTS });
    return embeddings.length * embeddings[0].length;
  };
}

export function listing(url) {
  const lmstudio = connect(url);
  return async () => (await lmstudio.listModels()).length;
}
