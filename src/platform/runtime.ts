/**
 * The runtime: which one it is, what it permits, and the few globals we read. These have minimal types of their own,
 * because users compile the package with the type declarations of one runtime or of none.
 *
 * @module
 */

/** A Deno permission, of the kinds we need. */
type Permission =
  | { readonly name: "env"; readonly variable: string }
  | { readonly name: "net"; readonly host: string }
  | { readonly name: "read"; readonly path: string }
  | { readonly name: "sys"; readonly kind: "networkInterfaces" };

interface RuntimeGlobals {
  readonly Deno?: {
    readonly permissions?: {
      querySync?(permission: Permission): { readonly state: string };
    };
    readonly env?: { get(name: string): string | undefined };
    readonly build?: { readonly os?: string };
    unrefTimer?(id: number): void;
  };
  readonly Bun?: unknown;
  readonly process?: {
    readonly env?: Readonly<Record<string, string | undefined>>;
    readonly platform?: string;
    readonly release?: { readonly name?: string };
    readonly versions?: Readonly<Record<string, string | undefined>>;
    getBuiltinModule?(name: string): unknown;
  };
  readonly document?: unknown;
  readonly navigator?: {
    readonly permissions?: {
      query(descriptor: { readonly name: string }): Promise<{ readonly state: string }>;
    };
  };
  readonly WorkerGlobalScope?: unknown;
}

/** The global object, read at each use because users and tests may change it. */
export function globals(): RuntimeGlobals {
  return globalThis as RuntimeGlobals;
}

/** Whether this is Node itself, not a runtime that poses as Node. */
export function isNode(): boolean {
  const { process, Deno, Bun } = globals();
  return process?.release?.name === "node" && Deno === undefined && Bun === undefined;
}

/** Whether this is Deno. */
export function isDeno(): boolean {
  return globals().Deno !== undefined;
}

/** Whether this is a page or a worker in a browser. */
export function isBrowser(): boolean {
  const { document, WorkerGlobalScope, process, Deno } = globals();
  return Deno === undefined && process?.release === undefined &&
    (document !== undefined || WorkerGlobalScope !== undefined);
}

/**
 * Loads a module of Node's standard library; `undefined` if there is none. `import("node:net")` would make bundlers for
 * browsers fail, and could not be awaited in a constructor.
 */
export function builtinModule<T>(name: string): T | undefined {
  try {
    return globals().process?.getBuiltinModule?.(name) as T | undefined;
  } catch {
    return undefined;
  }
}

/**
 * Whether something is permitted without a prompt: on Deno if it is granted, elsewhere always. Without the permission,
 * Deno would prompt on the terminal or throw.
 */
export function isGranted(permission: Permission): boolean {
  const { Deno } = globals();
  if (Deno === undefined) return true;
  try {
    return Deno.permissions?.querySync?.(permission).state === "granted";
  } catch {
    return false;
  }
}

/** Calls back after `ms` without keeping the program alive; returns a function that cancels the timer. */
export function startBackgroundTimer(ms: number, onTime: () => void): () => void {
  const timer: unknown = setTimeout(onTime, ms);
  if (typeof timer === "object" && timer !== null && "unref" in timer) {
    (timer as { unref(): void }).unref();
  } else if (typeof timer === "number") {
    // Timers are numbers in Deno up to 2.8 and in browsers, where nothing has to be done.
    globals().Deno?.unrefTimer?.(timer);
  }
  return () => clearTimeout(timer as ReturnType<typeof setTimeout>);
}
