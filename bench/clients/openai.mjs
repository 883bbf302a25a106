// @ts-ignore -- only the benchmark installs it
import OpenAI from "openai";
import { COMPLETION, EMBEDDING, STREAM } from "./requests.mjs";

const connect = (url) => new OpenAI({ baseURL: `${url}/v1`, apiKey: "none" });

export function stream(url) {
  const openai = connect(url);
  return async () => {
    let length = 0;
    for await (const { choices } of await openai.chat.completions.create(STREAM)) {
      length += choices[0]?.delta.content?.length ?? 0;
    }
    return length;
  };
}

export function completion(url) {
  const openai = connect(url);
  return async () => {
    const { choices } = await openai.chat.completions.create(COMPLETION);
    return choices[0].message.content.length;
  };
}

/** Requests floats: by default this client requests base64, which LM Studio does not send. */
export function embeddings(url) {
  const openai = connect(url);
  return async () => {
    const { data } = await openai.embeddings.create(EMBEDDING);
    return data.length * data[0].embedding.length;
  };
}

export function listing(url) {
  const openai = connect(url);
  return async () => (await openai.models.list()).data.length;
}
