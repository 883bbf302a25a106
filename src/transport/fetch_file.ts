/**
 * Download of a file from a third-party server, such as an image at a URL. It is limited in size and time, and sends
 * nothing of ours: no API token, no configured headers, no cookies.
 *
 * @module
 */

import { type NetworkError, providerError } from "../core/errors.ts";
import type { RefusalMaker } from "../core/checks.ts";
import { isBrowser } from "../platform/runtime.ts";
import { listenToAbort, startTimer, untilAborted } from "./timers.ts";
import {
  type BodyEnd,
  type BodyLimits,
  concatenate,
  discardBody,
  isReadable,
  readChunks,
} from "./body.ts";
import { explainFailedSend } from "./no_answer.ts";
import { createRedactor, safeCause, secretsOfQuery } from "./redact.ts";

/** The call that needs a file, and its limits. */
export interface FileCall {
  readonly fetch?: typeof globalThis.fetch | undefined;
  /** Completes "Cannot …" in errors. */
  readonly action: string;
  readonly refusal: RefusalMaker;
  /** The caller's signal. */
  readonly signal?: AbortSignal | undefined;
  /** Time left in the call. A file gets at most 30 s. */
  readonly timeoutMs?: number | undefined;
}

const MAX_BYTES = 20 * 1024 * 1024;
const MAX_MS = 30_000;
const MAX_REDIRECTS = 5;
const LONGEST_PATH = 100;
const REDIRECTS: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);
const GET_IT_YOURSELF = "Fetch the image yourself and pass its bytes.";
const CHECK_ADDRESS = "Check the address, or fetch the image yourself and pass its bytes.";

/**
 * Fetches the bytes at an http(s) address.
 *
 * @param path field of the request with the address, for errors.
 * @param signal cancels only this download, after another one for the same request has failed.
 * @throws {InvalidRequestError} code `unsupported_content` if the answer is an error, too large, or a forbidden redirect.
 * @throws {NetworkError} if nothing answers. Not retriable, since another model server would not help.
 * @throws {TimeoutError} code `timeout_total`. Not retriable either.
 */
export async function fetchFile(
  url: URL,
  path: string,
  call: FileCall,
  signal: AbortSignal,
): Promise<Uint8Array> {
  const controller = new AbortController();
  const timeoutMs = Math.max(1, Math.min(MAX_MS, call.timeoutMs ?? Infinity));
  const stopTimer = startTimer(timeoutMs, () => {
    controller.abort(
      providerError(
        "timeout_total",
        `Cannot ${call.action}: ${path} did not arrive from ${show(url)} within ${timeoutMs} ms`,
        {
          ...contextOf(url),
          phase: "total",
          timeoutMs,
          retriable: false,
          hint: GET_IT_YOURSELF,
        },
      ),
    );
  });
  const stops = [call.signal, signal].map((source) => {
    const onAbort = (): void => controller.abort(source?.reason);
    const stop = listenToAbort(source, onAbort);
    if (source?.aborted === true) onAbort();
    return stop;
  });
  try {
    return await new FileFetch(path, call, controller.signal).get(
      checkAddress(url, path, call),
    );
  } finally {
    stopTimer();
    for (const stop of stops) stop();
    controller.abort();
  }
}

class FileFetch {
  readonly #path: string;
  readonly #call: FileCall;
  readonly #signal: AbortSignal;

  constructor(path: string, call: FileCall, signal: AbortSignal) {
    this.#path = path;
    this.#call = call;
    this.#signal = signal;
  }

  async get(url: URL): Promise<Uint8Array> {
    let at = url;
    for (let redirects = 0; redirects <= MAX_REDIRECTS; redirects++) {
      const response = await this.#send(at);
      const location = REDIRECTS.has(response.status) ? response.headers.get("location") : null;
      if (location === null) return await this.#read(response, at);
      discardBody(response);
      at = this.#resolve(location, at);
    }
    throw this.#refusal(`${show(url)} redirects more than ${MAX_REDIRECTS} times`);
  }

  async #send(url: URL): Promise<Response> {
    this.#signal.throwIfAborted();
    const send = this.#call.fetch ?? globalThis.fetch;
    // A user's own `fetch` may return something other than a promise, and may throw synchronously.
    const pending = (async () =>
      await send(url.href, {
        // Servers with several formats choose by this header.
        headers: { accept: "image/png, image/jpeg, */*;q=0.1" },
        credentials: "omit",
        referrerPolicy: "no-referrer",
        // Browsers hide the target of a redirect, and follow only those to http(s).
        redirect: isBrowser() ? "follow" : "manual",
        signal: this.#signal,
      }))();
    let response: Response;
    try {
      response = await untilAborted(pending, this.#signal);
    } catch (cause) {
      pending.then(discardBody).catch(() => {});
      this.#signal.throwIfAborted();
      throw this.#unreachable(url, cause);
    }
    if (isReadable(response)) return response;
    throw this.#refusal(`\`fetch\` returned nothing that can be read for ${show(url)}`);
  }

  async #read(response: Response, url: URL): Promise<Uint8Array> {
    const { status } = response;
    if (!response.ok) {
      discardBody(response);
      throw this.#refusal(
        `${show(url)} answered ${status}`,
        status === 401 || status === 403
          ? "The request carries none of your headers: fetch the image yourself and pass its bytes."
          : CHECK_ADDRESS,
      );
    }
    const tooLarge = () =>
      this.#refusal(
        `${show(url)} is larger than ${MAX_BYTES / 1024 / 1024} MiB`,
        "Make the image smaller: models scale it down anyway.",
      );
    if (Number(response.headers.get("content-length")) > MAX_BYTES) {
      discardBody(response);
      throw tooLarge();
    }
    const { content, end, failure } = await readBytes(response, {
      maxBytes: MAX_BYTES,
      timeoutMs: Infinity,
      signal: this.#signal,
    });
    this.#signal.throwIfAborted();
    if (end === "too-large") throw tooLarge();
    if (end !== "whole") {
      throw this.#networkError(url, "connection_reset", "the image was cut off", failure);
    }
    return content;
  }

  #resolve(location: string, from: URL): URL {
    let target: URL;
    try {
      target = new URL(location, from);
    } catch {
      throw this.#refusal(`${show(from)} redirects to an invalid address`);
    }
    if (!/^https?:$/.test(target.protocol)) {
      throw this.#refusal(
        `${show(from)} redirects to an address (${target.protocol}) that is not http or https`,
      );
    }
    if (hasCredentials(target)) {
      throw this.#refusal(`${show(from)} redirects to an address with credentials in it`);
    }
    const place = placeOf(target);
    if (place === "link" || (place === "inside" && placeOf(from) === "outside")) {
      throw this.#refusal(`${show(from)} redirects to ${target.host}, ${PLACES[place]}`);
    }
    return target;
  }

  #unreachable(url: URL, cause: unknown): NetworkError {
    if (isBrowser()) {
      const state = "the server cannot be reached, or does not let this page read the image (CORS)";
      return this.#networkError(url, "connection_refused", state, cause);
    }
    const { code, state, hint } = explainFailedSend(cause, url.href);
    return code === "permission_denied"
      ? this.#networkError(url, code, state, cause, hint)
      : this.#networkError(url, code, state, cause);
  }

  #networkError(
    url: URL,
    code: "connection_refused" | "connection_reset" | "permission_denied",
    state: string,
    cause: unknown,
    hint: string = CHECK_ADDRESS,
  ): NetworkError {
    // Deno's message contains the whole address.
    const redact = createRedactor(secretsOfQuery(url.search), undefined);
    return providerError(
      code,
      `Cannot ${this.#call.action}: ${this.#path} cannot be fetched from ${show(url)}: ${state}`,
      { ...contextOf(url), hint, retriable: false, cause: safeCause(cause, redact) },
    );
  }

  #refusal(state: string, hint: string = GET_IT_YOURSELF): Error {
    const { refusal } = this.#call;
    return refusal(`${this.#path} cannot be fetched: ${state}`, "unsupported_content", hint);
  }
}

/**
 * Rejects addresses with credentials, which are secret and which `fetch` rejects as well, and link-local addresses:
 * nobody keeps images there, but an attacker who may name an address could read a cloud machine's credentials.
 */
function checkAddress(url: URL, path: string, { refusal }: Pick<FileCall, "refusal">): URL {
  const isLink = placeOf(url) === "link";
  if (!isLink && !hasCredentials(url)) return url;
  throw refusal(
    isLink
      ? `${path} cannot be fetched: ${url.host} is ${PLACES.link}`
      : `${path} is an address with credentials in it`,
    "unsupported_content",
    GET_IT_YOURSELF,
  );
}

/** Where an address leads: to a link-local or metadata service, to this machine or its network, or elsewhere. */
type Place = "link" | "inside" | "outside";

const PLACES: Readonly<Record<Exclude<Place, "outside">, string>> = {
  link: "a link-local address or a metadata service, where clouds keep machine credentials",
  inside: "an address of this machine or its network",
};
/** Link-local addresses, and metadata services at other addresses. */
const LINK =
  /^(?:169\.254\.\d+\.\d+|\[fe[89ab][0-9a-f]:.*|\[fd00:ec2::254\]|100\.100\.100\.200|metadata\.google\.internal)$/;
const INSIDE =
  /^(?:(?:.*\.)?localhost|(?:(?:0|10|127)\.\d+|192\.168|172\.(?:1[6-9]|2\d|3[01]))\.\d+\.\d+|\[::1?\]|\[f[cd][0-9a-f]{2}:.*)$/;

/** Place of a host as written: what a name resolves to is not known here. */
function placeOf({ hostname }: URL): Place {
  const name = hostname.replace(/\.$/, "");
  // IPv4 in IPv6, which `URL` writes in hexadecimal.
  const [, high, low] = /^\[::ffff:([0-9a-f]{1,4}):([0-9a-f]{1,4})\]$/.exec(name) ?? [];
  const host = high === undefined || low === undefined
    ? name
    : [high, low].flatMap((part) => [parseInt(part, 16) >> 8, parseInt(part, 16) & 255]).join(".");
  if (LINK.test(host)) return "link";
  return INSIDE.test(host) ? "inside" : "outside";
}

function hasCredentials({ username, password }: URL): boolean {
  return username !== "" || password !== "";
}

/** Host and path of an address. The query is left out, because it may contain a key. */
function show({ host, pathname }: URL): string {
  return host + (pathname.length > LONGEST_PATH ? `${pathname.slice(0, LONGEST_PATH)}…` : pathname);
}

function contextOf(url: URL): { service: string; endpoint: string } {
  return { service: url.host, endpoint: url.origin + url.pathname };
}

/** Reads a body as bytes. Like `readBody`, does not reject. */
async function readBytes(
  response: Response,
  limits: BodyLimits,
): Promise<BodyEnd & { readonly content: Uint8Array }> {
  const chunks: Uint8Array[] = [];
  const end = await readChunks(response, limits, (chunk) => void chunks.push(chunk));
  return { ...end, content: concatenate(chunks) };
}
