/**
 * Partial JSON: the value so far of a JSON text that is still being written.
 *
 * Each character is read once. Parsing the whole growing text again for each token, as small partial-JSON libraries do,
 * takes time in proportion to the square of its length: seconds for a long list.
 *
 * @module
 */

type Container = unknown[] | Record<string, unknown>;

/** What the parser expects next. */
type State =
  | "start"
  | "fence"
  | "language"
  | "value"
  | "first item"
  | "first key"
  | "key"
  | "colon"
  | "text"
  | "escape"
  | "unicode"
  | "bare"
  | "after"
  | "done"
  | "broken";

/** Deepest nesting: a model that nests more is repeating itself, and copying recurses. */
const MAX_DEPTH = 256;
/** Values that may be copied per character received, which limits the cost of all copies together. */
const COPIED_PER_CHARACTER = 16;

const WORDS: ReadonlyMap<string, unknown> = new Map<string, unknown>([
  ["true", true],
  ["false", false],
  ["null", null],
]);
const ESCAPES: Readonly<Record<string, string>> = {
  '"': '"',
  "\\": "\\",
  "/": "/",
  b: "\b",
  f: "\f",
  n: "\n",
  r: "\r",
  t: "\t",
};
const NUMBER = /^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?$/;

/**
 * Parses one JSON value fed in chunks, bare or in a fenced block. Strings grow as they arrive. Numbers, `true`, `false`
 * and `null` appear once complete, or not at all at the top level; fields appear with their values. If the text turns
 * out not to be JSON, the value parsed until then remains; `JSON.parse` decides whether the whole text is valid.
 */
export class PartialJson {
  #state: State = "start";
  #root: unknown;
  readonly #open: Container[] = [];
  /** Current key of each open container; `""` for arrays. */
  readonly #keys: string[] = [];
  /** The string being read, as far as it is decoded. */
  #text = "";
  #isKey = false;
  /** Length of the part of `#text` that is in the value. */
  #shownLength = 0;
  /** First half of a surrogate pair whose second half has not arrived. */
  #half = "";
  /** The number, word, escape digits or fence read so far. */
  #token = "";
  #size = 0;
  #hasChanged = false;
  #credit = 0;

  /** Parses the next chunk of text. */
  feed(chunk: string): void {
    this.#credit += chunk.length * COPIED_PER_CHARACTER;
    for (let at = 0; at < chunk.length; at++) {
      if (this.#state === "done" || this.#state === "broken") return;
      if (this.#state === "text") at = this.#readText(chunk, at);
      else this.#take(chunk.charAt(at));
    }
    this.#show();
  }

  /**
   * Returns a copy of the value so far if it has changed since the last copy. While a large value grows token by token,
   * only some of its states are returned, so that all copies together take time in proportion to the text.
   */
  next(): { readonly value: unknown } | undefined {
    if (!this.#hasChanged || this.#size > this.#credit) return undefined;
    this.#hasChanged = false;
    this.#credit = 0;
    return { value: copy(this.#root) };
  }

  /** Reads a string to its end or the end of the chunk; returns the index of the last character read. */
  #readText(chunk: string, from: number): number {
    let at = from;
    for (; at < chunk.length; at++) {
      const unit = chunk.charCodeAt(at);
      if (unit === 0x22 || unit === 0x5c || unit < 0x20) break;
    }
    this.#append(chunk.slice(from, at));
    if (at === chunk.length) return at;
    const end = chunk.charAt(at);
    if (end === "\\") this.#state = "escape";
    else if (end === '"') this.#endText();
    else this.#state = "broken";
    return at;
  }

  #append(decoded: string): void {
    if (decoded === "") return;
    const text = this.#half + decoded;
    const last = text.charCodeAt(text.length - 1);
    this.#half = last >= 0xd800 && last <= 0xdbff ? text.slice(-1) : "";
    this.#text += this.#half === "" ? text : text.slice(0, -1);
  }

  #beginText(isKey: boolean): void {
    this.#state = "text";
    this.#isKey = isKey;
    this.#text = this.#half = "";
    this.#shownLength = 0;
    if (!isKey) this.#put("");
  }

  #endText(): void {
    // A surrogate without its other half counts as a character too.
    this.#text += this.#half;
    this.#half = "";
    if (this.#isKey) {
      this.#keys[this.#keys.length - 1] = this.#text;
      this.#state = "colon";
      return;
    }
    this.#show();
    this.#endValue();
  }

  /** Updates the value with the string being read. */
  #show(): void {
    const isText = this.#state === "text" || this.#state === "escape" || this.#state === "unicode";
    if (!isText || this.#isKey || this.#text.length === this.#shownLength) return;
    this.#shownLength = this.#text.length;
    this.#set(this.#text, true);
  }

  #take(char: string): void {
    switch (this.#state) {
      case "start":
        if (/\s/.test(char)) return;
        if (char !== "`") return this.#takeValue(char);
        this.#state = "fence";
        this.#token = char;
        return;
      case "fence":
        if (char === "`") this.#token += char;
        else if (this.#token.length < 3) this.#state = "broken";
        else {
          this.#state = /[a-z0-9]/i.test(char) ? "language" : "value";
          if (this.#state === "value") this.#take(char);
        }
        return;
      case "language":
        if (isSpace(char)) this.#state = "value";
        else if (!/[a-z0-9]/i.test(char)) this.#state = "broken";
        return;
      case "value":
        return this.#takeValue(char);
      case "first item":
        return char === "]" ? this.#close() : this.#takeValue(char);
      case "first key":
      case "key":
        if (isSpace(char)) return;
        if (char === '"') return this.#beginText(true);
        if (char === "}" && this.#state === "first key") return this.#close();
        this.#state = "broken";
        return;
      case "colon":
        if (char === ":") this.#state = "value";
        else if (!isSpace(char)) this.#state = "broken";
        return;
      case "escape":
        return this.#takeEscape(char);
      case "unicode":
        return this.#takeDigit(char);
      case "bare":
        return this.#takeBare(char);
      case "after":
        return this.#takeAfter(char);
    }
  }

  #takeValue(char: string): void {
    if (isSpace(char)) return;
    if (char === '"') return this.#beginText(false);
    if (char === "{" || char === "[") {
      if (this.#open.length === MAX_DEPTH) {
        this.#state = "broken";
        return;
      }
      const value = char === "{" ? {} : [];
      this.#put(value);
      this.#open.push(value);
      this.#keys.push("");
      this.#state = char === "{" ? "first key" : "first item";
      return;
    }
    this.#state = /[-0-9tfn]/.test(char) ? "bare" : "broken";
    this.#token = char;
  }

  #takeEscape(char: string): void {
    if (char === "u") {
      this.#state = "unicode";
      this.#token = "";
      return;
    }
    const decoded = Object.hasOwn(ESCAPES, char) ? ESCAPES[char] : undefined;
    this.#state = decoded === undefined ? "broken" : "text";
    this.#append(decoded ?? "");
  }

  #takeDigit(char: string): void {
    if (!/[0-9a-f]/i.test(char)) {
      this.#state = "broken";
      return;
    }
    this.#token += char;
    if (this.#token.length < 4) return;
    this.#append(String.fromCharCode(parseInt(this.#token, 16)));
    this.#state = "text";
  }

  #takeBare(char: string): void {
    if (/[-+.0-9a-z]/i.test(char)) {
      this.#token += char;
      // Nothing else begins with such a word, so it is complete without seeing the next character.
      if (!WORDS.has(this.#token)) return;
      // Not at the top level: such a value is never partial, and code that reads fields would fail on `null`.
      if (this.#open.length > 0) this.#put(WORDS.get(this.#token));
      return this.#endValue();
    }
    if (!NUMBER.test(this.#token)) {
      this.#state = "broken";
      return;
    }
    this.#put(Number(this.#token));
    this.#endValue();
    if (this.#state === "after") this.#takeAfter(char);
  }

  #takeAfter(char: string): void {
    if (isSpace(char)) return;
    const isList = Array.isArray(this.#open.at(-1));
    if (char === ",") this.#state = isList ? "value" : "key";
    else if (char === (isList ? "]" : "}")) this.#close();
    else this.#state = "broken";
  }

  #close(): void {
    this.#open.pop();
    this.#keys.pop();
    this.#endValue();
  }

  #endValue(): void {
    this.#state = this.#open.length === 0 ? "done" : "after";
  }

  /** Adds a new value at the current position. */
  #put(value: unknown): void {
    this.#size++;
    this.#set(value, false);
  }

  /** Sets the value at the current position. @param isSame whether it replaces the value already there. */
  #set(value: unknown, isSame: boolean): void {
    this.#hasChanged = true;
    const parent = this.#open.at(-1);
    if (parent === undefined) this.#root = value;
    else if (!Array.isArray(parent)) setField(parent, this.#keys.at(-1) ?? "", value);
    else if (isSame) parent[parent.length - 1] = value;
    else parent.push(value);
  }
}

function isSpace(char: string): boolean {
  return char === " " || char === "\n" || char === "\t" || char === "\r";
}

/** Sets an own field, as `JSON.parse` does: assigning to `__proto__` would change the prototype. */
function setField(object: Record<string, unknown>, key: string, value: unknown): void {
  if (key !== "__proto__") object[key] = value;
  else {
    Object.defineProperty(object, key, {
      value,
      writable: true,
      enumerable: true,
      configurable: true,
    });
  }
}

function copy(value: unknown): unknown {
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) return value.map(copy);
  const object: Record<string, unknown> = {};
  for (const key of Object.keys(value)) {
    setField(object, key, copy((value as Record<string, unknown>)[key]));
  }
  return object;
}
