/** `fromMcpTool` with the MCP SDK: a server and a client in memory, wired as docs/tools.md shows it. */
import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { Client } from "npm:@modelcontextprotocol/sdk@^1.32.2/client";
// The package's manifest points to missing declarations for these two; the names without an extension have them.
// @ts-types="npm:@modelcontextprotocol/sdk@^1.32.2/inMemory"
import { InMemoryTransport } from "npm:@modelcontextprotocol/sdk@^1.32.2/inMemory.js";
// @ts-types="npm:@modelcontextprotocol/sdk@^1.32.2/server/mcp"
import { McpServer } from "npm:@modelcontextprotocol/sdk@^1.32.2/server/mcp.js";
import * as z from "zod";
import { fromMcpTool, LMStudioProvider, type Message, type Tool } from "../mod.ts";
import { createFakeLMStudio, type FakeToolCall } from "../src/testing/mod.ts";

const ASK = "How warm is it in Oslo?";

/** A client of a server with these tools; disposal ends both. */
async function connect(register: (server: McpServer) => void) {
  const server = new McpServer({ name: "weather", version: "1.0.0" });
  register(server);
  const client = new Client({ name: "tests", version: "1.0.0" });
  const [serverSide, clientSide] = InMemoryTransport.createLinkedPair();
  await Promise.all([server.connect(serverSide), client.connect(clientSide)]);
  return { client, [Symbol.asyncDispose]: () => client.close() };
}

/** As documented. */
async function toolsOf(client: Client): Promise<Tool[]> {
  const { tools } = await client.listTools();
  return tools.map((entry) =>
    fromMcpTool({
      ...entry,
      call: (args, { signal }) =>
        client.callTool({ name: entry.name, arguments: args }, undefined, { signal }),
    })
  );
}

/** A model that makes these tool calls first. */
function modelThatCalls(...toolCalls: FakeToolCall[]) {
  const fake = createFakeLMStudio({ replies: [{ toolCalls }, "Done."] });
  return { fake, lmstudio: new LMStudioProvider({ env: {}, fetch: fake.fetch }) };
}

/** The results that the model got for its tool calls. */
function told(messages: readonly Message[]): unknown[] {
  return messages.flatMap((message) => message.role === "tool" ? [message.content] : []);
}

Deno.test("mcp sdk: a listed tool is shown to the model as its server describes it", async () => {
  await using mcp = await connect((server) => {
    const inputSchema = { city: z.string().describe("Without the country"), days: z.number() };
    server.registerTool("forecast", { description: "The weather", inputSchema }, () => ({
      content: [{ type: "text", text: "rain" }],
    }));
    server.registerTool("now", {}, () => ({ content: [{ type: "text", text: "noon" }] }));
  });
  const { fake, lmstudio } = modelThatCalls({ name: "now" });
  const { messages } = await lmstudio.runTools({
    messages: ASK,
    tools: await toolsOf(mcp.client),
  });
  assertEquals(told(messages), ["noon"]);
  const body = fake.requests[1]?.body as { tools: { function: Record<string, unknown> }[] };
  const [forecast, now] = body.tools.map((wireTool) => wireTool.function);
  assertEquals(Object.keys(forecast!).sort(), ["description", "name", "parameters"]);
  assertEquals([forecast?.name, forecast?.description], ["forecast", "The weather"]);
  const { properties, required } = forecast?.parameters as Record<string, unknown>;
  assertEquals(properties, {
    city: { type: "string", description: "Without the country" },
    days: { type: "number" },
  });
  assertEquals(required, ["city", "days"]);
  assertEquals(now, { name: "now", parameters: { type: "object", properties: {} } });
});

/** One tool for each kind of result. */
function registerEveryKind(server: McpServer): void {
  const inputSchema = { city: z.string() };
  const outputSchema = { celsius: z.number() };
  server.registerTool("text", { inputSchema }, ({ city }) => ({
    content: [{ type: "text", text: `${city}:` }, { type: "text", text: "4 degrees" }],
  }));
  server.registerTool("image", {}, () => ({
    content: [{ type: "image", data: "AAAA", mimeType: "image/png" }],
  }));
  server.registerTool("structured", { outputSchema }, () => ({
    content: [],
    structuredContent: { celsius: 4 },
  }));
  server.registerTool("failed", {}, () => ({
    content: [{ type: "text", text: "no such city" }],
    isError: true,
  }));
  server.registerTool("throws", {}, () => {
    throw new Error("the thermometer is broken");
  });
}

Deno.test("mcp sdk: what the model gets for every kind of result, whole and streamed", async () => {
  await using mcp = await connect(registerEveryKind);
  const tools = await toolsOf(mcp.client);
  const calls = [
    { name: "text", arguments: { city: "Oslo" } },
    { name: "image" },
    { name: "structured" },
    { name: "failed" },
    { name: "throws" },
  ];
  const expected = [
    "Oslo:\n4 degrees",
    "[not shown: image, image/png, 3 bytes]",
    '{"celsius":4}',
    "Error: no such city",
    "Error: the thermometer is broken",
  ];
  const whole = await modelThatCalls(...calls).lmstudio.runTools({ messages: ASK, tools });
  assertEquals(told(whole.messages), expected);
  assertEquals(whole.response.content, "Done.");

  const stream = modelThatCalls(...calls).lmstudio.streamTools({ messages: ASK, tools });
  const failed: string[] = [];
  for await (const event of stream) {
    if (event.type === "result" && event.isError) failed.push(event.call.name);
  }
  assertEquals(failed.sort(), ["failed", "throws"]);
  assertEquals(told((await stream.result()).messages), expected);
});

Deno.test("mcp sdk: arguments that the server refuses are reported to the model by path", async () => {
  await using mcp = await connect(registerEveryKind);
  const { lmstudio } = modelThatCalls({ name: "text", arguments: { city: 7 } });
  const tools = await toolsOf(mcp.client);
  const { messages, response } = await lmstudio.runTools({ messages: ASK, tools });
  const result = String(told(messages)[0]);
  assert(result.startsWith("Error: "), result);
  assertStringIncludes(result, "expected string, received number at city");
  assertEquals(response.content, "Done.");
});

Deno.test("mcp sdk: a server that has exited does not end the conversation", async () => {
  const mcp = await connect(registerEveryKind);
  const tools = await toolsOf(mcp.client);
  await mcp.client.close();
  const { lmstudio } = modelThatCalls({ name: "image" });
  const { messages } = await lmstudio.runTools({ messages: ASK, tools });
  assertEquals(told(messages), ["Error: Not connected"]);
});

Deno.test("mcp sdk: an abort reaches the tool in the server", async () => {
  const started = Promise.withResolvers<void>();
  const stopped = Promise.withResolvers<void>();
  await using mcp = await connect((server) => {
    server.registerTool("slow", {}, ({ signal }) => {
      signal.addEventListener("abort", () => stopped.resolve());
      started.resolve();
      return stopped.promise.then(() => ({ content: [] }));
    });
  });
  const { lmstudio } = modelThatCalls({ name: "slow" });
  const controller = new AbortController();
  const tools = await toolsOf(mcp.client);
  const running = lmstudio.runTools({ messages: ASK, tools }, { signal: controller.signal });
  await started.promise;
  const reason = new Error("enough");
  controller.abort(reason);
  assertEquals(await assertRejects(() => running), reason);
  await stopped.promise;
});

Deno.test("mcp sdk: an abort does not cancel a tool call that was already answered", async () => {
  await using mcp = await connect(registerEveryKind);
  const { lmstudio } = modelThatCalls({ name: "structured" }, { name: "image" });
  const tools = await toolsOf(mcp.client);
  const transport = mcp.client.transport!;
  const send = transport.send.bind(transport);
  const sent: string[] = [];
  transport.send = (message, ...rest) => {
    if ("method" in message) sent.push(message.method);
    return send(message, ...rest);
  };
  const stream = lmstudio.streamTools({ messages: ASK, tools });
  let results = 0;
  for await (const event of stream) if (event.type === "result" && ++results === 2) break;
  assertEquals(sent, ["tools/call", "tools/call"]);
});

Deno.test("mcp: a tool run by hand has a signal as well", async () => {
  let seen: AbortSignal | undefined;
  const now = fromMcpTool({
    name: "now",
    call: (_, { signal }) => {
      seen = signal;
      return { content: [] };
    },
  });
  await now.execute?.({}, { toolCallId: "1", messages: [] });
  assertEquals(seen?.aborted, false);
});
