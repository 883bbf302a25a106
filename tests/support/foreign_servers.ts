/** Servers on 127.0.0.1 that are not LM Studio, each with its own answers on the wire. */

import { rawServer } from "./raw_server.ts";

/** A server, and its requests, such as `GET /v1/models`. */
export interface ForeignServer extends AsyncDisposable {
  readonly url: string;
  readonly port: number;
  readonly requests: string[];
}

/** Serves every request with `handler`. */
export function serveForeign(
  handler: (request: Request, path: string) => Response | Promise<Response>,
  port = 0,
): ForeignServer {
  const requests: string[] = [];
  const controller = new AbortController();
  const options = { hostname: "127.0.0.1", port, signal: controller.signal, onListen() {} };
  const server = Deno.serve(options, (request) => {
    const path = new URL(request.url).pathname;
    requests.push(`${request.method} ${path}`);
    return handler(request, path);
  });
  return {
    url: `http://127.0.0.1:${server.addr.port}`,
    port: server.addr.port,
    requests,
    [Symbol.asyncDispose]: async () => {
      controller.abort();
      await server.finished;
    },
  };
}

/** llama.cpp's `llama-server`: has Ollama's `/api/tags` for clients that need it, but no `/api/version`. */
export function serveLlamaCpp(): ForeignServer {
  const id = "Qwen3-8B-Q4_K_M.gguf";
  const models = [{ name: id, model: id, type: "model", capabilities: ["completion"] }];
  return serveForeign((_, path) => {
    switch (path) {
      case "/health":
        return Response.json({ status: "ok" });
      case "/api/tags":
        return Response.json({ models });
      case "/v1/models":
        return Response.json({
          models,
          object: "list",
          data: [{ id, object: "model", created: 1_790_000_000, owned_by: "llamacpp" }],
        });
      default:
        return Response.json({
          error: { code: 404, message: "File Not Found", type: "not_found_error" },
        }, { status: 404 });
    }
  });
}

/** vLLM's server. */
export function serveVllm(): ForeignServer {
  return serveForeign((_, path) => {
    switch (path) {
      case "/version":
        return Response.json({ version: "0.12.0" });
      case "/v1/models":
        return Response.json({
          object: "list",
          data: [{ id: "Qwen/Qwen3-8B", object: "model", owned_by: "vllm", permission: [] }],
        });
      default:
        return Response.json({ detail: "Not Found" }, { status: 404 });
    }
  });
}

/** A site that returns its page for every request. */
export function serveSite(): ForeignServer {
  const page = "<!DOCTYPE html><html><body><h1>It works!</h1></body></html>";
  return serveForeign(() => new Response(page, { headers: { "content-type": "text/html" } }));
}

/** An API that answers every request with the same JSON. */
export function serveJson(body: unknown, status = 200): ForeignServer {
  return serveForeign(() => Response.json(body, { status }));
}

/** Accepts connections and stays silent. `came` and `left` count the clients. */
export function serveSilence(): AsyncDisposable & { url: string; came: number; left: number } {
  const server = rawServer(async (connection) => {
    silence.came++;
    await connection.gone();
    silence.left++;
  });
  const silence = {
    url: server.url,
    came: 0,
    left: 0,
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
  return silence;
}
