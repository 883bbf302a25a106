/**
 * The formats in which models write tool calls into their text: how a call begins, how it ends, how it is read. Each was
 * seen in an answer (`fixtures/calls/`).
 *
 * @module
 */

import { jsonText, parseJson } from "../core/plain_text.ts";
import { isRecord } from "../core/fields.ts";
import type { ToolsByName } from "../core/tool_names.ts";

/** A tool call found in text. */
export interface TextToolCall {
  readonly name: string;
  /** JSON text of the arguments object. */
  readonly arguments: string;
}

/** A tool that may be called. */
export interface CallableTool {
  readonly name: string;
  /** JSON Schema of the arguments. */
  readonly parameters: Readonly<Record<string, unknown>>;
}

type Tools = ToolsByName<CallableTool>;

// --- The formats ------------------------------------------------------------------------------

/** White space. */
const SPACE: unique symbol = Symbol("space");
/** The name of a declared tool. */
const NAME: unique symbol = Symbol("name");
/** Where the body passed to `read` begins. */
const BODY: unique symbol = Symbol("body");
/** Any one of several texts; `""` makes it optional. */
type OneOf = readonly string[];
type Token = string | OneOf | typeof SPACE | typeof NAME | typeof BODY;

/** `"open"`: the closing marker belongs to a value, and the call goes on. `undefined`: the text is not a call. */
type Reading = readonly TextToolCall[] | "open" | undefined;

/** One format of tool calls. */
export interface Format {
  /** How a call begins; long enough that text which merely contains the marker is soon recognized as text. */
  readonly start: readonly Token[];
  /** The marker that ends a call; absent if only the end of the text does. */
  readonly close?: string;
  /** Whether the end of the text ends a call, too: some servers strip the token in `close`. */
  readonly endsWithText?: boolean;
  /** Whether the call must be the whole text. */
  readonly isWhole?: boolean;
  /** A closing marker that some models write without the opening one. */
  readonly mayFollow?: string;
  /** Reads the text between `start` and `close`. @param name the tool name in `start`. */
  read(body: string, name: string, tools: Tools): Reading;
}

/** All formats; if several fit, the first one counts. */
export const FORMATS: readonly Format[] = [
  // Hermes, Qwen 2.5 and 3, and most models trained like them.
  { start: ["<tool_call>", SPACE, BODY, "{"], close: "</tool_call>", read: readNamed },
  // Qwen3 Coder, Qwen 3.5 and 3.6; sometimes without the outer tag, or with only its end.
  {
    start: ["<tool_call>", SPACE, BODY, "<function=", NAME, ">"],
    close: "</tool_call>",
    read: (body, _name, tools) => readFunctions(body, tools),
  },
  {
    start: ["<function=", NAME, ">", BODY],
    close: "</function>",
    mayFollow: "</tool_call>",
    read: (body, name, tools) => readPairs(body, name, tools, FUNCTION_TAGS),
  },
  // GLM 4.5 and later.
  {
    start: ["<tool_call>", SPACE, NAME, BODY, SPACE, ["<arg_key>", "</tool_call>"]],
    close: "</tool_call>",
    read: (body, name, tools) => readPairs(body, name, tools, GLM_TAGS),
  },
  // The format that LM Studio's own prompt requests from models not trained for tools.
  { start: ["[TOOL_REQUEST]", SPACE, BODY, "{"], close: "[END_TOOL_REQUEST]", read: readNamed },
  // The same prompt, only half followed.
  {
    start: ["[", NAME, "]", SPACE, BODY, "{"],
    close: "[END_TOOL_REQUEST]",
    read: readArguments,
  },
  // MiniMax M2.
  {
    start: ["[TOOL_CALL]", SPACE, BODY, "{"],
    close: "[/TOOL_CALL]",
    read: (body) => readJson(body, (value) => namedCall(value, body, "tool", ["args"])),
  },
  // LFM2.
  {
    start: ["<|tool_call_start|>", SPACE, BODY, "[", SPACE, NAME, "("],
    close: "<|tool_call_end|>",
    read: (body) => new LiteralReader(body).callList(),
  },
  // Gemma 4.
  {
    start: ["<|tool_call>", SPACE, "call:", SPACE, NAME, SPACE, BODY, ["{", "("]],
    close: "<tool_call|>",
    read: (body, name) => new LiteralReader(body).onlyCall(name),
  },
  // gpt-oss ("harmony").
  {
    start: [
      ["<|start|>assistant", ""],
      "<|channel|>commentary to=",
      ["functions.", ""],
      NAME,
      SPACE,
      ["<|constrain|>json", "json", "code", ""],
      SPACE,
      "<|message|>",
      SPACE,
      BODY,
      "{",
    ],
    close: "<|call|>",
    endsWithText: true,
    read: readArguments,
  },
  // The same without its special tokens, which some servers strip one by one.
  {
    start: [
      "commentary to=",
      ["functions.", ""],
      NAME,
      SPACE,
      ["json", "code", ""],
      SPACE,
      BODY,
      "{",
    ],
    isWhole: true,
    read: readArguments,
  },
  // Llama 3.1 to 4, Qwen2.5 Coder.
  {
    start: [BODY, "{", SPACE, '"name"', SPACE, ":", SPACE, '"', NAME, '"'],
    isWhole: true,
    read: (body) =>
      readJson(body, (value) => isComplete(value) ? readNamedValue(value, body) : undefined),
  },
  // Devstral.
  {
    start: [BODY, "{", SPACE, '"tool_calls"', SPACE, ":", SPACE, "[", SPACE, "{", SPACE, '"name"'],
    isWhole: true,
    read: readCallList,
  },
];

// --- How a call begins ------------------------------------------------------------------------

/**
 * Checks whether a call in some format begins at a position; returns where its body begins and the tool's name. `"cut"`
 * means that the text ends too early to tell.
 */
export function matchStart(
  tokens: readonly Token[],
  text: string,
  begin: number,
  tools: Tools,
): { readonly at: number; readonly name: string } | "cut" | undefined {
  let at = begin;
  let name = "";
  let bodyAt: number | undefined;
  for (const token of tokens) {
    if (token === BODY) bodyAt = at;
    else if (token === SPACE) {
      const from = at;
      while (at < text.length && isSpace(text.charCodeAt(at))) at++;
      if (at - from > LONGEST_SPACE) return undefined;
    } else if (token === NAME) {
      const run = nameAt(text, at);
      if (run.length > LONGEST_NAME) return undefined;
      at += run.length;
      if (at === text.length) return "cut";
      if (tools.get(run) === undefined) return undefined;
      name = run;
    } else {
      const length = lengthOfOne(typeof token === "string" ? [token] : token, text, at);
      if (length === "cut" || length === undefined) return length;
      at += length;
    }
  }
  return { at: bodyAt ?? at, name };
}

function lengthOfOne(choices: OneOf, text: string, at: number): number | "cut" | undefined {
  for (const choice of choices) {
    const starts = startsAt(choice, text, at);
    if (starts === "cut") return "cut";
    if (starts) return choice.length;
  }
  return undefined;
}

/** Whether a marker begins at a position; `"cut"` if the text ends too early to tell. */
export function startsAt(marker: string, text: string, at: number): boolean | "cut" {
  if (text.startsWith(marker, at)) return true;
  const left = text.length - at;
  return left < marker.length && marker.startsWith(text.slice(at)) ? "cut" : false;
}

function nameAt(text: string, at: number): string {
  NAME_RUN.lastIndex = at;
  return NAME_RUN.exec(text)?.[0] ?? "";
}

const LONGEST_NAME = 256;
const LONGEST_SPACE = 64;
const NAME_RUN = /[\p{L}\p{N}_.:/-]{1,300}/uy;

function isSpace(code: number): boolean {
  return code === 0x20 || (code >= 0x09 && code <= 0x0d);
}

// --- Calls in JSON ----------------------------------------------------------------------------

const NAME_KEYS: ReadonlySet<string> = new Set(["id", "type"]);

/** `{ "name": …, "arguments": … }` */
function readNamed(body: string): Reading {
  return readJson(body, (value) => readNamedValue(value, body));
}

function readNamedValue(value: unknown, body: string): Reading {
  return namedCall(value, body, "name", ["arguments", "parameters"]);
}

/** Whether a call has both a name and arguments; without markers around it, both are required. */
function isComplete(value: unknown): boolean {
  return isRecord(value) && ("arguments" in value || "parameters" in value);
}

/** `{ "tool_calls": [{ "name": …, "arguments": … }] }` */
function readCallList(body: string): Reading {
  const value = parseJson(body);
  if (!isRecord(value) || !Array.isArray(value.tool_calls) || Object.keys(value).length > 1) {
    return undefined;
  }
  const calls: TextToolCall[] = [];
  for (const item of value.tool_calls) {
    const call = namedCall(item, jsonText(item), "name", ["arguments"]);
    if (!Array.isArray(call)) return undefined;
    calls.push(...call);
  }
  return calls;
}

/** Reads a body that holds only the arguments; the name came before it. */
function readArguments(body: string, name: string): Reading {
  return readJson(body, () => [{ name, arguments: body.trim() }]);
}

/** Reads a JSON body; if it ends inside a string, the marker belongs to that string, and the call goes on. */
function readJson(body: string, read: (value: unknown) => Reading): Reading {
  const value = parseJson(body);
  if (value !== undefined) return read(value);
  return endsInText(body) ? "open" : undefined;
}

function namedCall(
  value: unknown,
  json: string,
  nameKey: string,
  argumentKeys: readonly string[],
): Reading {
  if (!isRecord(value)) return undefined;
  const { [nameKey]: name } = value;
  if (typeof name !== "string") return undefined;
  const keys = Object.keys(value).filter((key) => key !== nameKey && !NAME_KEYS.has(key));
  const [key] = keys;
  if (keys.length > 1) return undefined;
  if (key === undefined) return [{ name, arguments: "{}" }];
  if (!argumentKeys.includes(key)) return undefined;
  const args = value[key];
  // Some models write the arguments as a JSON string, as the API does.
  if (typeof args === "string") return [{ name, arguments: args }];
  return [{ name, arguments: memberText(json, key) }];
}

/** The text of an object's member, exactly as written: parsed and written again, large numbers would change. */
function memberText(json: string, key: string): string {
  let found = "";
  let depth = 0;
  let isKey = true;
  let isWanted = false;
  let from = 0;
  for (let at = 0; at < json.length; at++) {
    const char = json[at];
    if (char === '"') {
      const end = endOfText(json, at);
      if (depth === 1 && isKey) isWanted = parseJson(json.slice(at, end)) === key;
      at = end - 1;
    } else if (char === "{" || char === "[") depth++;
    else if (char === ":" && depth === 1) {
      isKey = false;
      from = at + 1;
    } else if (char === "}" || char === "]" || char === ",") {
      if (depth === 1 && isWanted) found = json.slice(from, at).trim();
      if (char !== ",") depth--;
      else if (depth === 1) {
        isKey = true;
        isWanted = false;
      }
    }
  }
  return found;
}

/** Position after the string that begins here, or the end of the text. */
function endOfText(json: string, begin: number): number {
  for (let at = begin + 1; at < json.length; at++) {
    if (json[at] === "\\") at++;
    else if (json[at] === '"') return at + 1;
  }
  return json.length;
}

function endsInText(json: string): boolean {
  let isInText = false;
  for (let at = 0; at < json.length; at++) {
    if (isInText && json[at] === "\\") at++;
    else if (json[at] === '"') isInText = !isInText;
  }
  return isInText;
}

// --- Calls in tags ----------------------------------------------------------------------------

interface PairTags {
  readonly keyOpen: string;
  readonly keyClose: string;
  readonly valueOpen: string;
  readonly valueClose: string;
  /** Whether values are on lines of their own. */
  readonly hasLines: boolean;
}

const FUNCTION_TAGS: PairTags = {
  keyOpen: "<parameter=",
  keyClose: ">",
  valueOpen: "",
  valueClose: "</parameter>",
  hasLines: true,
};
const GLM_TAGS: PairTags = {
  keyOpen: "<arg_key>",
  keyClose: "</arg_key>",
  valueOpen: "<arg_value>",
  valueClose: "</arg_value>",
  hasLines: false,
};

const FUNCTION_START = /\s*<function=([^>]*)>/y;
const FUNCTION_END = "</function>";

/** `<function=name>…</function>`, one or more. */
function readFunctions(body: string, tools: Tools): Reading {
  const calls: TextToolCall[] = [];
  for (let at = 0; skipSpace(body, at) < body.length;) {
    FUNCTION_START.lastIndex = at;
    const start = FUNCTION_START.exec(body);
    if (start === null) return undefined;
    const call = readPairsAt(body, FUNCTION_START.lastIndex, start[1] ?? "", tools, FUNCTION_TAGS);
    if (typeof call !== "object") return call;
    if (!body.startsWith(FUNCTION_END, call.at)) return "open";
    calls.push({ name: call.name, arguments: call.arguments });
    at = call.at + FUNCTION_END.length;
  }
  return calls;
}

/** Reads arguments in tags that make up the whole body. */
function readPairs(body: string, name: string, tools: Tools, tags: PairTags): Reading {
  const call = readPairsAt(body, 0, name, tools, tags);
  if (typeof call !== "object") return call;
  return call.at === body.length ? [{ name, arguments: call.arguments }] : undefined;
}

/** Reads arguments one by one, each in tags. Their values are unquoted: the schema says which are strings. */
function readPairsAt(
  body: string,
  begin: number,
  name: string,
  tools: Tools,
  tags: PairTags,
): TextToolCall & { readonly at: number } | "open" | undefined {
  const parameters = tools.get(name)?.parameters ?? {};
  const properties = isRecord(parameters.properties) ? parameters.properties : {};
  const members: string[] = [];
  let at = skipSpace(body, begin);
  while (body.startsWith(tags.keyOpen, at)) {
    const keyEnd = body.indexOf(tags.keyClose, at);
    if (keyEnd === -1) return undefined;
    const key = body.slice(at + tags.keyOpen.length, keyEnd).trim();
    const afterKey = keyEnd + tags.keyClose.length;
    const open = tags.valueOpen === "" ? afterKey : skipSpace(body, afterKey);
    if (!body.startsWith(tags.valueOpen, open)) return undefined;
    const from = open + tags.valueOpen.length;
    const end = endOfValue(body, from, tags);
    if (end === -1) return "open";
    const schema = Object.hasOwn(properties, key) ? properties[key] : undefined;
    const value = valueJson(body.slice(from, end), schema, parameters, tags.hasLines);
    if (value === undefined) return undefined;
    members.push(`${JSON.stringify(key)}:${value}`);
    at = skipSpace(body, end + tags.valueClose.length);
  }
  return { name, arguments: `{${members.join(",")}}`, at };
}

/** Finds the closing tag that is followed by another argument or the end: any other one belongs to the value. */
function endOfValue(body: string, from: number, { valueClose, keyOpen }: PairTags): number {
  for (
    let at = body.indexOf(valueClose, from);
    at !== -1;
    at = body.indexOf(valueClose, at + valueClose.length)
  ) {
    const next = skipSpace(body, at + valueClose.length);
    const isEnd = next === body.length || body.startsWith(keyOpen, next) ||
      body.startsWith(FUNCTION_END, next);
    if (isEnd) return at;
  }
  return -1;
}

/** Python's constants, and JSON's. */
const WORDS: Readonly<Record<string, string>> = {
  true: "true",
  false: "false",
  null: "null",
  True: "true",
  False: "false",
  None: "null",
};

/** An unquoted value as JSON: a string if the schema accepts one, otherwise the value it spells. */
function valueJson(
  written: string,
  schema: unknown,
  root: Readonly<Record<string, unknown>>,
  hasLines: boolean,
): string | undefined {
  const text = hasLines ? written.replace(/^\r?\n/, "").replace(/\r?\n$/, "") : written;
  if (schema === undefined || fits(text, schema, root)) return JSON.stringify(text);
  const bare = text.trim();
  const json = Object.hasOwn(WORDS, bare) ? WORDS[bare] : bare;
  const value = json === undefined ? undefined : parseJson(json);
  return value !== undefined && fits(value, schema, root) ? json : undefined;
}

function skipSpace(text: string, from: number): number {
  let at = from;
  while (at < text.length && isSpace(text.charCodeAt(at))) at++;
  return at;
}

// --- Calls in code ----------------------------------------------------------------------------

const DEEPEST_LITERAL = 100;
const GEMMA_QUOTE = '<|"|>';
const ESCAPES: Readonly<Record<string, string>> = { n: "\n", t: "\t", r: "\r", b: "\b", f: "\f" };
/** Thrown and caught only inside this class. */
const NOT_WELL_FORMED = Symbol("not well-formed");

/** Reads `name(key=value, …)` and `{key: value, …}`, with values in Python or JSON syntax, and writes them as JSON. */
class LiteralReader {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  /** `[name(…), name(…)]` */
  callList(): Reading {
    return this.#try(() => {
      const calls: TextToolCall[] = [];
      this.#expect("[");
      do {
        this.#skipSpace();
        const name = nameAt(this.#text, this.#at);
        this.#at += name.length;
        calls.push({ name, arguments: this.#members("=") });
      } while (this.#takes(","));
      this.#expect("]");
      return calls;
    });
  }

  /** `{…}` or `(…)`, the arguments of one call. */
  onlyCall(name: string): Reading {
    return this.#try(() => [{ name, arguments: this.#members(":") }]);
  }

  #try(read: () => readonly TextToolCall[]): Reading {
    try {
      const calls = read();
      this.#skipSpace();
      return this.#at === this.#text.length ? calls : undefined;
    } catch (error) {
      if (error === NOT_WELL_FORMED) return undefined;
      throw error;
    }
  }

  /** An object, in braces or parentheses. */
  #members(separator: string, depth = 0): string {
    const end = this.#takes("{") ? "}" : ")";
    if (end === ")") this.#expect("(");
    const members: string[] = [];
    while (!this.#takes(end)) {
      if (members.length > 0) {
        this.#expect(",");
        if (this.#takes(end)) break;
      }
      const key = this.#quoted() ?? this.#word();
      this.#expect(separator);
      members.push(`${JSON.stringify(key)}:${this.#value(depth + 1)}`);
    }
    return `{${members.join(",")}}`;
  }

  #value(depth: number): string {
    if (depth > DEEPEST_LITERAL) throw NOT_WELL_FORMED;
    this.#skipSpace();
    const text = this.#quoted();
    if (text !== undefined) return JSON.stringify(text);
    if (this.#text[this.#at] === "{") return this.#members(":", depth);
    if (this.#takes("[")) {
      const items: string[] = [];
      while (!this.#takes("]")) {
        if (items.length > 0) {
          this.#expect(",");
          if (this.#takes("]")) break;
        }
        items.push(this.#value(depth + 1));
      }
      return `[${items.join(",")}]`;
    }
    const word = this.#word();
    const json = Object.hasOwn(WORDS, word) ? WORDS[word] : word;
    if (json === undefined || parseJson(json) === undefined) throw NOT_WELL_FORMED;
    return json;
  }

  /** Reads a quoted string, if there is one. */
  #quoted(): string | undefined {
    this.#skipSpace();
    if (this.#text.startsWith(GEMMA_QUOTE, this.#at)) {
      const from = this.#at + GEMMA_QUOTE.length;
      const end = this.#text.indexOf(GEMMA_QUOTE, from);
      if (end === -1) throw NOT_WELL_FORMED;
      this.#at = end + GEMMA_QUOTE.length;
      return this.#text.slice(from, end);
    }
    const quote = this.#text[this.#at];
    if (quote !== '"' && quote !== "'") return undefined;
    const parts: string[] = [];
    let from = this.#at + 1;
    for (let at = from; at < this.#text.length; at++) {
      if (this.#text[at] === quote) {
        parts.push(this.#text.slice(from, at));
        this.#at = at + 1;
        return parts.join("");
      }
      if (this.#text[at] !== "\\") continue;
      parts.push(this.#text.slice(from, at));
      const hex = /^u[0-9a-fA-F]{4}|^x[0-9a-fA-F]{2}/.exec(this.#text.slice(at + 1, at + 6))?.[0];
      const char = this.#text[at + 1] ?? "";
      parts.push(
        hex === undefined
          ? ESCAPES[char] ?? (/[\w\s]/.test(char) ? `\\${char}` : char)
          : String.fromCharCode(parseInt(hex.slice(1), 16)),
      );
      at += hex?.length ?? 1;
      from = at + 1;
    }
    throw NOT_WELL_FORMED;
  }

  /** Reads a name, a number or a constant. */
  #word(): string {
    this.#skipSpace();
    WORD.lastIndex = this.#at;
    const word = WORD.exec(this.#text)?.[0];
    if (word === undefined) throw NOT_WELL_FORMED;
    this.#at += word.length;
    return word;
  }

  #takes(char: string): boolean {
    this.#skipSpace();
    if (this.#text[this.#at] !== char) return false;
    this.#at++;
    return true;
  }

  #expect(char: string): void {
    if (!this.#takes(char)) throw NOT_WELL_FORMED;
  }

  #skipSpace(): void {
    this.#at = skipSpace(this.#text, this.#at);
  }
}

const WORD = /[\p{L}\p{N}_.+-]+/uy;

// --- Arguments that fit -----------------------------------------------------------------------

/** Limit on checks: schemas may be cyclic, and branch in each cycle. */
const MOST_CHECKS = 100_000;
const DEEPEST_SCHEMA = 256;

/**
 * Whether a value has the shape that a JSON Schema describes: types, required fields, constants. Nothing more, because
 * a call with, say, a number out of range is still a call, and the model gets an error for it.
 */
export function fits(
  value: unknown,
  schema: unknown,
  root: unknown = schema,
  budget: { left: number } = { left: MOST_CHECKS },
  depth = 0,
): boolean {
  if (schema === false) return false;
  if (!isRecord(schema) || depth > DEEPEST_SCHEMA || budget.left-- <= 0) return true;
  const isLike = (part: unknown, of: unknown) => fits(of, part, root, budget, depth + 1);
  const { $ref, type, properties, required, items, anyOf, oneOf, allOf } = schema;
  if (typeof $ref === "string" && !isLike(resolveRef($ref, root), value)) return false;
  if (Array.isArray(allOf) && !allOf.every((part) => isLike(part, value))) return false;
  for (const choices of [anyOf, oneOf]) {
    if (Array.isArray(choices) && !choices.some((part) => isLike(part, value))) return false;
  }
  const types = typeof type === "string" ? [type] : Array.isArray(type) ? type : undefined;
  const isNull = value === null && schema.nullable === true;
  if (types !== undefined && !isNull && !types.some((name) => isOfType(value, name))) return false;
  if (Array.isArray(schema.enum) && !schema.enum.some((one) => isSame(one, value))) return false;
  if ("const" in schema && !isSame(schema.const, value)) return false;
  if (Array.isArray(value)) return !isRecord(items) || value.every((item) => isLike(items, item));
  if (!isRecord(value)) return true;
  if (Array.isArray(required) && !required.every((name) => Object.hasOwn(value, String(name)))) {
    return false;
  }
  return !isRecord(properties) ||
    Object.entries(value).every(([name, field]) =>
      !Object.hasOwn(properties, name) || isLike(properties[name], field)
    );
}

const TYPES: Readonly<Record<string, (value: unknown) => boolean>> = {
  string: (value) => typeof value === "string",
  boolean: (value) => typeof value === "boolean",
  number: (value) => typeof value === "number",
  integer: Number.isInteger,
  null: (value) => value === null,
  array: Array.isArray,
  object: isRecord,
};

/** Whether a value has a type; a type that we do not know allows any value. */
function isOfType(value: unknown, type: unknown): boolean {
  return typeof type !== "string" || !Object.hasOwn(TYPES, type) || TYPES[type]?.(value) === true;
}

function isSame(one: unknown, other: unknown): boolean {
  return one === other || jsonText(one) === jsonText(other);
}

/** Resolves a reference within the same document. */
function resolveRef(ref: string, root: unknown): unknown {
  if (!ref.startsWith("#")) return undefined;
  let schema = root;
  for (const part of ref.slice(1).split("/").slice(1)) {
    const key = part.replaceAll("~1", "/").replaceAll("~0", "~");
    if (!isRecord(schema) || !Object.hasOwn(schema, key)) return undefined;
    schema = schema[key];
  }
  return schema;
}
