/**
 * Order of the providers of a `FallbackProvider`: which one is asked, which failures another one may mend, and which
 * one is asked last for a while.
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

/** Another provider may have the model, though this one never will. */
const MODEL_CODES: ReadonlySet<string> = new Set([
  "model_not_found",
  "no_model_loaded",
  "model_substituted",
]);
const FIRST_PAUSE_MS = 1000;
const LONGEST_PAUSE_MS = 30_000;

/** A provider of the list, and how it did. */
interface Entry {
  readonly provider: ModelProvider;
  readonly index: number;
  /** By `Date.now()`; until then it is asked last. */
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

/** The providers of a `FallbackProvider`, and how they did. */
export class ProviderList {
  readonly #name: string;
  readonly #entries: readonly Entry[];

  /** @param name that of the provider made of them. */
  constructor(name: string, providers: readonly ModelProvider[]) {
    this.#name = name;
    this.#entries = providers.map((provider, index) => ({
      provider,
      index,
      pausedUntil: 0,
      pauseMs: 0,
    }));
  }

  /** As `FallbackProvider.listModels`. */
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
   * The answer of the first provider that can give it.
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

  /** As `FallbackProvider.decide`: by those of the providers that can. */
  async decide(
    request: DecisionRequest,
    options: CallOptions | undefined,
  ): Promise<DecisionResponse> {
    const action = "decide";
    if (!this.#entries.some(({ provider }) => isDecider(provider))) {
      throw providerError(
        "unsupported_by_server",
        `Cannot ${action}: none of the providers has decisions`,
        {
          service: this.#name,
          attempts: 0,
          hint: "Give it a provider with `decide()`, such as `LMStudioProvider`.",
        },
      );
    }
    return await firstAnswer(
      this.#turns(action, options, isDecider),
      (provider) => (provider as Decider).decide(request, options),
    );
  }

  /** As `FallbackProvider.streamCompletion`, once it is pulled. */
  openStream(
    action: string,
    request: string | CompletionRequest,
    options: CallOptions | undefined,
    signal: AbortSignal,
  ): FailoverSource<ModelProvider> {
    // A value that is no object would vanish in the copy.
    const own = { ...checkCallOptions(options, refusalMaker(action, this.#name)), signal };
    return new FailoverSource(
      this.#turns(action, own),
      (provider) => new StreamSource(provider.streamCompletion(request, own)),
    );
  }

  /** The first answer that counts as one, else the last; failures are the caller's. */
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
    // Here and not by the providers alone: what they refuse is judged by the signal.
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

  /** Entries in the order to ask, the paused ones last: a call that no other can answer still tries them. */
  #inOrder(): Entry[] {
    const now = Date.now();
    // A clock that was set back must not make a pause longer.
    const isPaused = ({ pausedUntil }: Entry): boolean =>
      pausedUntil > now && pausedUntil <= now + LONGEST_PAUSE_MS;
    return [
      ...this.#entries.filter((entry) => !isPaused(entry)),
      ...this.#entries.filter(isPaused),
    ];
  }

  /** Notes a failure that the next provider may mend; throws any other. */
  #judge(entry: Entry, error: unknown, signal: AbortSignal | undefined): Failure {
    signal?.throwIfAborted();
    if (!isProviderError(error)) throw error;
    // Also where another host, that of an image, was not there: the same for every provider.
    if (!error.retriable && !MODEL_CODES.has(error.code)) throw error;
    // The next call need not find that out again.
    if (isServerGone(error)) this.#pause(entry);
    return { entry, error };
  }

  #pause(entry: Entry): void {
    const now = Date.now();
    // Calls that fail at the same time are one failure.
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
