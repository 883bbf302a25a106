/**
 * Which runtime this is, and the few of its globals we look at, typed as no more than we use of them: the
 * package is compiled where none of them, or only another runtime's, is declared.
 *
 * @module
 */

interface RuntimeGlobals {
  readonly Deno?: {
    readonly permissions?: {
      querySync?(descriptor: { name: "env"; variable: string }): { readonly state: string };
    };
    readonly env?: { get(name: string): string | undefined };
    readonly build?: { readonly os?: string };
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

/** The global object, looked at anew at each use: users and tests may change it. */
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
 * Whether the user has forbidden this page to reach the machine it runs on. Only a denial is certain: browsers
 * say `prompt` also where they never ask.
 */
export async function isLocalNetworkDenied(): Promise<boolean> {
  const { permissions } = globals().navigator ?? {};
  // The name of now, then that of earlier versions; a browser that knows neither rejects.
  for (const name of ["loopback-network", "local-network-access"]) {
    try {
      const status = await permissions?.query({ name });
      if (status !== undefined) return status.state === "denied";
    } catch {
      continue;
    }
  }
  return false;
}
