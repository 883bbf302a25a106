/**
 * Loaded models and their leases. `ensure` uses an instance that is loaded, or loads one that concurrent callers share,
 * and unloads it when the last lease that asked for this ends. LM Studio's own load route adds an instance each time.
 *
 * @module
 */

import { requestLoad, requestUnload } from "../api/management.ts";
import { isProviderError } from "../core/errors.ts";
import { quote } from "../core/fields.ts";
import type { EnsureLoadedOptions, LoadedModel, ModelLease } from "../core/model_management.ts";
import { nameToLoad } from "../core/load_names.ts";
import { instancesNamed } from "../core/listed_models.ts";
import type { CallOptions, LoadedInstance, ModelInfo } from "../core/types.ts";
import { untilAborted } from "../transport/timers.ts";
import type { LoadWait } from "./load_wait.ts";
import { checkManagement } from "./management_support.ts";
import type { Server } from "../server/server.ts";

/** A load under way. */
interface RunningLoad {
  readonly model: string;
  readonly asked: EnsureLoadedOptions;
  /** `undefined` if the instance was no better than one already loaded: it was unloaded again, and that one is used. */
  readonly outcome: Promise<Held | undefined>;
  readonly controller: AbortController;
  waiting: number;
}

/** An instance that was loaded here. */
interface Held {
  readonly instanceId: string;
  /** From the listing, which is more reliable than the answer of the load route. */
  readonly contextLength: number | undefined;
  /** Its load: callers still waiting for it are about to hold the instance, so they count too. */
  readonly load: RunningLoad;
  holders: number;
  /** Whether it must stay loaded, because a holder did not ask to have it unloaded. */
  keep: boolean;
}

/** What to load. */
export interface Target {
  /** The name to send. */
  readonly id: string;
  readonly type: ModelInfo["type"];
  /** Hint for the error if the server does not have it. */
  readonly notFoundHint?: string | undefined;
}

/** What `ensure` has to provide. */
export interface Wanted {
  /** As the caller wrote it. */
  readonly name: string;
  readonly load: EnsureLoadedOptions;
  /** Completes "Cannot …" in errors. */
  readonly action: string;
  /** Lists the models and picks the one that the name means. */
  readonly find: () => Promise<ModelInfo>;
}

/** The loads of one server that this provider started. */
export class ModelLoads {
  readonly #server: Server;
  /** Keyed by model. Instances of a model are loaded one after another, so that no caller overlooks another's. */
  readonly #running = new Map<string, RunningLoad>();
  /** Keyed by model: the context the server granted when asked for more. Another instance would get no more either. */
  readonly #limits = new Map<string, number>();
  /** Keyed by instance. */
  readonly #held = new Map<string, Held>();
  /** Unloads under way, keyed by instance. */
  readonly #leaving = new Map<string, Promise<unknown>>();
  /** Number of loads and unloads that have ended. A listing requested before the last one may be outdated. */
  #changes = 0;

  constructor(server: Server) {
    this.#server = server;
  }

  /** Returns a lease on an instance that meets the request, and loads one if there is none. */
  async ensure(wanted: Wanted, wait: LoadWait): Promise<ModelLease> {
    while (true) {
      const before = this.#changes;
      const model = await wanted.find();
      wait.signal.throwIfAborted();
      const running = this.#running.get(model.id);
      if (running !== undefined) {
        const held = await this.#join(running, wanted, wait);
        if (held === undefined) continue;
        if (this.#isEnough(held.contextLength, model, wanted.load)) {
          return this.#leaseOf(held, wanted.load, wait);
        }
        await this.#release(held, wait.options);
        continue;
      }
      if (before !== this.#changes) continue;
      const found = this.#findLoaded(model, wanted);
      if (found !== undefined) {
        const leaving = this.#leaving.get(found.id);
        if (leaving === undefined) {
          const held = this.#held.get(found.id);
          if (held !== undefined) held.holders++;
          return this.#lease(found, true, held, wanted.load, wait);
        }
        await untilAborted(leaving.catch(() => {}), wait.signal);
        continue;
      }
      checkManagement(this.#server, wanted.action);
      const held = await this.#wait(this.#begin(model, wanted, wait), wait);
      if (held !== undefined) return this.#leaseOf(held, wanted.load, wait);
    }
  }

  /** Loads another instance. */
  async load(
    { id: name, type, notFoundHint }: Target,
    wanted: Pick<Wanted, "load" | "action">,
    options: CallOptions,
  ): Promise<LoadedModel> {
    const { transport } = this.#server;
    const target = { name, type, notFoundHint };
    try {
      const loaded = await requestLoad(transport, target, wanted.load, wanted.action, options);
      // An earlier instance of this name must be gone.
      this.#held.delete(loaded.instanceId);
      return loaded;
    } finally {
      this.#changed();
    }
  }

  /** Unloads an instance, even if it is held. Returns whether it was loaded. */
  async unload(instanceId: string, action: string, options: CallOptions): Promise<boolean> {
    this.#held.delete(instanceId);
    const { transport } = this.#server;
    const leaving = requestUnload(transport, instanceId, action, options);
    this.#leaving.set(instanceId, leaving);
    try {
      return await leaving;
    } finally {
      if (this.#leaving.get(instanceId) === leaving) this.#leaving.delete(instanceId);
      this.#changed();
    }
  }

  #changed(): void {
    this.#changes++;
    this.#server.dropListing();
  }

  /** An instance with enough context: the one with this name, else the one with the model's own name, else any. */
  #findLoaded(model: ModelInfo, { name, load }: Wanted): LoadedInstance | undefined {
    const instances = loadedInstances(model, name)
      .filter(({ contextLength }) => this.#isEnough(contextLength, model, load));
    return instances.find(({ id }) => id === name) ?? instances.find(({ id }) => id === model.id) ??
      instances[0];
  }

  /**
   * Whether a context meets the request. An unknown one does, since otherwise every call would load another instance. So
   * does the most that the model or the server can provide.
   */
  #isEnough(
    contextLength: number | undefined,
    { id, maxContextLength = Infinity }: ModelInfo,
    { contextLength: asked = 0 }: EnsureLoadedOptions,
  ): boolean {
    const limit = this.#limits.get(id) ?? Infinity;
    return contextLength === undefined || contextLength >= Math.min(asked, maxContextLength, limit);
  }

  /**
   * Waits for a load that another call started. Returns `undefined` if it left no instance of its own, or failed in a way
   * that need not affect this call.
   */
  async #join(running: RunningLoad, wanted: Wanted, wait: LoadWait): Promise<Held | undefined> {
    try {
      return await this.#wait(running, wait);
    } catch (error) {
      wait.signal.throwIfAborted();
      if (isSameLoad(running.asked, wanted.load)) throw error;
      return undefined;
    }
  }

  /** Waits for a load and holds its instance from that moment on, so that nobody unloads it in between. */
  async #wait(running: RunningLoad, wait: LoadWait): Promise<Held | undefined> {
    running.waiting++;
    wait.loading();
    try {
      const held = await untilAborted(running.outcome, wait.signal);
      if (held !== undefined) held.holders++;
      return held;
    } finally {
      running.waiting--;
      // A caller that leaves must not fail the others; the last one to leave ends the request.
      if (running.waiting === 0) running.controller.abort(wait.signal.reason);
    }
  }

  #begin(model: ModelInfo, wanted: Wanted, { options }: LoadWait): RunningLoad {
    const controller = new AbortController();
    const own = { ...options, signal: controller.signal };
    const onEnd = (): void => this.#dropRunning(running);
    const outcome = this.#loadForLeases(model, wanted, own).then((loaded) => {
      if (loaded === undefined) return undefined;
      const held: Held = { ...loaded, load: running, holders: 0, keep: false };
      this.#held.set(held.instanceId, held);
      return held;
    }).finally(onEnd);
    // All callers may have left by the time it fails.
    outcome.catch(() => {});
    controller.signal.addEventListener("abort", onEnd);
    const asked = wanted.load;
    const running: RunningLoad = { model: model.id, asked, outcome, controller, waiting: 0 };
    this.#running.set(model.id, running);
    return running;
  }

  /**
   * Loads an instance and checks its context. A server that fits models into its memory grants less context than asked
   * for, every time. An instance with no more context than one already loaded would waste gigabytes, so it is unloaded
   * again.
   *
   * @param model the model as listed before the load.
   */
  async #loadForLeases(
    model: ModelInfo,
    { name, load, action }: Wanted,
    options: CallOptions,
  ): Promise<Pick<Held, "instanceId" | "contextLength"> | undefined> {
    // Each caller has its own timeout; the load itself has none.
    const unlimited = { ...options, timeoutMs: Infinity };
    const { instanceId, config } = await this.load(
      targetOf(model, name),
      { load, action },
      unlimited,
    );
    const instances = await this.#listInstances(model, { name, action }, options);
    const listed = instances.find(({ id }) => id === instanceId);
    const contextLength = listed?.contextLength ?? config?.contextLength;
    const loaded = { instanceId, contextLength };
    if (contextLength === undefined) return loaded;
    const { contextLength: asked = 0 } = load;
    if (contextLength >= Math.min(asked, model.maxContextLength ?? Infinity)) {
      if (contextLength > (this.#limits.get(model.id) ?? Infinity)) this.#limits.delete(model.id);
      return loaded;
    }
    this.#limits.set(model.id, contextLength);
    // Ignore instances loaded meanwhile: if another program compares its own with ours, both would be unloaded.
    const before = new Set(loadedInstances(model, name).map(({ id }) => id));
    const isSurplus = instances.some((instance) =>
      instance.id !== instanceId && before.has(instance.id) &&
      (instance.contextLength ?? 0) >= contextLength
    );
    return isSurplus && await this.#unloadSurplus(instanceId, options) ? undefined : loaded;
  }

  /** The instances loaded now; empty if the server cannot say. */
  async #listInstances(
    { id }: ModelInfo,
    { name, action }: Pick<Wanted, "name" | "action">,
    options: CallOptions,
  ): Promise<readonly LoadedInstance[]> {
    try {
      const models = await this.#server.listTogether(options, action);
      const model = models.find((model) => model.id === id);
      return model === undefined ? [] : loadedInstances(model, name);
    } catch (error) {
      options.signal?.throwIfAborted();
      if (isProviderError(error)) return [];
      throw error;
    }
  }

  /** Returns whether the instance is gone; one that cannot be unloaded is used instead. */
  async #unloadSurplus(instanceId: string, options: CallOptions): Promise<boolean> {
    try {
      await this.unload(instanceId, `unload model ${quote(instanceId)}`, options);
      return true;
    } catch (error) {
      options.signal?.throwIfAborted();
      if (isProviderError(error)) return false;
      throw error;
    }
  }

  #dropRunning(running: RunningLoad): void {
    if (this.#running.get(running.model) === running) this.#running.delete(running.model);
  }

  #leaseOf(held: Held, load: EnsureLoadedOptions, wait: LoadWait): ModelLease {
    const { instanceId: id, contextLength } = held;
    return this.#lease({ id, contextLength }, false, held, load, wait);
  }

  /** @param held the instance, already held, if it was loaded here. */
  #lease(
    { id, contextLength }: { readonly id: string; readonly contextLength?: number | undefined },
    alreadyLoaded: boolean,
    held: Held | undefined,
    { unloadOnDispose = false }: EnsureLoadedOptions,
    { options: { signal: _, ...options } }: LoadWait,
  ): ModelLease {
    if (held !== undefined && !unloadOnDispose) held.keep = true;
    let disposal: Promise<void> | undefined;
    return {
      instanceId: id,
      alreadyLoaded,
      ...(contextLength === undefined ? {} : { contextLength }),
      [Symbol.asyncDispose]: () =>
        disposal ??= held === undefined ? Promise.resolve() : this.#release(held, options),
    };
  }

  async #release(held: Held, options: CallOptions): Promise<void> {
    held.holders--;
    if (held.keep || held.holders > 0 || held.load.waiting > 0) return;
    const { instanceId } = held;
    // Unloaded by someone else in the meantime: an instance of this name is a different one.
    if (this.#held.get(instanceId) !== held) return;
    const shown = this.#server.words(options)(instanceId);
    await this.unload(instanceId, `unload model ${quote(shown)}`, options);
  }
}

/** The loaded instances, as far as the server reports them: older versions only report that there is one. */
export function loadedInstances(model: ModelInfo, name: string): readonly LoadedInstance[] {
  if (model.instances !== undefined) return instancesNamed(model, name);
  if (model.loaded !== true) return [];
  const { id, loadedContextLength: contextLength } = model;
  return [contextLength === undefined ? { id } : { id, contextLength }];
}

/** The name to send in order to load the model that a name means. */
export function targetOf(model: ModelInfo, name: string): Target {
  const id = nameToLoad(model, name);
  const { type, variants = [], selectedVariant } = model;
  if (id === model.id) return { id, type };
  const chosen = selectedVariant === undefined ? "" : ` (now ${quote(selectedVariant)})`;
  const remedy = variants.includes(id) ? "choose yours" : "download yours and choose it";
  return {
    id,
    type,
    notFoundHint: `LM Studio loads the variant chosen in its model list${chosen}: ${remedy} ` +
      `there, under My Models, or load ${quote(model.id)}.`,
  };
}

function isSameLoad(a: EnsureLoadedOptions, b: EnsureLoadedOptions): boolean {
  return a.contextLength === b.contextLength && a.evalBatchSize === b.evalBatchSize &&
    a.flashAttention === b.flashAttention && a.numExperts === b.numExperts &&
    a.offloadKvCacheToGpu === b.offloadKvCacheToGpu;
}
