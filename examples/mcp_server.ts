/** A small MCP server for notes, started by mcp.ts. It communicates over stdin and stdout. */
// The package's manifest points to missing declarations; the names without an extension have them.
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
  description: "Finds the user's notes that contain a word",
  inputSchema: { word: z.string() },
}, ({ word }) => {
  const found = NOTES.filter((note) => note.toLowerCase().includes(word.toLowerCase()));
  return { content: [{ type: "text", text: found.join("\n") || "No note contains it." }] };
});
await server.connect(new StdioServerTransport());
