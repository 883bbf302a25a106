/**
 * Tools as users define them: with an `execute` typed from the schema, or adapted from an MCP server. The MCP types are
 * written out here, so that no MCP package is needed.
 *
 * @see https://modelcontextprotocol.io/specification/2025-06-18/server/tools
 * @module
 */

import { providerError } from "./errors.ts";
import { isRecord } from "./fields.ts";
import { importOnUse } from "./import_on_use.ts";
import type { Tool, ToolContext } from "./messages.ts";
import type { JsonSchema, StandardSchema } from "./schema.ts";

/**
 * Argument type of `execute`: the schema's output; with plain JSON Schema or no schema, an object of unknown fields.
 */
export type ToolArguments<Parameters> = Parameters extends {
  readonly "~standard": { readonly types?: { readonly output: infer Output } | undefined };
} ? Output
  : Record<string, unknown>;

/** Definition of a tool, for `tool()`: `execute` takes the schema's output. */
export interface ToolDefinition<Parameters extends JsonSchema | StandardSchema | undefined> {
  /** Name the model calls it by. */
  name: string;
  /** Tells the model what the tool is for. */
  description?: string | undefined;
  /**
   * Schema of the arguments, which must be an object.
   * @default {no arguments}
   */
  parameters?: Parameters;
  /** Function that runs when the model calls the tool; see `Tool`. */
  execute?: ((args: ToolArguments<Parameters>, context: ToolContext) => unknown) | undefined;
}

/**
 * Defines a tool whose `execute` gets its argument types from the schema. Returns the definition unchanged.
 *
 * @see https://lmstudio.ai/docs/developer/openai-compat/tools
 *
 * @example
 * ```ts
 * import { LMStudioProvider, tool } from "jsr:@patinox/lmstudio";
 * import * as z from "npm:zod@4";
 *
 * const weather = tool({
 *   name: "weather",
 *   description: "The weather in a city",
 *   parameters: z.object({ city: z.string(), days: z.number().default(1) }),
 *   execute: ({ city, days }) => `${city}: rain for ${days} days`,
 * });
 * const { response } = await new LMStudioProvider().runTools({
 *   messages: "Do I need an umbrella in Oslo?",
 *   tools: [weather],
 * });
 * console.log(response.content);
 * ```
 */
export function tool<
  Parameters extends JsonSchema | StandardSchema | undefined = undefined,
>(definition: ToolDefinition<Parameters>): Tool {
  // The tool loop passes the schema's output to `execute`; only here are the two types known to agree.
  return definition as unknown as Tool;
}

// --- Tools of MCP servers -----------------------------------------------------------------------

/** MCP tool as listed by its server, with a function that calls it. */
export interface McpTool {
  /** Name of the tool. */
  name: string;
  /** Tells the model what the tool is for. */
  description?: string | undefined;
  /**
   * JSON Schema of the arguments.
   * @default {no arguments}
   */
  inputSchema?: JsonSchema | undefined;
  /**
   * Calls the tool, for example with `client.callTool` of the MCP SDK. `signal` is always set, since the options of
   * `callTool` do not accept `undefined`.
   */
  call(
    args: Record<string, unknown>,
    context: ToolContext & { readonly signal: AbortSignal },
  ): McpToolResult | Promise<McpToolResult>;
}

/** Result of `tools/call` from an MCP server. */
export interface McpToolResult {
  /** Text, images, audio and resources. */
  readonly content?: unknown;
  /** The result as JSON; used if there is no content. */
  readonly structuredContent?: unknown;
  /** Whether the tool failed; `content` then describes the failure. */
  readonly isError?: boolean | undefined;
  /** The result in the first version of the protocol. */
  readonly toolResult?: unknown;
}

/**
 * Converts a tool of an MCP server to a tool for a request. The model gets the texts of the result, joined by newlines,
 * and sees PNG and JPEG images; other parts are replaced by their kind and size. A result with `isError` reaches the
 * model as an error.
 *
 * @throws {InvalidRequestError} `call` is missing.
 * @see https://lmstudio.ai/docs/developer/openai-compat/tools
 *
 * @example
 * ```ts
 * import { fromMcpTool, LMStudioProvider } from "jsr:@patinox/lmstudio";
 *
 * // With the MCP SDK: `(await client.listTools()).tools`, and `client.callTool` for the call.
 * const listed = [{ name: "now", inputSchema: { type: "object" } }];
 * const tools = listed.map((entry) =>
 *   fromMcpTool({
 *     ...entry,
 *     call: () => ({ content: [{ type: "text", text: new Date().toISOString() }] }),
 *   })
 * );
 * const { response } = await new LMStudioProvider().runTools({ messages: "What time is it?", tools });
 * console.log(response.content);
 * ```
 */
export function fromMcpTool(tool: McpTool): Tool {
  const given: unknown = tool;
  if (!isRecord(given) || typeof given.call !== "function") {
    const state = isRecord(given) ? "its `call` is not a function" : "it is not an object";
    const hint = "Pass the entry from the MCP server's tool list, and a `call` function.";
    throw providerError("invalid_request", `Cannot use an MCP tool: ${state}`, {
      attempts: 0,
      hint,
    });
  }
  const { name, description, inputSchema } = tool;
  return {
    name,
    description,
    parameters: inputSchema,
    execute: async (args, context) => {
      const signal = context.signal ?? new AbortController().signal;
      const result: unknown = await tool.call(args, { ...context, signal });
      const { readMcpResult } = await importOnUse(() => import("./mcp_result.ts"), "read a result");
      return readMcpResult(result);
    },
  };
}
