/**
 * The last listing of a server, for decisions that need not ask again each time.
 *
 * @module
 */

import type { CallOptions, ModelInfo } from "../core/types.ts";
import { untilAborted } from "../transport/timers.ts";

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
  /** How often it was dropped. */
  #drops = 0;
  /** By the options they were asked with: a limit of one caller, or its headers, are not another's. */
  readonly #rounds = new Map<string, Round>();

  constructor(list: (options: CallOptions) => Promise<ModelInfo[]>) {
    this.#list = list;
  }

  /** A listing at most `maxAgeMs` old. */
  async get(maxAgeMs: number, options: CallOptions): Promise<readonly ModelInfo[]> {
    options.signal?.throwIfAborted();
    return this.recent(maxAgeMs) ?? await this.refresh(options);
  }

  /** The last listing, if it is at most `maxAgeMs` old. */
  recent(maxAgeMs: number): readonly ModelInfo[] | undefined {
    return performance.now() - this.#listedAt <= maxAgeMs ? this.#models : undefined;
  }

  /** A new listing. */
  async refresh(options: CallOptions): Promise<readonly ModelInfo[]> {
    options.signal?.throwIfAborted();
    const { signal, onStatus: _, ...rest } = options;
    // A limit runs from each caller's own beginning: who comes later must not get what is left of another's.
    if (rest.timeoutMs !== undefined) return await this.ask(options);
    const key = keyOf(rest);
    const round = this.#rounds.get(key) ?? this.#begin(key, rest);
    round.waiting++;
    try {
      return await untilAborted(round.models, signal);
    } finally {
      round.waiting--;
      // Nobody waits any more: one caller's abort must not fail the others, the last one's ends it.
      if (round.waiting === 0) {
        if (this.#rounds.get(key) === round) this.#rounds.delete(key);
        round.controller.abort();
      }
    }
  }

  /** A new listing that is shared with nobody. */
  async ask(options: CallOptions): Promise<ModelInfo[]> {
    const drops = this.#drops;
    const models = await this.#list(options);
    // Asked before the models changed, it may say what was.
    if (drops === this.#drops) {
      this.#models = models;
      this.#listedAt = performance.now();
    }
    return models;
  }

  /** Forgets the listing, and what listings under way will say: the server's models have changed. */
  drop(): void {
    this.#models = undefined;
    // Who waits for one goes on waiting; who comes now begins another.
    this.#rounds.clear();
    this.#drops++;
  }

  #begin(key: string, options: CallOptions): Round {
    const controller = new AbortController();
    const models = this.ask({ ...options, signal: controller.signal });
    // Every waiter may have left by the time it fails.
    models.catch(() => {});
    const round: Round = { models, controller, waiting: 0 };
    this.#rounds.set(key, round);
    return round;
  }
}

/** Equal for equal options. */
function keyOf(options: CallOptions): string {
  const given = Object.entries(options).filter(([, value]) => value !== undefined);
  // JSON has no `Infinity`.
  return JSON.stringify(given.sort(), (_, value) => value === Infinity ? "Infinity" : value);
}
