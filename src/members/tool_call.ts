/**
 * One tool call, from the model's text to the result for the model. Anything wrong with the call is reported to the
 * model, which can correct it; only an error from `onToolCall` ends the loop.
 *
 * @module
 */

import { isStandardSchema } from "../api/json_schema.ts";
import { isRecord, quote } from "../core/fields.ts";
import type { Tool, ToolCall, ToolContext } from "../core/messages.ts";
import { anything, describe, describeType, type RefusalMaker, table } from "../core/checks.ts";
import type { SchemaIssue } from "../core/schema.ts";
import { checkBySchema, describeIssue } from "../core/schema_check.ts";
import type { RunToolsRequest } from "../core/tool_loop.ts";
import { type CallOutcome, type ImageUse, outcomeOf } from "./tool_result.ts";

const DECISION = table<{ deny?: unknown; arguments?: unknown }>({
  deny: anything,
  arguments: anything,
});
const DECISION_HINT =
  'Return nothing from onToolCall to run the call, `{ deny: "why not" }` to deny it, or `{ arguments: "{…}" }` to change it.';
/** Maximum number of issues sent to the model: a hundred would only cost context. */
const MOST_ISSUES = 10;

/** Asks `onToolCall` about a call; returns the call to run, or the outcome if it is denied. */
export async function decideCall(
  call: ToolCall,
  onToolCall: RunToolsRequest["onToolCall"],
  refuseCall: RefusalMaker,
): Promise<ToolCall | CallOutcome> {
  const refusal: RefusalMaker = (state) => refuseCall(state, "invalid_request", DECISION_HINT);
  const decision: unknown = await onToolCall?.({ ...call });
  if (decision === undefined || decision === null) return call;
  // JavaScript callers may return `false` to deny a call: it must not count as approval.
  if (!isRecord(decision)) {
    throw refusal(`onToolCall returned ${describeType(decision)}`);
  }
  const { deny, arguments: text } = DECISION(decision, "the result of onToolCall", refusal);
  if (deny !== undefined) {
    if (typeof deny !== "string") throw refusal(`deny is ${describe(deny)}, not a string`);
    return { result: deny === "" ? "The call was denied." : deny, isError: true };
  }
  if (text === undefined) return call;
  if (typeof text !== "string") {
    throw refusal(`the arguments from onToolCall are ${describe(text)}, not a JSON string`);
  }
  return { ...call, arguments: text };
}

/** Runs a call. Never rejects. @param isCut whether the answer hit its token limit, perhaps within the arguments. */
export async function runCall(
  call: ToolCall,
  tool: Tool,
  context: ToolContext,
  isCut: boolean,
  use: ImageUse,
): Promise<CallOutcome> {
  try {
    const args = await readArguments(call, tool, isCut);
    return await outcomeOf(await tool.execute?.(args, context), use);
  } catch (error) {
    return failed(reasonOf(error));
  }
}

/** Outcome for a call to a tool that does not exist. */
export function unknownTool(name: string, tools: readonly Tool[]): CallOutcome {
  const known = tools.map((tool) => quote(tool.name)).join(", ");
  return failed(
    `there is no tool ${quote(name)}; ${known ? `the tools are ${known}` : "there are no tools"}`,
  );
}

function failed(reason: string): CallOutcome {
  return { result: `Error: ${reason}`, isError: true };
}

/** Parses and validates the arguments; returns the schema's output. */
async function readArguments(
  call: ToolCall,
  tool: Tool,
  isCut: boolean,
): Promise<Record<string, unknown>> {
  const parsed = parseArguments(call.arguments, isCut);
  const { parameters } = tool;
  if (!isStandardSchema(parameters)) return parsed;
  const verdict = await checkBySchema(parameters, parsed);
  if (verdict.kind === "thrown") throw verdict.error;
  if (verdict.kind === "invalid") throw new Error(describeIssues(verdict.issues));
  // `tool()` types the argument of `execute` as the schema's output.
  return verdict.value as Record<string, unknown>;
}

function parseArguments(text: string, isCut: boolean): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(text.trim() === "" ? "{}" : text);
  } catch (error) {
    if (isCut) {
      throw new Error("the answer reached its token limit within the arguments; send less");
    }
    const problem = error instanceof Error ? ` (${error.message})` : "";
    throw new Error(`the arguments are not valid JSON${problem}; send a JSON object`);
  }
  if (isRecord(value)) return value;
  throw new Error(
    `the arguments are ${describeType(value)}; send a JSON object`,
  );
}

function describeIssues(issues: readonly SchemaIssue[]): string {
  const shown = issues.slice(0, MOST_ISSUES).map(describeIssue);
  const left = issues.length - shown.length;
  return `the arguments are not valid: ${shown.join("; ")}${left > 0 ? `; and ${left} more` : ""}`;
}

/** The message of a thrown value, without stack or cause. */
function reasonOf(error: unknown): string {
  try {
    if (typeof error === "string" && error !== "") return error;
    if (error instanceof Error || isRecord(error)) {
      const { message } = error;
      if (typeof message === "string" && message !== "") return message;
    }
  } catch {
    // A getter threw: there is no message to report.
  }
  return "the tool failed";
}
