/** The fake LM Studio itself: takes a request, returns a response. */

import { chatRoutes } from "./fake_chat.ts";
import { describeChat, readChat } from "./fake_chats.ts";
import { checkFakeOptions } from "./fake_checks.ts";
import { completionRoutes } from "./fake_completions.ts";
import { decisionRoutes } from "./fake_decisions.ts";
import { embeddingRoutes } from "./fake_embeddings.ts";
import { Exchange } from "./fake_exchange.ts";
import { answerInstead, brokenConnection, FaultList, placeOf, spoil } from "./fake_faults.ts";
import { listen } from "./fake_listener.ts";
import { managementRoutes } from "./fake_management.ts";
import { messagesRoutes } from "./fake_messages.ts";
import { ModelStore } from "./fake_models.ts";
import type { FakeLMStudio, FakeLMStudioOptions, RecordedRequest } from "./fake_options.ts";
import { Player, readRecording } from "./fake_recording.ts";
import { responsesRoutes } from "./fake_responses.ts";
import { Script } from "./fake_script.ts";
import { textRoutes } from "./fake_text.ts";
import {
  type Answer,
  type Call,
  IdSource,
  isSince,
  jsonAnswer,
  type JsonObject,
  parseJson,
  Refusal,
  refuse,
  type Route,
  sleep,
  stall,
} from "./fake_wire.ts";

const DEFAULT_VERSION = "0.4.25";
/** Appended to a version such as `0.3`, which stands for the last release of that line. */
const LAST_OF_LINE = ".999";
const MAX_REDIRECTS = 20;

/**
 * Creates a fake LM Studio to test against. It answers like the real server on the wire, errors
 * included, and does exactly what you tell it to.
 *
 * @throws {TypeError} naming an unknown option, field or fault.
 *
 * @example A stand-in for `fetch`
 * ```ts
 * import { createFakeLMStudio } from "jsr:@patinox/lmstudio/testing";
 *
 * const fake = createFakeLMStudio({ models: ["qwen/qwen3-8b"], replies: ["Four."] });
 * const response = await fake.fetch("http://127.0.0.1:1234/v1/chat/completions", {
 *   method: "POST",
 *   body: JSON.stringify({ messages: [{ role: "user", content: "Two and two?" }] }),
 * });
 * const { choices } = await response.json();
 * if (choices[0].message.content !== "Four.") throw new Error("not what was scripted");
 * ```
 *
 * @example A real server, for programs that need an address
 * ```ts
 * import { createFakeLMStudio } from "jsr:@patinox/lmstudio/testing";
 *
 * const fake = createFakeLMStudio({ faults: [{ path: "/v1/models", fault: { type: "html" } }] });
 * await using server = await fake.listen();
 * const response = await fetch(`${server.url}/v1/models`);
 * await response.body?.cancel();
 * if (response.status !== 502) throw new Error("no fault");
 * ```
 */
export function createFakeLMStudio(options: FakeLMStudioOptions = {}): FakeLMStudio {
  const server = new FakeServer(options);
  return {
    fetch: (input, init) => server.fetch(input, init),
    handler: (request) => server.serve(request, request.signal),
    requests: server.requests,
    get chats() {
      return server.requests.flatMap(readChat);
    },
    get repliesLeft() {
      return server.script.left;
    },
    assertDone: () => server.assertDone(),
    listen: (listenOptions) =>
      listen((request, signal) => server.serve(request, signal), listenOptions),
  };
}

class FakeServer {
  readonly requests: RecordedRequest[] = [];
  readonly script: Script;
  readonly #isStrict: boolean;
  /** Requests the test did not expect, in strict mode. */
  readonly #surprises: string[] = [];
  readonly #player: Player | undefined;
  readonly #version: string;
  readonly #apiToken: string | undefined;
  readonly #streamHeaders: "at-once" | "at-first-token";
  readonly #cors: boolean;
  readonly #faults: FaultList;
  readonly #routes: readonly Route[];

  constructor(options: FakeLMStudioOptions) {
    checkFakeOptions(options);
    const { version: release = DEFAULT_VERSION, firstTokenMs = 0, tokenMs = 0, apiToken } = options;
    if (!/^\d+\.\d+(\.\d+)?$/.test(release)) {
      throw new TypeError(
        `Cannot create the fake: version is ${JSON.stringify(release)}, not x.y.z`,
      );
    }
    const version = /\..*\./.test(release) ? release : release + LAST_OF_LINE;
    if (apiToken !== undefined && !isSince(version, "0.4.0")) {
      throw new TypeError(
        `Cannot create the fake: version ${release} has no API tokens; they came with 0.4.0`,
      );
    }
    this.#version = version;
    this.#apiToken = apiToken;
    this.#streamHeaders = options.streamHeaders ?? "at-once";
    this.#cors = options.cors ?? false;
    this.#faults = new FaultList(options.faults ?? []);

    const ids = new IdSource();
    this.#isStrict = options.strict ?? false;
    const onNone = (body: JsonObject): Refusal =>
      this.#surprise(`no reply is left for ${describeChat(body)}`);
    const script = this.script = new Script(options.replies, this.#isStrict ? onNone : undefined);
    const { recording } = options;
    if (recording !== undefined) {
      this.#player = new Player(
        typeof recording === "string" ? readRecording(recording) : recording,
      );
    }
    const models = new ModelStore(options.models, {
      version,
      listing: options.listing ?? "lmstudio",
      oddEntries: options.oddEntries ?? [],
      jit: options.jit ?? true,
      jitLoadMs: options.jitLoadMs ?? 0,
      substitution: options.substitution ?? true,
      autoEvict: (options.autoEvict ?? true) && isSince(version, "0.3.9"),
    });
    const { reasoningField = "reasoning_content", streamFinish = "at-end" } = options;
    const { streamCalls = "in-pieces" } = options;
    const chat = { version, firstTokenMs, tokenMs, reasoningField, streamCalls, streamFinish };
    this.#routes = [
      { method: "GET", path: "/lmstudio-greeting", handle: () => jsonAnswer({ lmstudio: true }) },
      ...models.routes(),
      ...completionRoutes(models, script, ids, chat),
      ...textRoutes(models, script, ids, chat),
      ...chatRoutes(models, script, ids, {
        firstTokenMs,
        tokenMs,
        streamCalls,
        jit: options.jit ?? true,
        jitLoadMs: options.jitLoadMs ?? 0,
        integrations: options.integrations ?? true,
      }),
      ...embeddingRoutes(models),
      ...decisionRoutes(models, options.decisions),
      ...responsesRoutes(models, script, ids, {
        firstTokenMs,
        tokenMs,
        callArguments: options.callArguments ?? "everywhere",
      }),
      ...messagesRoutes(models, script, ids, { firstTokenMs, tokenMs }),
      ...managementRoutes(models, ids, options),
    ];
  }

  /** Like the global `fetch`, with this server at the other end of every address. */
  async fetch(input: string | URL | Request, init?: RequestInit): Promise<Response> {
    // The signal is handled here; a Request would only keep a reference to it.
    let request = new Request(input, { ...init, signal: null });
    const signal = init?.signal ?? (input instanceof Request ? input.signal : undefined) ??
      new AbortController().signal;
    signal.throwIfAborted();
    const body = await request.clone().text();
    for (let redirects = 0;; redirects++) {
      const response = await this.serve(request, signal);
      const location = response.headers.get("Location");
      const isRedirect = [301, 302, 303, 307, 308].includes(response.status) && location !== null;
      if (!isRedirect || request.redirect === "manual") {
        Object.defineProperty(response, "url", { value: request.url });
        Object.defineProperty(response, "redirected", { value: redirects > 0 });
        return response;
      }
      if (request.redirect === "error" || redirects >= MAX_REDIRECTS) {
        throw new TypeError("fetch failed", { cause: new Error("unexpected redirect") });
      }
      const keepsMethod = response.status > 303 || request.method === "GET";
      request = new Request(new URL(location, request.url), {
        method: keepsMethod ? request.method : "GET",
        headers: request.headers,
        body: keepsMethod && body !== "" ? body : null,
      });
    }
  }

  /** Answers one request; rejects if the connection would break before the headers. */
  async serve(request: Request, client: AbortSignal): Promise<Response> {
    const { pathname, search } = new URL(request.url);
    const exchange = new Exchange(request.method, pathname + search, request.headers, client);
    this.requests.push(exchange.record);
    try {
      const text = await exchange.whileWanted(request.text());
      exchange.record.body = text === "" ? undefined : parseJson(text);
      exchange.record.attempt = 1 + this.#failuresBefore(exchange.record);
      return await this.#answer(exchange, {
        method: request.method,
        path: pathname,
        headers: request.headers,
        params: [],
        text,
        signal: exchange.signal,
      });
    } catch (error) {
      exchange.end(false);
      throw error;
    }
  }

  async #answer(exchange: Exchange, call: Call): Promise<Response> {
    if (call.method === "OPTIONS" && this.#cors) {
      const preflight: Answer = { kind: "body", status: 204, headers: {}, text: "" };
      return await exchange.respond(preflight, 204, this.#headersOf(preflight), undefined, false);
    }
    const fault = this.#faults.take(call.path);
    if (fault?.type === "refuse") throw brokenConnection("fetch failed", "ECONNREFUSED");
    if (fault?.type === "delay") await sleep(fault.ms, call.signal);
    if (this.#player !== undefined && fault === undefined) {
      const { method, path, body } = exchange.record;
      const response = this.#player.answer(method, path, body, call.signal);
      exchange.record.status = response.status;
      exchange.end(true);
      return response;
    }
    if (placeOf(fault) === "headers") {
      if (fault?.type === "stall") await stall(call.signal);
      throw brokenConnection("fetch failed", "ECONNRESET");
    }
    const answer = answerInstead(fault) ??
      spoil(await exchange.whileWanted(this.#route(call, exchange.record.path)), fault);
    const isHeldBack = answer.kind === "stream" && this.#streamHeaders === "at-first-token";
    const status = answer.kind === "stream" ? 200 : answer.status;
    return await exchange.respond(answer, status, this.#headersOf(answer), fault, isHeldBack);
  }

  async #route(call: Call, target: string): Promise<Answer> {
    try {
      this.#authorize(call);
      for (const { method, path, since = "0.0.0", handle } of this.#routes) {
        if (method !== call.method || !isSince(this.#version, since)) continue;
        if (typeof path === "string") {
          if (path === call.path) return await handle(call);
          continue;
        }
        const match = path.exec(call.path);
        if (match) return await handle({ ...call, params: match.slice(1).map(decodeURIComponent) });
      }
      if (this.#isStrict && !this.#routes.some((route) => isFor(route, call))) {
        throw this.#surprise(`there is no ${call.method} ${target}`);
      }
      // The real server sends this with 200, except below the native API, which has its own 404.
      const isNative = call.path.startsWith("/api/v1/") && isSince(this.#version, "0.4.0");
      const error = `Unexpected endpoint or method. (${call.method} ${target})`;
      return jsonAnswer({ error }, { status: isNative ? 404 : 200 });
    } catch (error) {
      if (error instanceof Refusal) return error.answer;
      throw error;
    }
  }

  /** @throws {Error} if replies are left over or an unexpected request was made. */
  assertDone(): void {
    const problems = [...this.#surprises];
    const { left } = this.script;
    if (left > 0) {
      problems.push(`${left} ${left === 1 ? "reply was" : "replies were"} never used`);
    }
    if (problems.length > 0) {
      throw new Error(`The fake LM Studio is not done: ${problems.join("; ")}`);
    }
  }

  #surprise(what: string): Refusal {
    this.#surprises.push(what);
    return refuse(400, `The fake LM Studio is strict: ${what}`);
  }

  /** How many times in a row this request has just failed. */
  #failuresBefore({ method, path, body }: RecordedRequest): number {
    const text = JSON.stringify(body);
    const same = this.requests.slice(0, -1).filter((request) =>
      request.method === method && request.path === path && JSON.stringify(request.body) === text
    );
    const lastGood = same.findLastIndex(({ status, completed }) =>
      completed && status !== undefined && status < 400
    );
    return same.length - 1 - lastGood;
  }

  #authorize({ headers, path }: Call): void {
    if (this.#apiToken === undefined || path === "/lmstudio-greeting") return;
    const [, bearer] = /^Bearer +(.*)$/i.exec(headers.get("Authorization") ?? "") ?? [];
    const token = bearer ?? headers.get("x-api-key");
    if (token === this.#apiToken) return;
    const message = token === null || token === ""
      ? "An LM Studio API token is required to make requests to this server, but none was provided " +
        "using the Authorization header using the 'Bearer' scheme (i.e., 'Authorization: Bearer " +
        "$LM_API_TOKEN'). Learn more at: https://lmstudio.ai/docs/developer/core/authentication."
      : `Malformed LM Studio API token provided: ${
        this.#mask(token)
      } Ensure you are using a valid ` +
        "token.";
    // Observed in Anthropic's shape; the wording is assumed to be the same.
    const body = path === "/v1/messages"
      ? { type: "error", error: { type: "authentication_error", message } }
      : { error: { type: "invalid_request", code: "invalid_api_key", message } };
    throw new Refusal(401, body);
  }

  #mask(token: string): string {
    const start = token.slice(0, 10);
    return isSince(this.#version, "0.4.20")
      ? `${start}${"*".repeat(token.length - start.length)}.`
      : `${start}...`;
  }

  #headersOf(answer: Answer): Headers {
    const headers = new Headers({
      "X-Powered-By": "Express",
      "Connection": "keep-alive",
      "Keep-Alive": "timeout=5",
    });
    if (this.#cors) {
      headers.set("Access-Control-Allow-Origin", "*");
      headers.set("Access-Control-Allow-Headers", "*");
    }
    if (answer.kind === "stream") {
      headers.set("Content-Type", "text/event-stream");
      headers.set("Cache-Control", "no-cache");
      return headers;
    }
    const length = new TextEncoder().encode(answer.text).length;
    if (answer.status !== 204) headers.set("Content-Length", String(length));
    for (const [name, value] of Object.entries(answer.headers)) headers.set(name, value);
    return headers;
  }
}

/** Whether a route is for this call, in any release. */
function isFor({ method, path }: Route, call: Call): boolean {
  if (method !== call.method) return false;
  return typeof path === "string" ? path === call.path : path.test(call.path);
}
