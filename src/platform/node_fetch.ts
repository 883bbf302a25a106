/**
 * Node's `fetch` gives up after 300 s without headers and after 300 s between two pieces of a body,
 * whatever the caller asked for. A model that loads, or reads a long prompt, is silent for longer.
 *
 * @module
 */

import { globals, isNode } from "./runtime.ts";

interface Dispatcher {
  dispatch(options: object, handler: unknown): boolean;
}

/**
 * Fields to add to the `RequestInit` of Node's own `fetch`; empty on every other runtime, and on a Node that
 * no longer has what this rests on: there the caps stay, which is better than no request at all.
 */
export function withoutFetchCaps(): { dispatcher?: Dispatcher } {
  if (!isNode() || globalDispatcher() === undefined) return {};
  return {
    dispatcher: {
      // Forwards to whatever is the global dispatcher at that moment, a user's proxy or mock included.
      // A new agent of that class would lose it, and undici itself would be a dependency.
      dispatch: (options, handler) => {
        const dispatcher = globalDispatcher();
        if (dispatcher === undefined) throw new TypeError("Node's global dispatcher is gone");
        return dispatcher.dispatch({ ...options, headersTimeout: 0, bodyTimeout: 0 }, handler);
      },
    },
  };
}

/** Not documented, but the key that the package `undici` shares with Node. */
function globalDispatcher(): Dispatcher | undefined {
  // Node 20 has one only once its `fetch` is loaded.
  void globalThis.Response;
  const shared = globalThis as unknown as Record<symbol, Dispatcher | undefined>;
  // The one that Node's own `fetch` asks, 1 up to Node 24. The other may be of an undici that is installed
  // beside it: version 8 refuses what Node 24 hands it, and version 6 sets only the first.
  const version = Number.parseInt(globals().process?.versions?.undici ?? "", 10) >= 8 ? 2 : 1;
  return shared[Symbol.for(`undici.globalDispatcher.${version}`)];
}
