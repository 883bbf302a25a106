/** Uses Ollama's own routes, so it reads different bytes than the others: lines of JSON. */
// @ts-ignore -- only the benchmark installs it
import { Ollama } from "ollama";
import { EMBEDDING_MODEL, INPUTS, MESSAGES, MODEL } from "./requests.mjs";

const connect = (host) => new Ollama({ host });

export function stream(url) {
  const ollama = connect(url);
  return async () => {
    let length = 0;
    const chunks = await ollama.chat({ model: MODEL, messages: MESSAGES, stream: true });
    for await (const { message } of chunks) length += message.content.length;
    return length;
  };
}

export function completion(url) {
  const ollama = connect(url);
  return async () => {
    const { message } = await ollama.chat({ model: MODEL, messages: MESSAGES });
    return message.content.length;
  };
}

export function embeddings(url) {
  const ollama = connect(url);
  return async () => {
    const { embeddings } = await ollama.embed({ model: EMBEDDING_MODEL, input: INPUTS });
    return embeddings.length * embeddings[0].length;
  };
}

export function listing(url) {
  const ollama = connect(url);
  return async () => (await ollama.list()).models.length;
}
