/**
 * Tools as users make them: with an `execute` that is typed by their schema, and out of those of an MCP server. Written
 * after the protocol's types, so that no MCP package is needed.
 *
 * @see https://modelcontextprotocol.io/specification/2025-06-18/server/tools
 * @module
 */

import { providerError } from "./errors.ts";
import { isRecord } from "./fields.ts";
import { importOnUse } from "./import_on_use.ts";
import type { Tool, ToolContext } from "./messages.ts";
import type { JsonSchema, StandardSchema } from "./schema.ts";

/** Argument of `execute`: the output of the schema; for plain JSON Schema, and without one, an object of anything. */
export type ToolArguments<Parameters> = Parameters extends {
  readonly "~standard": { readonly types?: { readonly output: infer Output } | undefined };
} ? Output
  : Record<string, unknown>;

/** A `Tool` before `tool()`: `execute` takes what the schema gives. */
export interface ToolDefinition<Parameters extends JsonSchema | StandardSchema | undefined> {
  /** Name the model calls it by. */
  name: string;
  /** Tells the model what it is for. */
  description?: string | undefined;
  /**
   * Shape of the arguments: an object.
   * @default {no arguments}
   */
  parameters?: Parameters;
  /** Called when the model calls the tool; see `Tool`. */
  execute?: ((args: ToolArguments<Parameters>, context: ToolContext) => unknown) | undefined;
}

/**
 * Gives `execute` the type of its arguments, from the schema. The tool itself is returned as it is.
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
  // The loop gives `execute` what the schema gave: the one place where the two types are known to agree.
  return definition as unknown as Tool;
}

// --- Tools of MCP servers -----------------------------------------------------------------------

/** A tool as an MCP server lists it, and how to call it. */
export interface McpTool {
  /** The tool's name. */
  name: string;
  /** Purpose of the tool, for the model. */
  description?: string | undefined;
  /**
   * JSON Schema of its arguments.
   * @default {no arguments}
   */
  inputSchema?: JsonSchema | undefined;
  /** Calls it, such as by `client.callTool` of the MCP SDK, whose options take the signal only if there is one. */
  call(
    args: Record<string, unknown>,
    context: ToolContext & { readonly signal: AbortSignal },
  ): McpToolResult | Promise<McpToolResult>;
}

/** Answer of an MCP server to `tools/call`. */
export interface McpToolResult {
  /** Texts, images, sounds and resources. */
  readonly content?: unknown;
  /** The same as JSON; used where there is no content. */
  readonly structuredContent?: unknown;
  /** Whether the tool failed; `content` then says how. */
  readonly isError?: boolean | undefined;
  /** The result in the protocol's first version. */
  readonly toolResult?: unknown;
}

/**
 * A tool of an MCP server as one of a request. The model gets the texts of its result, joined by line ends, and sees
 * images in PNG and JPEG; other parts are only named, with their kind and size. A result with `isError` reaches the
 * model as an error.
 *
 * @throws {InvalidRequestError} it has no `call`.
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
    const state = isRecord(given) ? "its `call` is no function" : "it is no object";
    const hint = "Give it the entry of the MCP server's listing, and `call`, which calls the tool.";
    throw providerError("invalid_request", `Cannot take a tool of an MCP server: ${state}`, {
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
