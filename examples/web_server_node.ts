/**
 * A web server that streams answers, with node:http, for Node, Bun and Deno:
 *
 *     deno run --allow-net --allow-env examples/web_server_node.ts 8000
 *     curl --no-buffer --data "Why is the sky blue?" http://127.0.0.1:8000
 *
 * Add `--fake` to get the answers from a fake LM Studio. In your own project, leave out "./fake.ts" and import from
 * "@patinox/lmstudio" instead of "../mod.ts" (or, on Deno, from "jsr:@patinox/lmstudio" without installing it).
 */
import "./fake.ts";
import { createServer } from "node:http";
import process from "node:process";
import { text } from "node:stream/consumers";
import { pipeline } from "node:stream/promises";
import { isProviderError, LMStudioProvider } from "../mod.ts";

const [port = "8000"] = process.argv.slice(2);
const lmstudio = new LMStudioProvider();

const server = createServer(async (request, response) => {
  const leaving = new AbortController();
  response.on("close", () => leaving.abort());
  try {
    const stream = lmstudio.streamCompletion(await text(request), { signal: leaving.signal });
    await stream.started();
    response.writeHead(200, { "content-type": "text/plain; charset=utf-8" });
    await pipeline(stream.textStream, response);
  } catch (error) {
    // The client has disconnected: nobody reads an answer.
    if (!isProviderError(error)) return;
    console.error(error.message);
    if (response.headersSent) return;
    response.writeHead(error.kind === "invalid-request" ? 400 : 502);
    response.end("The model cannot answer.");
  }
});
server.listen(Number(port), "127.0.0.1", () => {
  const address = server.address();
  console.log(
    `Listening on http://127.0.0.1:${typeof address === "object" ? address?.port : port}`,
  );
});
