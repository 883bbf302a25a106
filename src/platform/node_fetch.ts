/**
 * Node's `fetch` gives up after 300 s without headers and after 300 s between two pieces of a body,
 * whatever the caller asked for. A model that loads, or reads a long prompt, is silent for longer.
 *
 * @module
 */

import { isNode } from "./runtime.ts";

interface Dispatcher {
  dispatch(options: object, handler: unknown): boolean;
}

/** Fields to add to the `RequestInit` of Node's own `fetch`; empty on every other runtime. */
export function withoutFetchCaps(): { dispatcher?: Dispatcher } {
  if (!isNode()) return {};
  return {
    dispatcher: {
      // Forwards to whatever is the global dispatcher at that moment, a user's proxy or mock included.
      // A new agent of that class would lose it, and undici itself would be a dependency.
      dispatch: (options, handler) =>
        globalDispatcher().dispatch({ ...options, headersTimeout: 0, bodyTimeout: 0 }, handler),
    },
  };
}

/** Set by undici when Node's `fetch` is first used. Not documented, but the key the package shares with Node. */
function globalDispatcher(): Dispatcher {
  const shared = globalThis as unknown as Record<symbol, Dispatcher | undefined>;
  const dispatcher = shared[Symbol.for("undici.globalDispatcher.2")] ??
    shared[Symbol.for("undici.globalDispatcher.1")];
  if (dispatcher === undefined) {
    throw new TypeError("This Node has no global dispatcher: pass your own `fetch`");
  }
  return dispatcher;
}
