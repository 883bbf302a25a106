/**
 * Tools whose `execute` is typed by their schema.
 *
 * @module
 */

import type { Tool, ToolContext } from "./messages.ts";
import type { JsonSchema, StandardSchema } from "./schema.ts";

/** What `execute` gets for a schema: its output; for plain JSON Schema, and without one, an object of anything. */
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
  /** What is run when the model calls it; see `Tool`. */
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
