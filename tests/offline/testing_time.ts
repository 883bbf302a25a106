/**
 * `FakeTime` of `@std/testing/time`, for networks that reach npm but not JSR; `tests/run.ts`
 * chooses. Timer ids are numbers, a timer without delay set while time advances runs in the same
 * step, and an exception from a timer is thrown by the step at once: a test must pass with both.
 */

interface Timer {
  id: number;
  due: number;
  /** Undefined: runs once. */
  interval: number | undefined;
  run: () => void;
}

/** The globals replaced while time is faked. */
const REAL = {
  Date: globalThis.Date,
  setTimeout: globalThis.setTimeout,
  clearTimeout: globalThis.clearTimeout,
  setInterval: globalThis.setInterval,
  clearInterval: globalThis.clearInterval,
};
const REAL_ABORT_TIMEOUT = AbortSignal.timeout;

let current: FakeTime | undefined;

export class TimeError extends Error {
  override name = "TimeError";
}

export interface FakeTimeOptions {
  /** How fast fake time runs on its own, 1 being real time. By default it stands still. */
  advanceRate: number;
  /** How often it advances, in milliseconds. */
  advanceFrequency?: number;
}

export class FakeTime {
  readonly start: number;
  #now: number;
  #lastId = 0;
  /** In the order in which they were set. */
  #timers = new Map<number, Timer>();
  #advancing: ReturnType<typeof setInterval> | undefined;

  constructor(start?: number | string | Date | null, options?: FakeTimeOptions) {
    if (current) throw new TimeError("Cannot construct FakeTime: time is already faked");
    const begun = REAL.Date.now();
    this.start = Math.floor(new REAL.Date(start ?? begun).valueOf());
    if (Number.isNaN(this.start)) {
      throw new TypeError(`Cannot construct FakeTime: invalid start time ${start}`);
    }
    this.#now = this.start;
    current = this;
    this.#replaceGlobals();
    const { advanceRate = 0, advanceFrequency = 10 } = options ?? {};
    if (advanceRate > 0) {
      this.#advancing = REAL.setInterval(() => {
        const elapsed = Math.floor((REAL.Date.now() - begun) * advanceRate);
        this.now = Math.max(this.now, this.start + elapsed);
      }, advanceFrequency);
    }
  }

  /** Restores real time, whoever faked it. */
  static restore(): void {
    if (!current) throw new TimeError("Cannot restore time: time is already restored");
    current.restore();
  }

  /** Runs a function in real time. */
  static async restoreFor<T>(
    // deno-lint-ignore no-explicit-any
    callback: (...args: any[]) => Promise<T> | T,
    // deno-lint-ignore no-explicit-any
    ...args: any[]
  ): Promise<T> {
    const faking = current;
    if (!faking) throw new TimeError("Cannot restore time: time is not faked");
    restoreGlobals();
    let result: Promise<T> | T;
    try {
      result = callback(...args);
      // Without an `await` in between if the function is synchronous.
      if (result instanceof Promise) result = await result;
    } finally {
      if (current === faking) faking.#replaceGlobals();
    }
    return result;
  }

  get now(): number {
    return this.#now;
  }

  /** Advances time, running due timers in order. */
  set now(value: number) {
    if (value < this.#now) {
      throw new RangeError(`Cannot set current time in the past: ${value} is before ${this.#now}`);
    }
    for (let timer = this.#next(); timer && timer.due <= value; timer = this.#next()) {
      this.#now = timer.due;
      this.#timers.delete(timer.id);
      if (timer.interval !== undefined) {
        this.#timers.set(timer.id, { ...timer, due: this.#now + timer.interval });
      }
      timer.run();
    }
    this.#now = value;
  }

  /** Waits in real time. */
  async delay(ms: number, options: { signal?: AbortSignal } = {}): Promise<void> {
    const { signal } = options;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const abort = () => reject(new DOMException("Delay was aborted.", "AbortError"));
    if (signal?.aborted) abort();
    signal?.addEventListener("abort", abort, { once: true });
    const timer = REAL.setTimeout(resolve, ms);
    try {
      await promise;
    } finally {
      REAL.clearTimeout(timer);
      signal?.removeEventListener("abort", abort);
    }
  }

  runMicrotasks(): Promise<void> {
    return this.delay(0);
  }

  tick(ms = 0): void {
    this.now += ms;
  }

  async tickAsync(ms = 0): Promise<void> {
    await this.runMicrotasks();
    this.tick(ms);
  }

  /** Advances to the next due timer; `false` if there is none. */
  next(): boolean {
    const timer = this.#next();
    if (timer) this.now = timer.due;
    return timer !== undefined;
  }

  async nextAsync(): Promise<boolean> {
    await this.runMicrotasks();
    return this.next();
  }

  runAll(): void {
    while (this.next());
  }

  async runAllAsync(): Promise<void> {
    while (this.#timers.size > 0) await this.nextAsync();
  }

  restore(): void {
    if (current !== this) throw new TimeError("Cannot restore time: time is already restored");
    current = undefined;
    restoreGlobals();
    REAL.clearInterval(this.#advancing);
  }

  [Symbol.dispose](): void {
    this.restore();
  }

  #next(): Timer | undefined {
    let next: Timer | undefined;
    for (const timer of this.#timers.values()) {
      if (next === undefined || timer.due < next.due) next = timer;
    }
    return next;
  }

  #set(callback: unknown, ms: unknown, args: unknown[], repeats: boolean): number {
    if (current !== this) throw new TimeError("Cannot set timer: time is not faked");
    if (typeof callback !== "function") {
      throw new TimeError("FakeTime does not support non-function callbacks");
    }
    const delay = Math.max(repeats ? 1 : 0, Math.floor(Number(ms ?? 0)) || 0);
    const id = ++this.#lastId;
    this.#timers.set(id, {
      id,
      due: this.#now + delay,
      interval: repeats ? delay : undefined,
      run: () => callback(...args),
    });
    return id;
  }

  #replaceGlobals(): void {
    const now = () => this.#now;
    const clear = (id?: unknown) => void this.#timers.delete(Number(id));
    Object.assign(globalThis, {
      Date: new Proxy(REAL.Date, {
        apply: () => new REAL.Date(now()).toString(),
        construct: (target, args, newTarget) =>
          Reflect.construct(target, args.length > 0 ? args : [now()], newTarget),
        get: (target, key) => key === "now" ? now : Reflect.get(target, key),
      }),
      setTimeout: (run: unknown, ms?: unknown, ...args: unknown[]) =>
        this.#set(run, ms, args, false),
      setInterval: (run: unknown, ms?: unknown, ...args: unknown[]) =>
        this.#set(run, ms, args, true),
      clearTimeout: clear,
      clearInterval: clear,
    });
    AbortSignal.timeout = (ms) => {
      const controller = new AbortController();
      const abort = () => controller.abort(new DOMException("Signal timed out.", "TimeoutError"));
      this.#set(abort, ms, [], false);
      return controller.signal;
    };
  }
}

function restoreGlobals(): void {
  Object.assign(globalThis, REAL);
  AbortSignal.timeout = REAL_ABORT_TIMEOUT;
}
