/** Reads the bytes and discards them: the cost of the runtime alone. */
import { COMPLETION, EMBEDDING, post, STREAM } from "./requests.mjs";

async function drain(response) {
  for await (const _ of response.body);
}

export function stream(url) {
  return async () => await drain(await post(`${url}/v1/chat/completions`, STREAM));
}

export function completion(url) {
  return async () => await drain(await post(`${url}/v1/chat/completions`, COMPLETION));
}

export function embeddings(url) {
  return async () => await drain(await post(`${url}/v1/embeddings`, EMBEDDING));
}

export function listing(url) {
  return async () => await drain(await fetch(`${url}/v1/models`));
}
