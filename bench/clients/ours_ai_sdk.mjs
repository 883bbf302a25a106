import { createLMStudio } from "@patinox/lmstudio/ai-sdk";
import { EMBEDDING_MODEL, INPUTS, MODEL, PROMPT } from "./requests.mjs";

const connect = (baseUrl) => createLMStudio({ baseUrl, env: {} });
const prompt = [{ role: "user", content: [{ type: "text", text: PROMPT }] }];

export function stream(url) {
  const model = connect(url)(MODEL);
  return async () => {
    let length = 0;
    for await (const part of (await model.doStream({ prompt })).stream) {
      if (part.type === "text-delta") length += part.delta.length;
    }
    return length;
  };
}

export function completion(url) {
  const model = connect(url)(MODEL);
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
