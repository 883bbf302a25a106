/** A small MCP server of notes, which mcp.ts starts: it speaks over its input and output. */
// Its manifest names declarations that are not there; under the names without an end they are.
// @ts-types="npm:@modelcontextprotocol/sdk@^1.32.2/server/mcp"
import { McpServer } from "npm:@modelcontextprotocol/sdk@^1.32.2/server/mcp.js";
// @ts-types="npm:@modelcontextprotocol/sdk@^1.32.2/server/stdio"
import { StdioServerTransport } from "npm:@modelcontextprotocol/sdk@^1.32.2/server/stdio.js";
import * as z from "zod";

const NOTES = [
  "Buy milk and bread.",
  "Call the plumber on Monday.",
  "The spare key is in the shed.",
];

const server = new McpServer({ name: "notes", version: "1.0.0" });
server.registerTool("find_notes", {
  description: "The notes of the user that have a word in them",
  inputSchema: { word: z.string() },
}, ({ word }) => {
  const found = NOTES.filter((note) => note.toLowerCase().includes(word.toLowerCase()));
  return { content: [{ type: "text", text: found.join("\n") || "No note has it." }] };
});
await server.connect(new StdioServerTransport());
