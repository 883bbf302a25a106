/**
 * The last listing of a server, for decisions that need not ask again each time.
 *
 * @module
 */

import type { CallOptions, ModelInfo } from "../core/types.ts";

/** A listing under way, and how many wait for it. */
interface Round {
  readonly models: Promise<ModelInfo[]>;
  readonly controller: AbortController;
  waiting: number;
}

/** Remembers a listing; callers who ask at the same time share one request. */
export class ModelCache {
  readonly #list: (options: CallOptions) => Promise<ModelInfo[]>;
  #models: readonly ModelInfo[] | undefined;
  #listedAt = 0;
  #round: Round | undefined;

  constructor(list: (options: CallOptions) => Promise<ModelInfo[]>) {
    this.#list = list;
  }

  /** A listing at most `maxAgeMs` old. */
  async get(maxAgeMs: number, options: CallOptions): Promise<readonly ModelInfo[]> {
    if (this.#models !== undefined && performance.now() - this.#listedAt <= maxAgeMs) {
      return this.#models;
    }
    return await this.refresh(options);
  }

  /** A new listing. */
  async refresh(options: CallOptions): Promise<readonly ModelInfo[]> {
    options.signal?.throwIfAborted();
    const { signal, onStatus: _, ...rest } = options;
    // A caller with headers of its own may see other models.
    if (rest.headers !== undefined) return await this.#ask(options);
    const round = this.#round ?? this.#begin(rest);
    round.waiting++;
    try {
      return await untilAborted(round.models, signal);
    } finally {
      round.waiting--;
      // Nobody waits any more: one caller's abort must not fail the others, the last one's ends it.
      if (round.waiting === 0 && this.#round === round) {
        this.#round = undefined;
        round.controller.abort();
      }
    }
  }

  /** Keeps a listing that was asked for anyway. */
  put(models: readonly ModelInfo[]): void {
    this.#models = models;
    this.#listedAt = performance.now();
  }

  #begin(options: CallOptions): Round {
    const controller = new AbortController();
    const models = this.#ask({ ...options, signal: controller.signal });
    // Every waiter may have left by the time it fails.
    models.catch(() => {});
    const round: Round = { models, controller, waiting: 0 };
    this.#round = round;
    return round;
  }

  async #ask(options: CallOptions): Promise<ModelInfo[]> {
    const models = await this.#list(options);
    this.put(models);
    return models;
  }
}

async function untilAborted<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return await promise;
  let onAbort = (): void => {};
  const aborted = new Promise<never>((_, reject) => {
    onAbort = () => reject(signal.reason);
    signal.addEventListener("abort", onAbort);
  });
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}
