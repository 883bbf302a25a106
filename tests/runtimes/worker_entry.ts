/** What a service worker may use, members that load on first use among it: bundled into one file by `bundle.ts`. */
import { LMStudioProvider } from "@patinox/lmstudio";

/** What this script gives to the one that runs it. */
export interface WorkerScope {
  /** What the members answer. */
  answers(fetch: typeof globalThis.fetch): Promise<string[]>;
}

const scope: WorkerScope = {
  answers: async (fetch) => {
    const provider = new LMStudioProvider({ fetch, env: {} });
    return [
      (await provider.runTools({ messages: "?", tools: [] })).response.content,
      (await provider.chat.send({ input: "?" })).content,
      (await provider.responses.create({ input: "?" })).text,
      (await provider.completeText("?")).text,
    ];
  },
};
Object.assign(globalThis, scope);
