import { INPUTS, PROMPT } from "./requests.mjs";

const prompt = [{ role: "user", content: [{ type: "text", text: PROMPT }] }];

/** Calls through models of the AI SDK, whichever package provides them. */
export function callsOf(chatModel, embeddingModel) {
  return {
    stream(url) {
      const model = chatModel(url);
      return async () => {
        let length = 0;
        for await (const part of (await model.doStream({ prompt })).stream) {
          if (part.type === "text-delta") length += part.delta.length;
        }
        return length;
      };
    },
    completion(url) {
      const model = chatModel(url);
      return async () => {
        const { content } = await model.doGenerate({ prompt });
        return content.find(({ type }) => type === "text").text.length;
      };
    },
    embeddings(url) {
      const model = embeddingModel(url);
      return async () => {
        const { embeddings } = await model.doEmbed({ values: INPUTS });
        return embeddings.length * embeddings[0].length;
      };
    },
  };
}
