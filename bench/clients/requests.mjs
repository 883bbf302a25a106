/** Requests that every client sends. */
export const MODEL = "qwen/qwen3-8b";
export const EMBEDDING_MODEL = "text-embedding-nomic-embed-text-v1.5";
export const PROMPT = "Write a haiku about the sea.";
export const MESSAGES = [{ role: "user", content: PROMPT }];
export const INPUTS = Array.from({ length: 64 }, (_, i) => `Sentence number ${i}.`);

export function post(url, body) {
  return fetch(url, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });
}

export const COMPLETION = { model: MODEL, messages: MESSAGES };
export const STREAM = { ...COMPLETION, stream: true, stream_options: { include_usage: true } };
export const EMBEDDING = { model: EMBEDDING_MODEL, input: INPUTS, encoding_format: "float" };
