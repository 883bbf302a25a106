/**
 * The runtime: which one it is, what it permits, and the few of its globals that are read, typed as no more than is
 * used of them, since the package is compiled where none of them, or only another runtime's, is declared.
 *
 * @module
 */

/** A permission of Deno, as far as any is needed. */
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

/** The global object, read at each use: users and tests may change it. */
export function globals(): RuntimeGlobals {
  return globalThis as RuntimeGlobals;
}

/** Node itself, not one of the runtimes that take its name. */
export function isNode(): boolean {
  const { process, Deno, Bun } = globals();
  return process?.release?.name === "node" && Deno === undefined && Bun === undefined;
}

/** Deno itself. */
export function isDeno(): boolean {
  return globals().Deno !== undefined;
}

/** A page or a worker of a browser. */
export function isBrowser(): boolean {
  const { document, WorkerGlobalScope, process, Deno } = globals();
  return Deno === undefined && process?.release === undefined &&
    (document !== undefined || WorkerGlobalScope !== undefined);
}

/**
 * A module of Node's standard library, where there is one. `import("node:net")` would do the same but makes
 * bundlers for browsers fail, and cannot be awaited in a constructor.
 */
export function builtinModule<T>(name: string): T | undefined {
  try {
    return globals().process?.getBuiltinModule?.(name) as T | undefined;
  } catch {
    return undefined;
  }
}

/**
 * Whether something may be done without a prompt: on Deno once it is granted, elsewhere always. Done without the
 * permission, it would prompt on the terminal, or throw.
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

/** Calls back after `ms`, without keeping the program alive for it; returns what stops it. */
export function startBackgroundTimer(ms: number, onTime: () => void): () => void {
  const timer: unknown = setTimeout(onTime, ms);
  if (typeof timer === "object" && timer !== null && "unref" in timer) {
    (timer as { unref(): void }).unref();
  } else if (typeof timer === "number") {
    // Deno up to 2.8 and browsers have numbers; a page has no end that a timer could hold up.
    globals().Deno?.unrefTimer?.(timer);
  }
  return () => clearTimeout(timer as ReturnType<typeof setTimeout>);
}
