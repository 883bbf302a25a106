/**
 * Turns a call of the AI SDK into a request of this package, with warnings for what cannot be done as asked.
 *
 * @module
 */

import { withoutUndefined } from "../core/fields.ts";
import type { CallOptions, CompletionRequest } from "../core/types.ts";
import type { Tool } from "../core/messages.ts";
import type { JsonSchema } from "../core/schema.ts";
import { CallIds } from "../members/tool_answer.ts";
import { type LeaveOut, toMessages } from "./prompt.ts";
import type {
  JsonObject,
  LanguageModelV4CallOptions,
  SharedV4ProviderOptions,
  SharedV4Warning,
} from "./specification.ts";

/** The key of this provider's options and metadata. */
export const NAME = "lmstudio";

/** The arguments of `complete` and `streamCompletion`, with warnings. */
export interface CompletionCall {
  readonly request: CompletionRequest;
  readonly options: CallOptions;
  readonly warnings: SharedV4Warning[];
  /** Ids of the calls in the conversation: those of the answer must differ. */
  readonly ids: CallIds;
}

/** Fields that every SDK call has. */
interface SdkCall {
  readonly abortSignal?: AbortSignal | undefined;
  readonly headers?: Readonly<Record<string, string | undefined>> | undefined;
  readonly providerOptions?: SharedV4ProviderOptions | undefined;
}

/** Call options that JSON can hold; all other fields of `providerOptions.lmstudio` belong to the request. */
const CALL_OPTIONS: ReadonlySet<string> = new Set(
  [
    "maxRetries",
    "timeoutMs",
    "connectTimeoutMs",
    "firstTokenTimeoutMs",
    "idleTimeoutMs",
  ] satisfies (keyof CallOptions)[],
);

type Reasoning = NonNullable<LanguageModelV4CallOptions["reasoning"]>;
const REASONING: ReadonlyMap<Reasoning, CompletionRequest["reasoning"]> = new Map([
  ["provider-default", undefined],
  ["none", "off"],
  ["minimal", "low"],
  ["low", "low"],
  ["medium", "medium"],
  ["high", "high"],
  ["xhigh", "high"],
  ["max", "high"],
]);

/** @throws the SDK's `UnsupportedFunctionalityError` if the prompt has content that cannot be sent. */
export function toCompletionCall(
  modelId: string | undefined,
  call: LanguageModelV4CallOptions,
  defaults: CallOptions,
): CompletionCall {
  const warnings: SharedV4Warning[] = [];
  const warned = new Set<string>();
  const warn = (type: "unsupported" | "compatibility", feature: string, details?: string): void => {
    if (warned.has(feature)) return;
    warned.add(feature);
    warnings.push({ type, feature, ...(details === undefined ? {} : { details }) });
  };
  const leaveOut: LeaveOut = (feature, details) => warn("unsupported", feature, details);
  const { own, options } = splitOptions(call, defaults);
  const { reasoning = "provider-default", responseFormat: format, toolChoice: choice } = call;
  if (reasoning === "minimal" || reasoning === "xhigh" || reasoning === "max") {
    warn(
      "compatibility",
      `reasoning "${reasoning}"`,
      `"${REASONING.get(reasoning)}" is requested instead.`,
    );
  } else if (!REASONING.has(reasoning)) leaveOut(`reasoning "${String(reasoning)}"`);
  if (format?.type === "json" && format.schema === undefined) {
    warn(
      "compatibility",
      "JSON without a schema",
      "LM Studio needs a schema: one that allows any object is sent.",
    );
  }
  if (format !== undefined && format.type !== "json" && format.type !== "text") {
    leaveOut(`responses of type ${String((format as { type: unknown }).type)}`);
  }
  if (call.includeRawChunks === true) leaveOut("raw chunks");
  const tools = toolsOf(call.tools, leaveOut);
  const messages = toMessages(call.prompt, leaveOut);
  const request: CompletionRequest = {
    ...own,
    // Undefined fields must not hide those of `providerOptions`.
    ...withoutUndefined({
      model: modelId,
      maxTokens: call.maxOutputTokens,
      temperature: call.temperature,
      stop: call.stopSequences?.length === 0 ? undefined : call.stopSequences,
      topP: call.topP,
      topK: call.topK,
      presencePenalty: call.presencePenalty,
      frequencyPenalty: call.frequencyPenalty,
      seed: call.seed,
      reasoning: REASONING.get(reasoning),
      ...(format?.type === "json" ? schemaOf(format) : {}),
      tools,
      toolChoice: choice?.type === "tool" ? { name: choice.toolName } : choice?.type,
    }),
    messages,
  };
  return { request, options, warnings, ids: new CallIds(messages) };
}

/** Splits `providerOptions.lmstudio` into fields of the request and options of the call. */
export function splitOptions(
  { abortSignal, headers, providerOptions }: SdkCall,
  defaults: CallOptions,
): { readonly own: JsonObject; readonly options: CallOptions } {
  const given = Object.entries(providerOptions?.[NAME] ?? {});
  const isOption = ([name]: [string, unknown]): boolean => CALL_OPTIONS.has(name);
  const sent = Object.entries(headers ?? {}).filter((header): header is [string, string] =>
    header[1] !== undefined
  );
  return {
    own: Object.fromEntries(given.filter((entry) => !isOption(entry))),
    options: {
      ...defaults,
      ...Object.fromEntries(given.filter(isOption)),
      signal: abortSignal,
      headers: Object.fromEntries(sent),
    },
  };
}

type JsonFormat = Extract<LanguageModelV4CallOptions["responseFormat"], { type: "json" }>;

function schemaOf(
  { schema, name, description }: JsonFormat,
): Pick<CompletionRequest, "schema" | "schemaName"> {
  const shape = asSchema(schema ?? { type: "object" });
  return {
    schema: description === undefined ? shape : { description, ...shape },
    schemaName: name === "" ? undefined : name,
  };
}

function toolsOf(
  tools: LanguageModelV4CallOptions["tools"],
  leaveOut: LeaveOut,
): Tool[] | undefined {
  const kept: Tool[] = [];
  for (const tool of tools ?? []) {
    if (tool.type === "provider") {
      leaveOut(
        `provider-defined tool ${tool.id}`,
        "LM Studio cannot run tools of other providers.",
      );
      continue;
    }
    if (tool.type !== "function") {
      leaveOut(`tools of type ${String((tool as { type: unknown }).type)}`);
      continue;
    }
    if (tool.strict === true) {
      leaveOut("strict tools", "LM Studio does not check arguments; the AI SDK does.");
    }
    if (tool.inputExamples !== undefined && tool.inputExamples.length > 0) {
      leaveOut("tool input examples", "Put them in the tool's description.");
    }
    const { name, description, inputSchema } = tool;
    kept.push({ name, description, parameters: asSchema(inputSchema) });
  }
  return kept.length === 0 ? undefined : kept;
}

/** Checked with the request: the SDK's type depends on which JSON Schema types are installed. */
function asSchema(schema: object): JsonSchema {
  return schema as JsonSchema;
}
