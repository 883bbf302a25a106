/**
 * A provider made of several: what one cannot do, the next one does.
 *
 * @module
 */

import {
  AllProvidersFailedError,
  type AnyProviderError,
  ConfigurationError,
  fromCaller,
  isProviderError,
} from "../core/errors.ts";
import { checkCallOptions, refusal } from "../core/request_checks.ts";
import type {
  CallOptions,
  CompletionRequest,
  CompletionResponse,
  CompletionStream,
  EmbeddingRequest,
  EmbeddingResponse,
  ModelCapabilities,
  ModelInfo,
  ModelProvider,
} from "../core/types.ts";
import { LazyCompletionStream } from "../server/completion_stream.ts";
import { callerSignalOf } from "../server/lazy_stream.ts";
import { FailoverStream } from "./failover_stream.ts";

/** Another provider may have the model, though this one never will. */
const MODEL_CODES: ReadonlySet<string> = new Set([
  "model_not_found",
  "no_model_loaded",
  "model_substituted",
]);
/** The server itself was not there: the next call need not find that out again. */
const GONE_CODES: ReadonlySet<string> = new Set([
  "connection_refused",
  "connection_reset",
  "service_not_found",
  "timeout_connect",
]);
const FIRST_PAUSE_MS = 1000;
const LONGEST_PAUSE_MS = 30_000;

const METHODS = [
  "listModels",
  "complete",
  "streamCompletion",
  "embed",
  "supportsModel",
  "modelCapabilities",
] as const;

/** A provider of the list, and how it did. */
interface Member {
  readonly provider: ModelProvider;
  readonly index: number;
  /** By `Date.now()`; until then it is asked last. */
  pausedUntil: number;
  pauseMs: number;
}

interface Failure {
  readonly member: Member;
  readonly error: AnyProviderError;
}

/**
 * Asks providers in their order: the next one where one fails in a way that a retry could mend, or does not have
 * the model; any other failure is thrown as it is. A stream changes over before its first chunk only. A provider
 * whose server was not there is asked last for a while: 1 s at first, up to 30 s when it stays away.
 *
 * @example
 * ```ts
 * import { FallbackProvider, LMStudioProvider } from "jsr:@patinox/lmstudio";
 *
 * const provider = new FallbackProvider([
 *   new LMStudioProvider({ baseUrl: "http://10.0.0.5:1234" }),
 *   new LMStudioProvider(),
 * ]);
 * const { content } = await provider.complete("Say hello.");
 * console.log(content);
 * ```
 */
export class FallbackProvider implements ModelProvider {
  /** `"fallback"`. */
  readonly name = "fallback" as const;
  readonly #members: readonly Member[];

  /**
   * Keeps the list as it is now.
   *
   * @param providers in the order in which they are asked.
   * @throws {ConfigurationError} there is none, or one is no provider.
   */
  constructor(providers: readonly ModelProvider[]) {
    checkProviders(providers);
    this.#members = providers.map((provider, index) => ({
      provider,
      index,
      pausedUntil: 0,
      pauseMs: 0,
    }));
  }

  /**
   * The models of all providers; of two with the same id the first. Providers that cannot be reached are left out.
   *
   * @throws {AllProvidersFailedError} none can be reached.
   *
   * @example
   * ```ts
   * import { FallbackProvider, LMStudioProvider } from "jsr:@patinox/lmstudio";
   *
   * const provider = new FallbackProvider([new LMStudioProvider()]);
   * console.log((await provider.listModels()).length);
   * ```
   */
  async listModels(options?: CallOptions): Promise<ModelInfo[]> {
    return await fromCaller(async () => {
      const results = await Promise.allSettled(
        this.#members.map(async ({ provider }) => await provider.listModels(options)),
      );
      options?.signal?.throwIfAborted();
      const failures: Failure[] = [];
      const byId = new Map<string, ModelInfo>();
      for (const [index, result] of results.entries()) {
        const member = this.#members[index];
        if (member === undefined) continue;
        if (result.status === "rejected") {
          failures.push(this.#judge(member, result.reason, options));
        } else this.#recover(member);
        for (const model of result.status === "fulfilled" ? result.value : []) {
          if (!byId.has(model.id)) byId.set(model.id, model);
        }
      }
      if (failures.length === this.#members.length) throw allFailed("list models", failures);
      return [...byId.values()];
    });
  }

  /**
   * One whole answer, of the first provider that can give it.
   *
   * @throws {AllProvidersFailedError} none can; `errors` has what each of them said.
   *
   * @example
   * ```ts
   * import { FallbackProvider, isProviderError, LMStudioProvider } from "jsr:@patinox/lmstudio";
   *
   * const provider = new FallbackProvider([new LMStudioProvider()]);
   * try {
   *   console.log((await provider.complete("Hello")).content);
   * } catch (error) {
   *   if (!isProviderError(error, "all-providers-failed")) throw error;
   *   console.log(error.errors);
   * }
   * ```
   */
  complete(
    request: string | CompletionRequest,
    options?: CallOptions,
  ): Promise<CompletionResponse> {
    return fromCaller(() =>
      this.#call("complete", options, (provider) => provider.complete(request, options))
    );
  }

  /**
   * The answer as it is generated, by the first provider that gives a chunk. What fails after that chunk fails with
   * `partial`: an answer is never begun twice.
   *
   * @throws at the first pull, as `complete()`.
   *
   * @example
   * ```ts
   * import { FallbackProvider, LMStudioProvider } from "jsr:@patinox/lmstudio";
   *
   * const provider = new FallbackProvider([new LMStudioProvider()]);
   * for await (const text of provider.streamCompletion("Hello").textStream) console.log(text);
   * ```
   */
  streamCompletion(request: string | CompletionRequest, options?: CallOptions): CompletionStream {
    const action = "stream a completion";
    // deno-lint-ignore require-await -- the type is a promise
    const open = async (signal: AbortSignal): Promise<FailoverStream> => {
      // A value that is no object would vanish in the copy.
      const own = { ...checkCallOptions(options, refusal(action, this.name)), signal };
      const left = this.#inOrder();
      const failures: Failure[] = [];
      let member: Member | undefined;
      // deno-lint-ignore require-await -- the type is a promise
      return new FailoverStream(async (failure) => {
        if (failure !== undefined && member !== undefined) {
          failures.push(this.#judge(member, failure.error, own));
        }
        member = left.shift();
        if (member === undefined) throw allFailed(action, failures);
        return member.provider.streamCompletion(request, own);
      }, () => this.#recover(member));
    };
    return new LazyCompletionStream(open, callerSignalOf(options), { action, service: this.name });
  }

  /**
   * One vector per input, of the first provider that can give them.
   *
   * @throws {AllProvidersFailedError} none can; `errors` has what each of them said.
   *
   * @example
   * ```ts
   * import { FallbackProvider, LMStudioProvider } from "jsr:@patinox/lmstudio";
   *
   * const provider = new FallbackProvider([new LMStudioProvider()]);
   * console.log((await provider.embed({ input: "sea" })).embeddings.length);
   * ```
   */
  embed(request: EmbeddingRequest, options?: CallOptions): Promise<EmbeddingResponse> {
    return fromCaller(() =>
      this.#call("embed", options, (provider) => provider.embed(request, options))
    );
  }

  /**
   * Whether any of the providers has this model.
   *
   * @throws {InvalidRequestError} the name is empty.
   *
   * @example
   * ```ts
   * import { FallbackProvider, LMStudioProvider } from "jsr:@patinox/lmstudio";
   *
   * const provider = new FallbackProvider([new LMStudioProvider()]);
   * console.log(await provider.supportsModel("qwen/qwen3-8b"));
   * ```
   */
  async supportsModel(model: string, options?: CallOptions): Promise<boolean> {
    return await fromCaller(async () => {
      for (const { provider } of this.#inOrder()) {
        if (await provider.supportsModel(model, options)) return true;
      }
      return false;
    });
  }

  /**
   * What this model can do, as the first provider that has it says.
   *
   * @throws {InvalidRequestError} the name is empty.
   *
   * @example
   * ```ts
   * import { FallbackProvider, LMStudioProvider } from "jsr:@patinox/lmstudio";
   *
   * const provider = new FallbackProvider([new LMStudioProvider()]);
   * const capabilities = await provider.modelCapabilities("qwen/qwen3-8b");
   * console.log(capabilities?.maxTokens);
   * ```
   */
  async modelCapabilities(
    model: string,
    options?: CallOptions,
  ): Promise<ModelCapabilities | undefined> {
    return await fromCaller(async () => {
      for (const { provider } of this.#inOrder()) {
        const capabilities = await provider.modelCapabilities(model, options);
        if (capabilities !== undefined) return capabilities;
      }
      return undefined;
    });
  }

  async #call<T>(
    action: string,
    options: CallOptions | undefined,
    call: (provider: ModelProvider) => Promise<T>,
  ): Promise<T> {
    const failures: Failure[] = [];
    for (const member of this.#inOrder()) {
      try {
        const result = await call(member.provider);
        this.#recover(member);
        return result;
      } catch (error) {
        failures.push(this.#judge(member, error, options));
      }
    }
    throw allFailed(action, failures);
  }

  /** Those that are paused come last: a call that nobody else can answer still tries them. */
  #inOrder(): Member[] {
    const now = Date.now();
    // A clock that was set back must not make a pause longer.
    const isPaused = ({ pausedUntil }: Member): boolean =>
      pausedUntil > now && pausedUntil <= now + LONGEST_PAUSE_MS;
    return [
      ...this.#members.filter((member) => !isPaused(member)),
      ...this.#members.filter(isPaused),
    ];
  }

  /** Notes a failure that the next provider may mend; throws any other. */
  #judge(member: Member, error: unknown, options: CallOptions | undefined): Failure {
    options?.signal?.throwIfAborted();
    if (!isProviderError(error)) throw error;
    // Also where another host, that of an image, was not there: the same for every provider.
    if (!error.retriable && !MODEL_CODES.has(error.code)) throw error;
    if (GONE_CODES.has(error.code)) this.#pause(member);
    return { member, error };
  }

  #pause(member: Member): void {
    const now = Date.now();
    // Calls that fail at the same time are one failure.
    if (member.pausedUntil > now) return;
    member.pauseMs = Math.min(Math.max(FIRST_PAUSE_MS, 2 * member.pauseMs), LONGEST_PAUSE_MS);
    member.pausedUntil = now + member.pauseMs;
  }

  #recover(member: Member | undefined): void {
    if (member === undefined) return;
    member.pausedUntil = 0;
    member.pauseMs = 0;
  }
}

function checkProviders(providers: unknown): void {
  const refuse = (state: string): ConfigurationError =>
    new ConfigurationError(`Cannot configure the fallback provider: ${state}`, {
      code: "invalid_configuration",
      attempts: 0,
    });
  if (!Array.isArray(providers)) throw refuse("the providers are not an array");
  if (providers.length === 0) {
    throw refuse("the array of providers is empty: it needs at least one");
  }
  for (const [index, provider] of providers.entries()) {
    const missing = METHODS.find((method) => typeof provider?.[method] !== "function");
    if (missing !== undefined) {
      throw refuse(`providers[${index}] is no ModelProvider: it has no ${missing}()`);
    }
  }
}

function allFailed(action: string, failures: readonly Failure[]): AllProvidersFailedError {
  const inOrder = [...failures].sort((a, b) => a.member.index - b.member.index);
  const states = inOrder.map(({ member, error }) => `${member.provider.name}: ${error.code}`);
  return new AllProvidersFailedError(
    `Cannot ${action}: every provider failed (${states.join(", ")})`,
    {
      code: "all_providers_failed",
      attempts: failures.reduce((sum, { error }) => sum + error.attempts, 0),
      partial: inOrder.find(({ error }) => error.partial !== undefined)?.error.partial,
      errors: inOrder.map(({ error }) => error),
    },
  );
}
