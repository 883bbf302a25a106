// @ts-ignore -- the bench alone installs it
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { EMBEDDING_MODEL, INPUTS, MODEL, PROMPT } from "./requests.mjs";

const connect = (url) =>
  createOpenAICompatible({ name: "lmstudio", baseURL: `${url}/v1`, includeUsage: true });
const prompt = [{ role: "user", content: [{ type: "text", text: PROMPT }] }];

export function stream(url) {
  const model = connect(url).chatModel(MODEL);
  return async () => {
    let length = 0;
    for await (const part of (await model.doStream({ prompt })).stream) {
      if (part.type === "text-delta") length += part.delta.length;
    }
    return length;
  };
}

export function completion(url) {
  const model = connect(url).chatModel(MODEL);
  return async () => {
    const { content } = await model.doGenerate({ prompt });
    return content.find(({ type }) => type === "text").text.length;
  };
}

export function embeddings(url) {
  const model = connect(url).embeddingModel(EMBEDDING_MODEL);
  return async () => {
    const { embeddings } = await model.doEmbed({ values: INPUTS });
    return embeddings.length * embeddings[0].length;
  };
}
