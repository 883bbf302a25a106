/**
 * A fake Ollama: its own routes as far as discovery and its client's streamed chat use them, and the OpenAI-compatible
 * ones. The chat follows the API reference on docs.ollama.com: a line of JSON per chunk, the last one with `done` and the
 * numbers.
 */

import { type ForeignServer, serveForeign } from "./foreign_servers.ts";

/** Its version, models and answers. */
export interface FakeOllamaOptions {
  /** Names with their tags. */
  models?: readonly string[];
  version?: string;
  /** The chunks of every answer. */
  reply?: readonly string[];
  port?: number;
}

/** A listening fake Ollama; `bodies` are the decoded bodies of its requests. */
export interface FakeOllama extends ForeignServer {
  readonly bodies: Record<string, unknown>[];
  readonly headers: Headers[];
}

/** Starts the server. */
export function serveOllama(options: FakeOllamaOptions = {}): FakeOllama {
  const {
    models = ["llama3.2:latest", "nomic-embed-text:latest"],
    version = "0.13.5",
    reply = ["Hello", " from", " Ollama."],
    port,
  } = options;
  const bodies: Record<string, unknown>[] = [];
  const headers: Headers[] = [];
  const find = (name: unknown): string | undefined =>
    models.find((model) => model === name || model === `${name}:latest`);
  const server = serveForeign(async (request, path) => {
    headers.push(request.headers);
    const body = request.method === "POST" ? await request.json() : {};
    if (request.method === "POST") bodies.push(body);
    switch (`${request.method} ${path}`) {
      case "GET /":
        return new Response("Ollama is running");
      case "GET /api/version":
        return Response.json({ version });
      case "GET /api/tags":
        return Response.json({ models: models.map(describeModel) });
      case "GET /v1/models":
        return Response.json({
          object: "list",
          data: models.map((id) => ({ id, object: "model", created: 1, owned_by: "library" })),
        });
      case "POST /v1/chat/completions": {
        const model = find(body.model);
        if (model === undefined) return notFound(body.model);
        return body.stream === true ? stream(body.model, reply) : whole(body.model, reply.join(""));
      }
      case "POST /api/chat": {
        if (find(body.model) === undefined) {
          return Response.json({ error: `model '${body.model}' not found` }, { status: 404 });
        }
        return lines(body.model, reply);
      }
      case "POST /v1/embeddings": {
        if (find(body.model) === undefined) return notFound(body.model);
        const inputs: string[] = [body.input].flat();
        return Response.json({
          object: "list",
          model: body.model,
          data: inputs.map((text, index) => ({
            object: "embedding",
            index,
            embedding: [text.length, text.charCodeAt(0), 1],
          })),
          usage: { prompt_tokens: inputs.length, total_tokens: inputs.length },
        });
      }
      default:
        return new Response("404 page not found", { status: 404 });
    }
  }, port);
  return { ...server, bodies, headers };
}

function describeModel(name: string): Record<string, unknown> {
  return {
    name,
    model: name,
    modified_at: "2026-10-01T12:00:00Z",
    size: 2_019_393_189,
    digest: "a80c4f17acd55265feec403c7aef86be0c25983ab279d83f3bcd3abbcb5b8b72",
    details: { format: "gguf", family: "llama", quantization_level: "Q4_K_M" },
  };
}

function notFound(model: unknown): Response {
  return Response.json({
    error: {
      message: `model "${model}" not found, try pulling it first`,
      type: "api_error",
      param: null,
      code: null,
    },
  }, { status: 404 });
}

function whole(model: unknown, content: string): Response {
  return Response.json({
    id: "chatcmpl-1",
    object: "chat.completion",
    created: 1,
    model,
    system_fingerprint: "fp_ollama",
    choices: [{ index: 0, message: { role: "assistant", content }, finish_reason: "stop" }],
    usage: { prompt_tokens: 5, completion_tokens: 3, total_tokens: 8 },
  });
}

function lines(model: unknown, chunks: readonly string[]): Response {
  const line = (content: string, rest: Record<string, unknown>): string => {
    const message = { role: "assistant", content };
    return JSON.stringify({ model, created_at: "2026-10-01T12:00:00Z", message, ...rest }) + "\n";
  };
  const end = { done: true, done_reason: "stop", prompt_eval_count: 5, eval_count: chunks.length };
  const text = [...chunks.map((chunk) => line(chunk, { done: false })), line("", end)].join("");
  return new Response(text, { headers: { "content-type": "application/x-ndjson" } });
}

function stream(model: unknown, chunks: readonly string[]): Response {
  const frame = (delta: unknown, finish_reason: string | null): string =>
    `data: ${
      JSON.stringify({
        id: "chatcmpl-1",
        object: "chat.completion.chunk",
        created: 1,
        model,
        choices: [{ index: 0, delta, finish_reason }],
      })
    }\n\n`;
  const frames = chunks.map((content) => frame({ role: "assistant", content }, null));
  const text = [...frames, frame({}, "stop"), "data: [DONE]\n\n"].join("");
  return new Response(text, { headers: { "content-type": "text/event-stream" } });
}
