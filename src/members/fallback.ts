/**
 * Order in which a `FallbackProvider` asks its providers: which comes first, after which errors the next one is asked,
 * and which is asked last for a while.
 *
 * @module
 */

import {
  type AllProvidersFailedError,
  type AnyProviderError,
  isProviderError,
  providerError,
} from "../core/errors.ts";
import { checkCallOptions, refusalMaker } from "../core/checks.ts";
import type { DecisionRequest, DecisionResponse } from "../core/decisions.ts";
import type { CallOptions, CompletionRequest, ModelInfo, ModelProvider } from "../core/types.ts";
import {
  FailoverSource,
  firstAnswer,
  isServerGone,
  mergeListings,
  StreamSource,
  type Turns,
} from "./failover.ts";

/** Errors about the model, which another provider may have. */
const MODEL_CODES: ReadonlySet<string> = new Set([
  "model_not_found",
  "no_model_loaded",
  "model_substituted",
]);
const FIRST_PAUSE_MS = 1000;
const LONGEST_PAUSE_MS = 30_000;

/** A provider in the list, and its state. */
interface Entry {
  readonly provider: ModelProvider;
  readonly index: number;
  /** Time by `Date.now()` until which the provider is asked last. */
  pausedUntil: number;
  pauseMs: number;
}

interface Failure {
  readonly entry: Entry;
  readonly error: AnyProviderError;
}

/** A provider that answers typed questions. */
interface Decider extends ModelProvider {
  decide(request: DecisionRequest, options?: CallOptions): Promise<DecisionResponse>;
}

function isDecider(provider: ModelProvider): boolean {
  return typeof (provider as Partial<Decider>).decide === "function";
}

/** The providers of a `FallbackProvider`, with the state of each. */
export class ProviderList {
  readonly #name: string;
  readonly #entries: readonly Entry[];

  /** @param name name of the `FallbackProvider`. */
  constructor(name: string, providers: readonly ModelProvider[]) {
    this.#name = name;
    this.#entries = providers.map((provider, index) => ({
      provider,
      index,
      pausedUntil: 0,
      pauseMs: 0,
    }));
  }

  /** Implements `FallbackProvider.listModels`. */
  async listModels(options: CallOptions | undefined): Promise<ModelInfo[]> {
    const { signal } = checkCallOptions(options, refusalMaker("list models", this.#name));
    const failures: Failure[] = [];
    const results = await Promise.allSettled(
      this.#entries.map(async ({ provider }) => await provider.listModels(options)),
    );
    signal?.throwIfAborted();
    const listings = this.#entries.map((entry) => {
      const result = results[entry.index];
      if (result?.status === "rejected") {
        failures.push(this.#judge(entry, result.reason, signal));
        return [];
      }
      this.#recover(entry);
      return result?.value ?? [];
    });
    if (failures.length === this.#entries.length) throw allFailed("list models", failures);
    return mergeListings(listings);
  }

  /**
   * Returns the answer of the first provider that can answer.
   *
   * @param action completes "Cannot …".
   */
  call<Answer>(
    action: string,
    options: CallOptions | undefined,
    ask: (provider: ModelProvider) => Promise<Answer>,
  ): Promise<Answer> {
    return firstAnswer(this.#turns(action, options), ask);
  }

  /** Implements `FallbackProvider.decide`, with the providers that support decisions. */
  async decide(
    request: DecisionRequest,
    options: CallOptions | undefined,
  ): Promise<DecisionResponse> {
    const action = "decide";
    if (!this.#entries.some(({ provider }) => isDecider(provider))) {
      throw providerError(
        "unsupported_by_server",
        `Cannot ${action}: none of the providers supports decisions`,
        {
          service: this.#name,
          attempts: 0,
          hint: "Add a provider that has `decide()`, such as `LMStudioProvider`.",
        },
      );
    }
    return await firstAnswer(
      this.#turns(action, options, isDecider),
      (provider) => (provider as Decider).decide(request, options),
    );
  }

  /** Implements `FallbackProvider.streamCompletion`, from its first read on. */
  openStream(
    action: string,
    request: string | CompletionRequest,
    options: CallOptions | undefined,
    signal: AbortSignal,
  ): FailoverSource<ModelProvider> {
    // Checked first: spreading a value that is not an object would silently drop it.
    const own = { ...checkCallOptions(options, refusalMaker(action, this.#name)), signal };
    return new FailoverSource(
      this.#turns(action, own),
      (provider) => new StreamSource(provider.streamCompletion(request, own)),
    );
  }

  /** Returns the first answer that passes `isAnswer`, else the last one. Errors go to the caller. */
  async lookUp<Answer>(
    ask: (provider: ModelProvider) => Promise<Answer>,
    isAnswer: (answer: Answer) => boolean,
  ): Promise<Answer | undefined> {
    let answer: Answer | undefined;
    for (const { provider } of this.#inOrder()) {
      answer = await ask(provider);
      if (isAnswer(answer)) break;
    }
    return answer;
  }

  #turns(
    action: string,
    options: CallOptions | undefined,
    isAble: (provider: ModelProvider) => boolean = () => true,
  ): Turns<ModelProvider> {
    // Checked here as well as by the providers, because the signal is needed to judge their errors.
    const { signal } = checkCallOptions(options, refusalMaker(action, this.#name));
    const left = this.#inOrder().filter(({ provider }) => isAble(provider));
    const failures: Failure[] = [];
    let entry: Entry | undefined;
    return {
      // deno-lint-ignore require-await -- what is thrown is a rejection
      next: async (failed) => {
        if (failed !== undefined && entry !== undefined) {
          failures.push(this.#judge(entry, failed.error, signal));
        }
        entry = left.shift();
        if (entry === undefined) throw allFailed(action, failures);
        return entry.provider;
      },
      onAnswer: () => this.#recover(entry),
    };
  }

  /** Entries in the order in which to ask them. Paused ones come last, so that they are still tried if all others fail. */
  #inOrder(): Entry[] {
    const now = Date.now();
    // If the clock is set back, a pause must not get longer.
    const isPaused = ({ pausedUntil }: Entry): boolean =>
      pausedUntil > now && pausedUntil <= now + LONGEST_PAUSE_MS;
    return [
      ...this.#entries.filter((entry) => !isPaused(entry)),
      ...this.#entries.filter(isPaused),
    ];
  }

  /** Returns the error as a failure if the next provider may succeed; throws it otherwise. */
  #judge(entry: Entry, error: unknown, signal: AbortSignal | undefined): Failure {
    signal?.throwIfAborted();
    if (!isProviderError(error)) throw error;
    // This includes an unreachable host of an image: it would fail with every provider.
    if (!error.retriable && !MODEL_CODES.has(error.code)) throw error;
    // Saves the next call from finding out again.
    if (isServerGone(error)) this.#pause(entry);
    return { entry, error };
  }

  #pause(entry: Entry): void {
    const now = Date.now();
    // Calls that fail at the same time count as one failure.
    if (entry.pausedUntil > now) return;
    entry.pauseMs = Math.min(Math.max(FIRST_PAUSE_MS, 2 * entry.pauseMs), LONGEST_PAUSE_MS);
    entry.pausedUntil = now + entry.pauseMs;
  }

  #recover(entry: Entry | undefined): void {
    if (entry === undefined) return;
    entry.pausedUntil = 0;
    entry.pauseMs = 0;
  }
}

function allFailed(action: string, failures: readonly Failure[]): AllProvidersFailedError {
  const inOrder = [...failures].sort((a, b) => a.entry.index - b.entry.index);
  const states = inOrder.map(({ entry, error }) => `${entry.provider.name}: ${error.code}`);
  return providerError(
    "all_providers_failed",
    `Cannot ${action}: every provider failed (${states.join(", ")})`,
    {
      attempts: failures.reduce((sum, { error }) => sum + error.attempts, 0),
      partial: inOrder.find(({ error }) => error.partial !== undefined)?.error.partial,
      errors: inOrder.map(({ error }) => error),
    },
  );
}
