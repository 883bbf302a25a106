// @ts-ignore -- only the benchmark installs it
import { ChatOpenAI, OpenAIEmbeddings } from "@langchain/openai";
import { EMBEDDING_MODEL, INPUTS, MODEL, PROMPT } from "./requests.mjs";

const connect = (url) =>
  new ChatOpenAI({ model: MODEL, apiKey: "none", configuration: { baseURL: `${url}/v1` } });

export function stream(url) {
  const model = connect(url);
  return async () => {
    let length = 0;
    for await (const chunk of await model.stream(PROMPT)) length += chunk.content.length;
    return length;
  };
}

export function completion(url) {
  const model = connect(url);
  return async () => (await model.invoke(PROMPT)).content.length;
}

export function embeddings(url) {
  const model = new OpenAIEmbeddings({
    model: EMBEDDING_MODEL,
    apiKey: "none",
    encodingFormat: "float",
    configuration: { baseURL: `${url}/v1` },
  });
  return async () => {
    const embeddings = await model.embedDocuments(INPUTS);
    return embeddings.length * embeddings[0].length;
  };
}
