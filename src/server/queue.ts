/**
 * The queue of one server: decides which request is sent next. Imported with the first request that may have to wait.
 *
 * @module
 */

import { type AnyProviderError, providerError } from "../core/errors.ts";
import { findModel } from "../core/listed_models.ts";
import { isSameModel, withoutInstanceNumber } from "../core/model_names.ts";
import type { CallOptions, ModelInfo } from "../core/types.ts";
import { listenToAbort, startTimer } from "../transport/timers.ts";

/** The parts of a server that the queue needs. */
export interface QueuedServer {
  readonly service: string;
  readonly config: {
    readonly baseUrl: string;
    readonly timeoutMs?: number;
    readonly maxConcurrency?: number;
    readonly fetch?: typeof globalThis.fetch;
  };
  /** Simultaneous generations of one model, if its listing does not say. */
  readonly usualParallel: number;
  /** Whether loading a model for a request may evict another, even in the middle of an answer. */
  readonly mayEvict: boolean;
  /** The last listing, if it is at most `maxAgeMs` old. */
  recentModels(maxAgeMs: number): readonly ModelInfo[] | undefined;
  listTogether(options: CallOptions, action: string): Promise<readonly ModelInfo[]>;
}

/** One request to a model. */
export interface Visit {
  readonly server: QueuedServer;
  readonly model: string;
  /** Completes "Cannot …". */
  readonly action: string;
  readonly options: CallOptions;
  /** Time at which the call began, if `timeoutMs` covers all of it; absent for streams. */
  readonly startedAt?: number | undefined;
  /** Whether it counts toward `maxConcurrency`. */
  readonly isGeneration: boolean;
  /** Time since which nobody has read its stream; absent while it is being read, and for whole answers. */
  unreadSince?: number | undefined;
  /** Whether it is over, perhaps before it began. */
  hasLeft?: boolean;
}

/** Clock used by the queue. */
export interface Clock {
  now(): number;
  startTimer(ms: number, onTime: () => void): () => void;
}

const CLOCK: Clock = { now: () => performance.now(), startTimer };

/** Maximum age of a listing that says what is loaded, as for choosing a model. */
const LISTING_MAX_AGE_MS = 2000;
/**
 * Requests for the loaded model overtake one for another model, until it has waited this long or been overtaken this
 * often; then only requests that arrived before that moment still do. In strict order, every request might load a
 * model, which takes longer than most answers.
 */
const PATIENCE_MS = 60_000;
const PATIENCE_STARTS = 32;
/** Wait before another model is loaded: a caller in a loop has its next request ready by then. */
const LINGER_MS = 25;
/**
 * A stream that nobody has read for this long gives up its place while others wait. It was abandoned, or its reader is
 * waiting for a request that waits for the stream.
 */
const UNREAD_MS = 10_000;

/** Requests for one model. */
class Group {
  readonly name: string;
  readonly inside: Set<Visit> = new Set();
  /** In order of arrival. */
  readonly waiting: Waiting[] = [];
  /** Order number at the start of this model's turn: requests with a lower one were already there. */
  turn = 0;
  #parallel: number | undefined;
  #listing: readonly ModelInfo[] | undefined;

  constructor(name: string) {
    this.name = name;
  }

  /** Limit on simultaneous generations. Requests no listing for it, since the server has a queue, too. */
  limit(server: QueuedServer): number {
    const listing = server.recentModels(Infinity);
    if (listing !== undefined && listing !== this.#listing) {
      this.#listing = listing;
      this.#parallel = parallelOf(listing, this.name) ?? this.#parallel;
    }
    return this.#parallel ?? server.usualParallel;
  }
}

/** The limit of the instance with this name; for a model's name, the lowest of its instances, since any may answer. */
function parallelOf(models: readonly ModelInfo[], name: string): number | undefined {
  const instances = findModel(models, name)?.instances ?? [];
  const named = instances.filter(({ id }) => id === name);
  const counts = (named.length > 0 ? named : instances).flatMap(({ parallel }) =>
    parallel === undefined || !(parallel >= 1) ? [] : [parallel]
  );
  return counts.length === 0 ? undefined : Math.min(...counts);
}

/** A request in the queue. */
class Waiting {
  readonly visit: Visit;
  readonly group: Group;
  readonly order: number;
  readonly since: number;
  readonly startsBefore: number;
  /** Set once it has waited too long: requests with this order number or a higher one must not overtake it. */
  cutoff: number | undefined;
  position: number | undefined;
  settle: ((failure?: { readonly error: unknown }) => void) | undefined;

  constructor(visit: Visit, group: Group, order: number, since: number, startsBefore: number) {
    this.visit = visit;
    this.group = group;
    this.order = order;
    this.since = since;
    this.startsBefore = startsBefore;
  }
}

/** Admits requests: in order for each model, switching models as rarely as patience allows. */
export class Queue {
  readonly #clock: Clock;
  #groups: Group[] = [];
  readonly #waiting = new Map<Visit, Waiting>();
  /** Models believed to be loaded: those requested since the last load that may have evicted others. */
  #resident = new Set<Group>();
  #nextOrder = 1;
  #starts = 0;
  /** Listings older than this do not count. */
  #changedAt: number;
  #lingerUntil = 0;
  #lookedAt = -Infinity;
  #look: AbortController | undefined;
  #stopTimer: (() => void) | undefined;

  /** @param inside requests already in progress. */
  constructor(inside: Iterable<Visit> = [], clock: Clock = CLOCK) {
    this.#clock = clock;
    this.#changedAt = clock.now();
    for (const visit of inside) this.#start(visit, this.#groupOf(visit.model));
  }

  /**
   * Admits a request; if it may be sent at once, returns nothing.
   *
   * @throws {ProviderError} `timeoutMs` is over. An abort rejects with the signal's reason.
   */
  enter(visit: Visit): Promise<void> | undefined {
    const { signal, onStatus } = visit.options;
    if (signal?.aborted === true) return Promise.reject(signal.reason);
    if (visit.hasLeft === true) return Promise.reject(unwanted());
    this.#losePatience();
    const group = this.#groupOf(visit.model);
    const waiting = new Waiting(visit, group, this.#nextOrder++, this.#clock.now(), this.#starts);
    group.waiting.push(waiting);
    this.#waiting.set(visit, waiting);
    this.#letIn();
    if (!this.#waiting.has(visit)) return undefined;
    const entered = this.#settled(waiting);
    this.#tell(waiting, () => onStatus?.({ phase: "waiting" }));
    this.#tellPositions();
    this.#setTimer();
    return entered;
  }

  /** Ends a request, whether waiting or in progress. */
  leave(visit: Visit): void {
    const waiting = this.#waiting.get(visit);
    if (waiting !== undefined) {
      return this.#fail(waiting, unwanted());
    }
    const group = this.#groups.find(({ inside }) => inside.has(visit));
    if (group === undefined) return;
    group.inside.delete(visit);
    const isNext = this.#waiting.size > 0 && this.#inside().length === 0;
    this.#lingerUntil = isNext ? this.#clock.now() + LINGER_MS : 0;
    this.#update();
  }

  async #settled(waiting: Waiting): Promise<void> {
    const { options, server, startedAt, action } = waiting.visit;
    const { signal } = options;
    const ms = options.timeoutMs ?? server.config.timeoutMs ?? Infinity;
    const stops = [listenToAbort(signal, () => this.#fail(waiting, signal?.reason))];
    if (startedAt !== undefined && ms !== Infinity) {
      const late = () => this.#fail(waiting, lateError(action, ms, server));
      stops.push(this.#clock.startTimer(ms - (this.#clock.now() - startedAt), late));
    }
    try {
      await new Promise<void>((resolve, reject) => {
        waiting.settle = (failure) => failure === undefined ? resolve() : reject(failure.error);
      });
    } finally {
      for (const stop of stops) stop();
    }
  }

  #fail(waiting: Waiting, error: unknown): void {
    const { group, visit } = waiting;
    if (!this.#waiting.delete(visit)) return;
    group.waiting.splice(group.waiting.indexOf(waiting), 1);
    waiting.settle?.({ error });
    this.#update();
  }

  #update(): void {
    this.#losePatience();
    this.#letIn();
    this.#tellPositions();
    this.#setTimer();
  }

  #letIn(): void {
    for (let next = this.#next(); next !== undefined; next = this.#next()) {
      const { visit, group } = next;
      group.waiting.shift();
      this.#waiting.delete(visit);
      this.#start(visit, group);
      next.settle?.();
    }
    const isOver = ({ inside, waiting }: Group) => inside.size === 0 && waiting.length === 0;
    this.#groups = this.#groups.filter((group) => this.#resident.has(group) || !isOver(group));
  }

  #start(visit: Visit, group: Group): void {
    if (this.#live(group) === 0) group.turn = this.#nextOrder;
    if (this.#inside().length === 0 && !this.#resident.has(group)) {
      this.#resident.clear();
      this.#changedAt = this.#clock.now();
    }
    this.#resident.add(group);
    group.inside.add(visit);
    this.#starts++;
  }

  /** The request that may be sent now, if any. */
  #next(): Waiting | undefined {
    const heads = this.#heads();
    const [oldest] = heads;
    if (oldest === undefined) return undefined;
    if (this.#inside().length > 0) {
      const free = heads.filter((head) => this.#hasPlace(head));
      return free.find((head) => this.#mayGoBefore(head, this.#blocked(heads)));
    }
    const strangers = heads.filter(({ group }) => !this.#resident.has(group));
    const own = heads.find(({ group }) => this.#resident.has(group));
    if (own !== undefined && this.#mayGoBefore(own, strangers)) return own;
    const isUrgent = oldest.cutoff !== undefined || !oldest.visit.server.mayEvict;
    if (!isUrgent && this.#clock.now() < this.#lingerUntil) return undefined;
    return oldest;
  }

  #hasPlace(head: Waiting): boolean {
    // First, because this may look up what is loaded, which is useful even if there is no place yet.
    if (!this.#hasRoom(head)) return false;
    const { visit: { server, isGeneration }, group } = head;
    if (!isGeneration) return true;
    const { maxConcurrency } = server.config;
    if (maxConcurrency === undefined) return this.#generations([group]) < group.limit(server);
    return maxConcurrency === Infinity || this.#generations(this.#groups) < maxConcurrency;
  }

  /** Whether the model can answer next to those in use: one recent listing must show all of them as loaded. */
  #hasRoom({ visit, group }: Waiting): boolean {
    const { server } = visit;
    if (!server.mayEvict || this.#live(group) > 0) return true;
    const others = this.#inside();
    if (others.length === 0) return true;
    const now = this.#clock.now();
    const models = server.recentModels(Math.min(LISTING_MAX_AGE_MS, now - this.#changedAt));
    if (models === undefined) {
      this.#lookAtModels(visit);
      return false;
    }
    const isLoaded = [group, ...others].every(({ name }) =>
      findModel(models, name)?.loaded === true
    );
    if (isLoaded) this.#resident.add(group);
    return isLoaded;
  }

  #blocked(heads: readonly Waiting[]): Waiting[] {
    return heads.filter((head) => !this.#hasRoom(head));
  }

  /** Whether a request may overtake others, whose models have to wait for its model. */
  #mayGoBefore({ order, group }: Waiting, blocked: readonly Waiting[]): boolean {
    const turn = this.#live(group) > 0 ? group.turn : 0;
    return blocked.every((other) =>
      other.group === group || other.cutoff === undefined || order < Math.max(other.cutoff, turn)
    );
  }

  #losePatience(): void {
    const now = this.#clock.now();
    for (const head of this.#heads()) {
      const isLong = now - head.since >= PATIENCE_MS ||
        this.#starts - head.startsBefore >= PATIENCE_STARTS;
      if (isLong) head.cutoff ??= this.#nextOrder;
    }
  }

  #lookAtModels({ server, options: { headers }, action }: Visit): void {
    const now = this.#clock.now();
    // A failed listing is not requested again at once: the request can wait without it.
    const isTooSoon = this.#lookedAt > this.#changedAt && now - this.#lookedAt < LISTING_MAX_AGE_MS;
    if (this.#look !== undefined || isTooSoon) return;
    const look = new AbortController();
    this.#look = look;
    const over = (): void => {
      if (this.#look !== look) return;
      this.#look = undefined;
      this.#lookedAt = this.#clock.now();
      this.#update();
    };
    server.listTogether({ headers, maxRetries: 0, signal: look.signal }, action).then(over, over);
  }

  /** The first request for each model, oldest first. */
  #heads(): Waiting[] {
    const heads = this.#groups.flatMap(({ waiting }) => waiting.slice(0, 1));
    return heads.sort((a, b) => a.order - b.order);
  }

  /** Models in use. */
  #inside(): Group[] {
    return this.#groups.filter((group) => this.#live(group) > 0);
  }

  #live({ inside }: Group): number {
    let count = 0;
    for (const visit of inside) if (!this.#isUnread(visit)) count++;
    return count;
  }

  #generations(groups: readonly Group[]): number {
    let count = 0;
    for (const { inside } of groups) {
      for (const visit of inside) if (visit.isGeneration && !this.#isUnread(visit)) count++;
    }
    return count;
  }

  #isUnread({ unreadSince }: Visit): boolean {
    return unreadSince !== undefined && this.#clock.now() - unreadSince >= UNREAD_MS;
  }

  #groupOf(model: string): Group {
    // `x:2` is a second instance of `x`, with its own limit.
    const isExtra = (name: string): boolean => withoutInstanceNumber(name) !== name;
    const isSame = ({ name }: Group): boolean =>
      !isExtra(name) && !isExtra(model) && isSameModel(name, model);
    const known = this.#groups.find(({ name }) => name === model) ?? this.#groups.find(isSame);
    if (known !== undefined) return known;
    const group = new Group(model);
    this.#groups.push(group);
    return group;
  }

  /** Reports queue positions as they look now: requests for loaded models first, then the others model by model. */
  #tellPositions(): void {
    if (!this.#isAsked()) return;
    const byOrder = (a: Waiting, b: Waiting): number => a.order - b.order;
    const heads = this.#heads();
    const isNear = ({ visit, group }: Waiting): boolean =>
      !visit.server.mayEvict || this.#resident.has(group);
    const near = heads.filter(isNear).flatMap(({ group }) => group.waiting).sort(byOrder);
    const far = heads.filter((head) => !isNear(head)).flatMap(({ group }) => group.waiting);
    for (const [index, waiting] of [...near, ...far].entries()) {
      const position = index + 1;
      if (waiting.position === position || !this.#waiting.has(waiting.visit)) continue;
      waiting.position = position;
      this.#tell(waiting, () => waiting.visit.options.onQueue?.({ position }));
    }
  }

  #isAsked(): boolean {
    for (const { options } of this.#waiting.keys()) if (options.onQueue !== undefined) return true;
    return false;
  }

  /** Runs a callback. If it throws, or its promise rejects, the call ends with that error. */
  #tell(waiting: Waiting, call: () => unknown): void {
    try {
      const told = call();
      if (told instanceof Promise) told.catch((error) => this.#fail(waiting, error));
    } catch (error) {
      this.#fail(waiting, error);
    }
  }

  /** Schedules the next check. Without waiting requests it sets no timer, so an idle queue keeps no program alive. */
  #setTimer(): void {
    this.#stopTimer?.();
    this.#stopTimer = undefined;
    if (this.#waiting.size === 0) {
      this.#look?.abort();
      this.#look = undefined;
      return;
    }
    const now = this.#clock.now();
    const inside = this.#inside().flatMap(({ inside }) => [...inside]);
    const unread = inside.filter((visit) => !this.#isUnread(visit))
      .map(({ unreadSince = now }) => unreadSince + UNREAD_MS);
    const dueAt = inside.length === 0 ? this.#lingerUntil : Math.min(...unread);
    this.#stopTimer = this.#clock.startTimer(Math.max(0, dueAt - now), () => this.#update());
  }
}

function unwanted(): unknown {
  return new DOMException("The request was abandoned", "AbortError");
}

function lateError(action: string, timeoutMs: number, server: QueuedServer): AnyProviderError {
  return providerError(
    "timeout_total",
    `Cannot ${action}: the request was still queued after ${timeoutMs} ms`,
    {
      service: server.service,
      endpoint: server.config.baseUrl,
      attempts: 0,
      phase: "total",
      timeoutMs,
      hint:
        "Raise `timeoutMs`, which includes the wait in this program's queue (see `onQueue`), or `maxConcurrency` if " +
        "the server can handle more at a time.",
    },
  );
}
