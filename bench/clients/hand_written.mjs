/** The minimum that shows the text: no errors, tools, reasoning, abort or timeouts. */
import { COMPLETION, EMBEDDING, post, STREAM } from "./requests.mjs";

async function* contents(url) {
  const response = await post(`${url}/v1/chat/completions`, STREAM);
  const decoder = new TextDecoder();
  let buffer = "";
  for await (const bytes of response.body) {
    buffer += decoder.decode(bytes, { stream: true });
    let from = 0;
    for (let end = buffer.indexOf("\n\n"); end !== -1; end = buffer.indexOf("\n\n", from)) {
      const data = buffer.slice(from + "data: ".length, end);
      from = end + 2;
      if (data === "[DONE]") return;
      const content = JSON.parse(data).choices[0]?.delta?.content;
      if (content) yield content;
    }
    buffer = buffer.slice(from);
  }
}

export function stream(url) {
  return async () => {
    let length = 0;
    for await (const content of contents(url)) length += content.length;
    return length;
  };
}

export function completion(url) {
  return async () => {
    const response = await post(`${url}/v1/chat/completions`, COMPLETION);
    return (await response.json()).choices[0].message.content.length;
  };
}

export function embeddings(url) {
  return async () => {
    const { data } = await (await post(`${url}/v1/embeddings`, EMBEDDING)).json();
    const vectors = data.map(({ embedding }) => embedding);
    return vectors.length * vectors[0].length;
  };
}

export function listing(url) {
  return async () => (await (await fetch(`${url}/v1/models`)).json()).data.length;
}
