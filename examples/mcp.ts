/**
 * Lets the model call the tools of an MCP server:
 *
 *     deno run -A examples/mcp.ts "What did I want to buy?"
 *     deno run -A examples/mcp.ts "Which files are in /tmp?" npx -y @modelcontextprotocol/server-filesystem /tmp
 *
 * Without a command it starts mcp_server.ts on the same runtime.
 *
 * Add `--fake` to get the answers from a fake LM Studio. In your own project, leave out "./fake.ts" and import from
 * "@patinox/lmstudio" instead of "../mod.ts" (or, on Deno, from "jsr:@patinox/lmstudio" without installing it).
 */
import "./fake.ts";
import { Client } from "npm:@modelcontextprotocol/sdk@^1.32.2/client";
import { StdioClientTransport } from "npm:@modelcontextprotocol/sdk@^1.32.2/client/stdio.js";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { fromMcpTool, isProviderError, LMStudioProvider } from "../mod.ts";

const [question = "What did I want to buy?", command = process.execPath, ...more] = process.argv
  .slice(2);
const own = fileURLToPath(new URL("mcp_server.ts", import.meta.url));
const args = command !== process.execPath ? more : "Deno" in globalThis ? ["run", own] : [own];

const client = new Client({ name: "example", version: "1.0.0" });
try {
  await client.connect(new StdioClientTransport({ command, args }));
  const { tools } = await client.listTools();
  console.log(`Tools: ${tools.map(({ name }) => name).join(", ")}`);
  const stream = new LMStudioProvider().streamTools({
    messages: question,
    tools: tools.map((entry) =>
      fromMcpTool({
        ...entry,
        call: (args, { signal }) =>
          client.callTool({ name: entry.name, arguments: args }, undefined, { signal }),
      })
    ),
  });
  for await (const event of stream) {
    if (event.type === "chunk") process.stdout.write(event.chunk.content);
    else if (event.type === "call") console.log(`> ${event.call.name} ${event.call.arguments}`);
    else console.log(`< ${event.result}`);
  }
  console.log();
} catch (error) {
  if (!isProviderError(error)) throw error;
  console.error(`\n${error.message}`);
  process.exitCode = 1;
} finally {
  // This also ends the server, which would otherwise keep this program running.
  await client.close();
}
