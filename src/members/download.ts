/**
 * Downloads, followed by polling, because the server does not stream their progress.
 *
 * @module
 */

import {
  type DownloadJob,
  isFinal,
  requestDownload,
  requestDownloadStatus,
} from "../api/management.ts";
import type { ItemSource } from "../api/route.ts";
import { type AnyProviderError, isProviderError } from "../core/errors.ts";
import { quote } from "../core/fields.ts";
import type { DownloadOptions, DownloadProgress } from "../core/model_management.ts";
import {
  CALL_OPTIONS,
  checkCallOptions,
  checkOptions,
  describe,
  extend,
  nonEmptyText,
  number,
  type RefusalMaker,
  table,
} from "../core/checks.ts";
import type { CallOptions } from "../core/types.ts";
import { sleep } from "../transport/timers.ts";
import { checkManagement } from "./management_support.ts";
import type { Server } from "../server/server.ts";

const DEFAULT_POLL_MS = 1000;
/** Polls that may fail in a row. Each counts as lost only after the usual retries. */
const MAX_LOST_POLLS = 10;
const MAX_RETRY_AFTER_MS = 60_000;

/** Options of `models.downloadStatus()`. */
export type FollowOptions = CallOptions & Pick<DownloadOptions, "pollIntervalMs">;

/** Opens the source of events for `LMStudioProvider.models.download`. */
export function openDownload(
  server: Server,
  verb: string,
  model: string,
  input: DownloadOptions | undefined,
  callOptions: CallOptions | undefined,
  signal: AbortSignal,
): ItemSource<DownloadProgress, DownloadProgress> {
  const refusal = server.refusalMaker(verb);
  const { onStatus, ...options } = checkCallOptions(callOptions, refusal);
  checkModel(model, refusal);
  const { pollIntervalMs, ...download } = checkOptions(DOWNLOAD_OPTIONS, input, refusal);
  const action = `download model ${quote(model)}`;
  checkManagement(server, action);
  const own: CallOptions = { ...options, signal };
  const start = (): Promise<DownloadJob> =>
    requestDownload(server.transport, model, download, action, { ...own, onStatus });
  return new DownloadSource(server, action, pollIntervalMs, own, start);
}

/** Asks once for the progress of a download that was started earlier. */
export async function lookAtJob(
  server: Server,
  verb: string,
  jobId: string,
  input: FollowOptions | undefined,
): Promise<DownloadProgress> {
  const { action, options } = checkJob(server, verb, jobId, input);
  const { progress } = await requestDownloadStatus(server.transport, jobId, action, options);
  if (isFinal(progress.status)) server.dropListing();
  return progress;
}

/** Opens the source of events for a download that was started earlier, up to its end. */
export function openJob(
  server: Server,
  verb: string,
  jobId: string,
  input: FollowOptions | undefined,
  signal: AbortSignal,
): ItemSource<DownloadProgress, DownloadProgress> {
  const { action, options, pollIntervalMs } = checkJob(server, verb, jobId, input);
  return new DownloadSource(server, action, pollIntervalMs, { ...options, signal }, jobId);
}

function checkJob(
  server: Server,
  verb: string,
  jobId: string,
  input: FollowOptions | undefined,
): { action: string; options: CallOptions; pollIntervalMs: number | undefined } {
  const refusal = server.refusalMaker(verb);
  const { pollIntervalMs, onStatus: _, ...options } = checkOptions(FOLLOW_OPTIONS, input, refusal);
  checkJobId(jobId, refusal);
  const action = `follow download ${quote(jobId)}`;
  checkManagement(server, action);
  return { action, options, pollIntervalMs };
}

/** One download, polled whenever the next event is asked for, but at most once per interval. */
class DownloadSource implements ItemSource<DownloadProgress, DownloadProgress> {
  readonly #server: Server;
  readonly #action: string;
  readonly #pollIntervalMs: number;
  /** Includes the signal that ends the wait. */
  readonly #options: CallOptions;
  #start: (() => Promise<DownloadJob>) | undefined;
  #jobId: string | undefined;
  #last: DownloadProgress | undefined;
  #lookedAt = -Infinity;

  /** @param from a function that starts the download, or the job id of one that was started. */
  constructor(
    server: Server,
    action: string,
    pollIntervalMs: number = DEFAULT_POLL_MS,
    options: CallOptions,
    from: string | (() => Promise<DownloadJob>),
  ) {
    this.#server = server;
    this.#action = action;
    this.#pollIntervalMs = pollIntervalMs;
    this.#options = options;
    if (typeof from === "string") this.#jobId = from;
    else this.#start = from;
  }

  async fill(items: DownloadProgress[]): Promise<boolean> {
    const { progress, failure } = await this.#look();
    this.#jobId = progress.jobId ?? this.#jobId;
    const known = this.#last?.totalBytes;
    // Remembered, because the size does not change and some answers leave it out.
    this.#last = known === undefined ? progress : { totalBytes: known, ...progress };
    if (isFinal(progress.status)) this.#server.dropListing();
    items.push(this.#last);
    if (failure !== undefined) throw failure;
    return isFinal(progress.status);
  }

  partial(): undefined {
    return undefined;
  }

  /** The final progress. */
  response(): DownloadProgress {
    return this.#last ?? { status: "completed" };
  }

  /** Does nothing: no connection is open between polls, and the signal ends a poll under way. */
  close(): void {}

  async #look(): Promise<DownloadJob> {
    const start = this.#start;
    if (start === undefined) return await this.#poll();
    const job = await start();
    this.#start = undefined;
    this.#lookedAt = performance.now();
    return job;
  }

  async #poll(): Promise<DownloadJob> {
    const { signal = new AbortController().signal } = this.#options;
    let pauseMs = this.#pollIntervalMs;
    for (let lost = 0;; lost++) {
      const waitMs = pauseMs - (performance.now() - this.#lookedAt);
      if (waitMs > 0) await sleep(waitMs, signal);
      try {
        return await requestDownloadStatus(
          this.#server.transport,
          this.#jobId ?? "",
          this.#action,
          this.#options,
        );
      } catch (error) {
        signal.throwIfAborted();
        if (!isLost(error) || lost >= MAX_LOST_POLLS) throw error;
        pauseMs = Math.max(
          this.#pollIntervalMs,
          Math.min(error.retryAfterMs ?? 0, MAX_RETRY_AFTER_MS),
        );
      } finally {
        this.#lookedAt = performance.now();
      }
    }
  }
}

/** Whether an error concerns only this poll and says nothing about the download. */
function isLost(error: unknown): error is AnyProviderError {
  return isProviderError(error) && (error.retriable || error.code === "malformed_response");
}

function checkModel(model: unknown, refusal: RefusalMaker): void {
  nonEmptyText(model, "model", refusal);
  if (typeof model !== "string" || !/^\s*[a-z]+:\/\//i.test(model)) return;
  // These parts may hold passwords and tokens, which would appear in errors, here and on the server.
  const problem = /:\/\/[^/?#]*@/.test(model)
    ? "credentials"
    : /[?#]/.test(model)
    ? "a query or a fragment"
    : undefined;
  if (problem === undefined) return;
  const hint = "Pass only the repository's address, such as https://huggingface.co/a/b-GGUF.";
  throw refusal(`the address of the model contains ${problem}`, "invalid_request", hint);
}

function checkJobId(jobId: unknown, refusal: RefusalMaker): void {
  nonEmptyText(jobId, "jobId", refusal);
  // Dots alone would lead to another route; a lone surrogate cannot be part of an address.
  if (/^\.{1,2}$|[\ud800-\udfff]/u.test(String(jobId))) {
    const hint = "Pass the `jobId` that a download reported, such as job_493c7c9ded.";
    throw refusal(`jobId is ${describe(jobId)}, not the id of a download`, "invalid_request", hint);
  }
}

const FOLLOW = {
  pollIntervalMs: number("a number of milliseconds above 0", (ms) => ms > 0 && ms < Infinity),
};
const DOWNLOAD_OPTIONS = table<DownloadOptions>({ quantization: nonEmptyText, ...FOLLOW }, {
  noun: "option",
  whole: "the download options are",
  show: describe,
});
const FOLLOW_OPTIONS = extend<CallOptions, Pick<DownloadOptions, "pollIntervalMs">>(
  CALL_OPTIONS,
  FOLLOW,
);
