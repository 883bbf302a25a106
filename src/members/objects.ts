/**
 * Typed objects: answers in JSON, validated by the schema in the request.
 *
 * @module
 */

import { COMPLETION_REQUEST } from "../api/completion_request.ts";
import { COMPLETIONS } from "../api/completions.ts";
import { isStandardSchema } from "../api/json_schema.ts";
import type { ItemSource, StreamedRoute } from "../api/route.ts";
import { type ParseError, providerError } from "../core/errors.ts";
import { quote } from "../core/fields.ts";
import { extend, required, wholeNumber } from "../core/checks.ts";
import { PartialJson } from "../core/partial_json.ts";
import type {
  DeepPartial,
  JsonSchema,
  SchemaIssue,
  SchemaOutput,
  StandardSchema,
} from "../core/schema.ts";
import { checkBySchema, describeIssue } from "../core/schema_check.ts";
import type {
  CallOptions,
  CompletionRequest,
  CompletionResponse,
  FinishReason,
  PartialAnswer,
  StreamingChunk,
} from "../core/types.ts";
import { untilAborted } from "../transport/timers.ts";
import { ask, openPrepared, prepare, type PreparedCall } from "../server/calls.ts";
import { partialOf, type Server } from "../server/server.ts";
import { keepingPartial } from "./kept_partial.ts";

/** A completion request with the schema of the object you want. */
export interface ObjectRequest<Schema extends StandardSchema | JsonSchema>
  extends Omit<CompletionRequest, "schema"> {
  /**
   * Schema of the answer: from zod 4 or zod/mini, from ArkType, from Valibot through `toStandardJsonSchema`, or from any
   * other library that provides JSON Schema through Standard Schema. Plain JSON Schema works too: it is sent to the
   * server, but answers are not validated against it.
   */
  schema: Schema;
  /**
   * Number of times an answer that does not match the schema may be sent back to the model with its issues, 0 to 10.
   * Each repair is one more request.
   * @default {0}
   */
  maxRepairs?: number | undefined;
}

/** An answer that fits its schema. */
export interface ObjectResponse<Value> {
  /** The output of the schema, with its defaults and transformations applied. */
  object: Value;
  /** The answer that contained the object. After repairs this is the last answer, and `usage` covers only that one. */
  response: CompletionResponse;
}

const ACTION = "complete an object";
const STREAM_ACTION = "stream an object";
const MAX_REPAIRS = 10;
/** Maximum number of issues in an error message. */
const SHOWN_ISSUES = 3;
/** Maximum number of issues sent to the model: more would only fill its context. */
const TOLD_ISSUES = 20;

/** Implements `LMStudioProvider.completeObject`. */
export async function completeObject<Schema extends StandardSchema | JsonSchema>(
  server: Server,
  input: ObjectRequest<Schema>,
  options: CallOptions | undefined,
): Promise<ObjectResponse<SchemaOutput<Schema>>> {
  const prepared = await prepare(server, OBJECTS, ACTION, input, options);
  const judge = new Judge<Schema>(prepared);
  for (let { body } = prepared;;) {
    const response = await judge.attempt(() => ask({ ...prepared, body }));
    const next = await judge.settle(response);
    if ("object" in next) return next;
    body = next.body;
  }
}

/** Opens the source of events for `LMStudioProvider.streamObject`. */
export async function openObjectStream<Schema extends StandardSchema | JsonSchema>(
  server: Server,
  input: ObjectRequest<Schema>,
  options: CallOptions | undefined,
  signal: AbortSignal,
): Promise<PartialObjects<Schema>> {
  return new PartialObjects(
    await prepare(server, OBJECTS, STREAM_ACTION, input, options, { signal }),
  );
}

type PreparedObject = PreparedCall<
  CompletionRequest & ObjectFields,
  CompletionResponse,
  typeof OBJECTS
>;

/** The objects in a streamed answer, and in the answers that repair it. */
class PartialObjects<Schema>
  implements ItemSource<DeepPartial<SchemaOutput<Schema>>, ObjectResponse<SchemaOutput<Schema>>> {
  readonly #prepared: PreparedObject;
  readonly #judge: Judge<Schema>;
  #source: ItemSource<StreamingChunk, CompletionResponse>;
  /** Replaced for each answer: a repair starts over. */
  #json = new PartialJson();
  #result: ObjectResponse<SchemaOutput<Schema>> | undefined;
  #isClosed = false;

  constructor(prepared: PreparedObject) {
    this.#prepared = prepared;
    this.#judge = new Judge(prepared);
    this.#source = openPrepared(prepared);
  }

  async fill(items: DeepPartial<SchemaOutput<Schema>>[]): Promise<boolean> {
    const chunks: StreamingChunk[] = [];
    let isAll = false;
    try {
      isAll = await this.#judge.attempt(() => this.#source.fill(chunks));
    } finally {
      for (const { content } of chunks) {
        this.#json.feed(content);
        const next = this.#json.next();
        // Not validated yet: the type is only what the schema sent to the server promises.
        if (next !== undefined) items.push(next.value as DeepPartial<SchemaOutput<Schema>>);
      }
    }
    if (!isAll) return false;
    const next = await this.#judge.settle(await this.#source.response());
    if ("object" in next) {
      this.#result = next;
      items.push(next.object as DeepPartial<SchemaOutput<Schema>>);
      return true;
    }
    this.#json = new PartialJson();
    this.#source = openPrepared({ ...this.#prepared, body: next.body });
    if (this.#isClosed) this.#source.close();
    return false;
  }

  partial(): PartialAnswer | undefined {
    return this.#source.partial() ?? this.#judge.partial();
  }

  response(): ObjectResponse<SchemaOutput<Schema>> {
    if (this.#result === undefined) throw new TypeError("There is no object yet");
    return this.#result;
  }

  close(): void {
    this.#isClosed = true;
    this.#source.close();
  }
}

/** Checks the answers of one call, one after another, and decides whether to ask for a repair. */
class Judge<Schema> {
  readonly #prepared: PreparedObject;
  readonly #show: (text: string) => string;
  #repairs = 0;
  #last: CompletionResponse | undefined;

  constructor(prepared: PreparedObject) {
    const { server, options, body } = prepared;
    this.#prepared = prepared;
    this.#show = server.words(options, body);
  }

  /** The last answer checked, in the form that errors carry. */
  partial(): PartialAnswer | undefined {
    return partialOf(this.#last);
  }

  /** Asks for an answer; if that fails, the error carries the previous answer. */
  async attempt<T>(ask: () => Promise<T>): Promise<T> {
    const { signal } = this.#prepared.options;
    return await keepingPartial(ask, () => this.partial(), (error) => error !== signal?.reason);
  }

  /**
   * Returns the object in an answer, or the body of a request that lets the model repair it.
   *
   * @throws {ParseError} if the answer does not fit and must not be repaired (any more).
   */
  async settle(
    response: CompletionResponse,
  ): Promise<ObjectResponse<SchemaOutput<Schema>> | { readonly body: Record<string, unknown> }> {
    const { server, action, options, request, body: first } = this.#prepared;
    const { schema, maxRepairs = 0 } = request;
    const show = this.#show;
    this.#last = response;
    const verdict = await untilAborted(judge(response, schema, request, show), options.signal);
    if (verdict.isObject) {
      // The schema's own validation produced this type; for plain JSON Schema it is only `unknown`.
      return { object: verdict.value as SchemaOutput<Schema>, response };
    }
    if (this.#repairs < maxRepairs && verdict.isRepairable) {
      this.#repairs++;
      return { body: repairBody(first, response, verdict.issues) };
    }
    throw toError(`Cannot ${action}: `, verdict, response, this.#repairs, {
      show,
      showIssues: server.words(options, { ...first, prompt: quotedTexts(response) }),
      service: server.service,
      endpoint: server.config.baseUrl + OBJECTS.path,
    });
  }
}

const WITH_SCHEMA =
  "Pass a `schema` from zod 4, ArkType or Valibot, or plain JSON Schema; for text, use `complete()`.";

type ObjectFields = Pick<ObjectRequest<StandardSchema | JsonSchema>, "maxRepairs" | "schema">;

const OBJECT_REQUEST = extend<CompletionRequest, ObjectFields>(
  COMPLETION_REQUEST,
  {
    maxRepairs: wholeNumber(0, MAX_REPAIRS),
    schema: required((schema, of, refusal) => {
      if (schema !== undefined) return schema;
      throw refusal(`${of} is missing`, "invalid_request", WITH_SCHEMA);
    }),
  },
  {
    between: [({ extraBody }) =>
      extraBody?.response_format !== undefined &&
      'extraBody may not set "response_format" here, because schema sets it'],
  },
);

/** The route for completions, with the request of an object. */
const OBJECTS: StreamedRoute<CompletionRequest & ObjectFields, CompletionResponse, StreamingChunk> =
  {
    ...COMPLETIONS,
    check: (input, refusal) =>
      OBJECT_REQUEST(typeof input === "string" ? { messages: input } : input, "", refusal),
  };

// --- Judging an answer ------------------------------------------------------------------------

type Verdict = { readonly isObject: true; readonly value: unknown } | Failure;

interface Failure {
  readonly isObject: false;
  /** Completes "Cannot …: ". */
  readonly state: string;
  readonly hint: string;
  readonly issues: readonly SchemaIssue[];
  /** Whether the model may do better if it sees the issues. */
  readonly isRepairable: boolean;
  /** Whether the message lists the issues as well. */
  readonly showIssues?: boolean;
  readonly cause?: unknown;
}

const TRY_REPAIRS =
  "Set `maxRepairs` to send the answer back to the model with its issues; `partial.content` has the answer.";

const REPAIRED_IN_VAIN =
  "Ask for less at a time, or use a larger model; `partial.content` has the last answer.";

async function judge(
  response: CompletionResponse,
  schema: StandardSchema | JsonSchema,
  request: CompletionRequest,
  show: (text: string) => string,
): Promise<Verdict> {
  if (response.toolCalls.length > 0) return toolsCalled(response, show);
  const parsed = parseAnswer(response);
  if (parsed === undefined) return noJson(response, request);
  // A number may have been cut off; any other JSON that parses is complete.
  if (response.finishReason === "length" && typeof parsed.value === "number") {
    return cut(response, request);
  }
  if (!isStandardSchema(schema)) return { isObject: true, value: parsed.value };
  const verdict = await checkBySchema(schema, parsed.value);
  if (verdict.kind === "valid") return { isObject: true, value: verdict.value };
  const shared = { isObject: false, isRepairable: true, hint: TRY_REPAIRS } as const;
  if (verdict.kind === "invalid") {
    const state = "the answer does not match the schema";
    return { ...shared, state, issues: verdict.issues, showIssues: true };
  }
  const { error } = verdict;
  const name = error instanceof Error ? error.name : typeof error;
  return {
    ...shared,
    // The error's message is left out: user code wrote it, so it may contain anything.
    state: `validating the answer threw ${name}`,
    hint:
      "See `cause`: a transformation in the schema may not accept every value that the schema allows.",
    issues: [{ message: `validating threw ${name}` }],
    cause: error,
  };
}

function toolsCalled({ toolCalls }: CompletionResponse, show: (text: string) => string): Failure {
  const names = [...new Set(toolCalls.map(({ name }) => name))].slice(0, SHOWN_ISSUES);
  const shown = names.map((name) => quote(show(name))).join(", ");
  const state = `the model called ${shown} instead of answering`;
  return {
    isObject: false,
    state,
    hint: 'Run the tools first with `runTools`, leave them out, or set `toolChoice: "none"`.',
    issues: [{ message: state }],
    isRepairable: false,
  };
}

function noJson(response: CompletionResponse, request: CompletionRequest): Failure {
  if (response.finishReason === "length") return cut(response, request);
  const isEmpty = response.content.trim() === "";
  const state = isEmpty
    ? response.reasoning === undefined
      ? "the answer is empty"
      : "the model wrote reasoning but no answer"
    : "the answer is not JSON";
  return {
    isObject: false,
    state,
    hint: isEmpty && response.reasoning !== undefined
      ? 'Set `reasoning: "off"`, or use a model that does not reason.'
      : TRY_REPAIRS,
    issues: [{
      message: isEmpty
        ? "there is no answer"
        : "the answer is not JSON, or has other text around it",
    }],
    isRepairable: true,
  };
}

function cut({ reasoning }: CompletionResponse, { maxTokens }: CompletionRequest): Failure {
  const isLimited = maxTokens !== undefined && maxTokens !== -1;
  const limit = isLimited ? `maxTokens (${maxTokens})` : "the context length";
  const state = `the answer was cut off at ${limit} before the JSON was complete`;
  const remedy = isLimited
    ? "Raise `maxTokens`"
    : "Shorten the input, load the model with a larger context length, or set `maxTokens` to stop endless answers";
  return {
    isObject: false,
    state,
    hint: `${remedy}${reasoning === undefined ? "" : "; reasoning counts towards the limit"}.`,
    issues: [{ message: state }],
    // A repair would hit the same limit.
    isRepairable: false,
  };
}

/** The JSON in an answer that consists of nothing else, or of a single fenced block. */
function parseAnswer({ content, reasoning }: CompletionResponse): { value: unknown } | undefined {
  const text = content.trim();
  if (text !== "") return parseJson(text) ?? parseJson(withoutFence(text) ?? "");
  // With LM Studio 0.4.7 and later, some reasoning models write the object into the reasoning.
  const found = parseJson((reasoning ?? "").trim());
  return typeof found?.value === "object" && found.value !== null ? found : undefined;
}

function parseJson(text: string): { value: unknown } | undefined {
  try {
    return { value: JSON.parse(text) };
  } catch {
    return undefined;
  }
}

function withoutFence(text: string): string | undefined {
  const fence = /^`{3,}/.exec(text)?.[0];
  if (fence === undefined || text.length < 2 * fence.length || !text.endsWith(fence)) {
    return undefined;
  }
  return text.slice(fence.length, -fence.length).replace(/^[a-z0-9]+(?=\s)/i, "");
}

// --- Repairs and errors -----------------------------------------------------------------------

/** The first request with the last answer and its issues appended. Earlier repairs are dropped: contexts are small. */
function repairBody(
  first: Record<string, unknown>,
  { content, reasoning = "" }: CompletionResponse,
  issues: readonly SchemaIssue[],
): Record<string, unknown> {
  const lines = issues.slice(0, TOLD_ISSUES).map((issue) => `- ${describeIssue(issue)}`);
  const more = issues.length - lines.length;
  if (more > 0) lines.push(`- and ${more} more`);
  const request = [
    "Your answer cannot be used:",
    ...lines,
    "Answer again with the whole object, corrected, as JSON and nothing else.",
  ].join("\n");
  const answer = content.trim() === "" ? reasoning : content;
  return {
    ...first,
    messages: [
      ...(Array.isArray(first.messages) ? first.messages : []),
      // Left out if empty: some chat templates reject an empty message.
      ...(answer.trim() === "" ? [] : [{ role: "assistant", content: answer }]),
      { role: "user", content: request },
    ],
  };
}

/** Texts in an answer that issue messages may quote, as some libraries do. */
function quotedTexts(response: CompletionResponse): string[] {
  const texts: string[] = [];
  const waiting: unknown[] = [parseAnswer(response)?.value];
  while (waiting.length > 0) {
    const value = waiting.pop();
    if (typeof value === "string") texts.push(value);
    // A year gives nothing away; a phone number does.
    if (typeof value === "number" && Math.abs(value) > 99_999) texts.push(String(value));
    // One by one: spreading a list of hundreds of thousands would exceed the argument limit of a call.
    if (typeof value === "object" && value !== null) {
      for (const part of Object.values(value)) waiting.push(part);
    }
  }
  return texts.filter((text) => !SCHEMA_WORDS.test(text));
}

/** Words that issue messages use themselves. If an answer has one, masking it would garble the message. */
const SCHEMA_WORDS =
  /^(?:string|number|boolean|object|array|null|undefined|integer|name|type|value|input|text)$/i;

function toError(
  start: string,
  { state, hint, issues, showIssues, cause }: Failure,
  response: CompletionResponse,
  repairs: number,
  { show, showIssues: showQuoting, ...context }: {
    /** Makes text from the server safe to show. */
    show: (text: string) => string;
    /** The same, for text that may quote the answer. */
    showIssues: (text: string) => string;
    service: string;
    endpoint: string;
  },
): ParseError {
  const shown = issues.slice(0, SHOWN_ISSUES).map(describeIssue).join("; ");
  const more = issues.length > SHOWN_ISSUES ? `; and ${issues.length - SHOWN_ISSUES} more` : "";
  const details = showIssues ? `: ${showQuoting(shown)}${more}` : "";
  const after = repairs === 0 ? "" : ` after ${repairs} repair${repairs === 1 ? "" : "s"}`;
  return providerError("malformed_response", `${start}${state}${after}${details}`, {
    ...context,
    attempts: repairs + 1,
    hint: repairs > 0 && hint === TRY_REPAIRS ? REPAIRED_IN_VAIN : hint,
    issues,
    finishReason: shownReason(response.finishReason, show),
    response,
    partial: partialOf(response),
    bodySnippet: show(response.content),
    cause,
  });
}

/** Programs compare these, so they are never masked, even if the prompt contains the same word. */
const REASONS: ReadonlySet<string> = new Set([
  "stop",
  "length",
  "tool_calls",
  "content_filter",
  "function_call",
]);

function shownReason(reason: FinishReason, show: (text: string) => string): FinishReason {
  return REASONS.has(reason) ? reason : show(reason);
}
