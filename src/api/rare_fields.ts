/**
 * Fields that few completion requests have: tools, a schema, the user's own fields. The checks and the encoding are
 * loaded with the first request that has one; faults are still refused before anything is sent.
 *
 * @module
 */

import {
  anything,
  arrayOf,
  callback,
  describe,
  must,
  nonEmptyText,
  type RefusalMaker,
  required,
  type Rule,
  type RuleBetween,
  type Table,
  table,
  text,
} from "../core/checks.ts";
import { isRecord, quote } from "../core/fields.ts";
import type { Tool } from "../core/messages.ts";
import type { CompletionRequest } from "../core/types.ts";
import { writable } from "../core/unwritable.ts";
import { toJsonSchema } from "./json_schema.ts";

// --- Checks -------------------------------------------------------------------------------------

/** For tools in the form of OpenAI's client. */
const FLAT_TOOL_HINT =
  "Write a tool as `{ name, description, parameters, execute }`, without `function` around it.";

// Not a copy: `execute` may be a method that needs the original object as `this`.
const TOOL = table<Tool>({
  name: required(nonEmptyText),
  description: text,
  parameters: anything,
  execute: callback,
}, { isKept: true, show: describe });

/** A function that a model can call. */
export const tool: Rule<Tool> = (value, of, refusal) => {
  const isWrapped = isRecord(value) && isRecord(value.function);
  const own: RefusalMaker = isWrapped
    ? (state) => refusal(state, "invalid_request", FLAT_TOOL_HINT)
    : refusal;
  return TOOL(value, of, own);
};

/** Rule for tools, all with different names. @param nameOf returns the field that names a tool, and the name. */
export function toolsOf<T>(
  rule: Rule<T>,
  nameOf: (tool: T) => readonly [string, string],
): Rule<T[]> {
  const each = arrayOf(rule, { mayBeEmpty: true, show: describe });
  return (value, of, refusal) => {
    const tools = each(value, of, refusal);
    const seen = new Set<string>();
    for (const [index, given] of tools.entries()) {
      const [field, own] = nameOf(given);
      const key = `${field} ${own}`;
      if (seen.has(key)) {
        throw refusal(`${of}[${index}].${field} is ${describe(own)}, which is used twice`);
      }
      seen.add(key);
    }
    return tools;
  };
}

/** Rule for `toolChoice`. */
export const toolChoice: Rule = must(
  '"auto", "none", "required" or { name }',
  (choice) =>
    choice === "auto" || choice === "none" || choice === "required" ||
    isRecord(choice) && typeof choice.name === "string",
);

/** Rule between the tools and the choice among them. @param namesOf the names that this choice may refer to. */
export function choiceAmong<T extends { readonly toolChoice?: CompletionRequest["toolChoice"] }>(
  namesOf: (request: T, choice: CompletionRequest["toolChoice"]) => readonly string[],
): RuleBetween<T> {
  return (request) => {
    const { toolChoice: choice } = request;
    if (choice === undefined || choice === "auto" || choice === "none") return;
    const names = namesOf(request, choice);
    if (names.length === 0) return "toolChoice requires a tool, but there are no tools";
    if (choice === "required" || names.includes(choice.name)) return;
    return `toolChoice names ${describe(choice.name)}, but the tools are ${
      names.map(describe).join(", ")
    }`;
  };
}

/** Tools, and the choice among them. */
export const TOOLS: Table<Pick<CompletionRequest, "tools" | "toolChoice">> = table<
  Pick<CompletionRequest, "tools" | "toolChoice">
>({
  tools: toolsOf(tool, ({ name }) => ["name", name]),
  toolChoice,
}, { between: [choiceAmong(({ tools = [] }) => tools.map(({ name }) => name))] });

/** Refuses rare fields that cannot be sent. @param request checked except for these fields. */
export function checkRareFields(request: CompletionRequest, refusal: RefusalMaker): void {
  const { tools, toolChoice, extraBody } = request;
  TOOLS({ tools, toolChoice }, "", refusal);
  if (extraBody !== undefined) writable(extraBody, "extraBody", refusal);
}

// --- Encoding -----------------------------------------------------------------------------------

/** The encoded rare fields, without `extraBody`. @param action completes "Cannot …". */
export async function encodeRareFields(
  request: CompletionRequest,
  refusal: RefusalMaker,
  action: string,
): Promise<Record<string, unknown>> {
  checkRareFields(request, refusal);
  const { tools: given = [], toolChoice, schema, schemaName } = request;
  const body: Record<string, unknown> = {};
  if (given.length > 0) {
    const tools = await Promise.all(given.map((tool) => encodeTool(tool, refusal, action)));
    // The server accepts only words, so a named choice becomes "required" with that tool alone.
    const named = typeof toolChoice === "object" ? toolChoice.name : undefined;
    body.tools = named === undefined ? tools : tools.filter((tool) => tool.function.name === named);
    body.tool_choice = named === undefined ? toolChoice : "required";
  }
  if (schema !== undefined) {
    const use = { name: "schema", code: "unsupported_response_format", refusal, action } as const;
    body.response_format = {
      type: "json_schema",
      json_schema: {
        name: schemaName ?? "response",
        strict: true,
        schema: await toJsonSchema(schema, use),
      },
    };
  }
  return body;
}

/** A function in the form of the completions route. */
export interface WireTool {
  readonly type: "function";
  readonly function: {
    readonly name: string;
    readonly description: string | undefined;
    readonly parameters: Record<string, unknown>;
  };
}

/** Encodes a function. @param action completes "Cannot …". */
export async function encodeTool(
  tool: Tool,
  refusal: RefusalMaker,
  action: string,
): Promise<WireTool> {
  const name = `\`parameters\` of tool ${quote(tool.name)}`;
  const { parameters = {} } = tool;
  const use = { name, code: "invalid_tool_schema", refusal, action } as const;
  const schema = await toJsonSchema(parameters, use);
  if (schema.type !== undefined && schema.type !== "object") {
    throw refusal(
      `${name} has type ${describe(schema.type)}, not "object"`,
      "invalid_tool_schema",
    );
  }
  return {
    type: "function",
    function: {
      name: tool.name,
      description: tool.description,
      // The server refuses parameters without `type` and `properties`.
      parameters: { ...schema, type: "object", properties: schema.properties ?? {} },
    },
  };
}
