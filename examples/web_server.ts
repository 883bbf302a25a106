/**
 * A web server that streams answers, for Deno; for Node and Bun see web_server_node.ts:
 *
 *     deno run --allow-net --allow-env examples/web_server.ts 8000
 *     curl --no-buffer --data "Why is the sky blue?" http://127.0.0.1:8000
 *
 * Add `--fake` to get the answers from a fake LM Studio. In your own project, leave out "./fake.ts" and import from
 * "@patinox/lmstudio" instead of "../mod.ts" (or, on Deno, from "jsr:@patinox/lmstudio" without installing it).
 */
import "./fake.ts";
import process from "node:process";
import { isProviderError, LMStudioProvider } from "../mod.ts";

const [port = "8000"] = process.argv.slice(2);
const lmstudio = new LMStudioProvider();

async function handler(request: Request): Promise<Response> {
  const { signal } = request;
  try {
    return await lmstudio.streamCompletion(await request.text(), { signal }).toResponse();
  } catch (error) {
    // The client has disconnected: nobody reads this answer.
    if (!isProviderError(error)) return new Response(null, { status: 499 });
    console.error(error.message);
    const status = error.kind === "invalid-request" ? 400 : 502;
    return new Response("The model cannot answer.", { status });
  }
}

Deno.serve({
  hostname: "127.0.0.1",
  port: Number(port),
  onListen: ({ port }) => console.log(`Listening on http://127.0.0.1:${port}`),
}, handler);
