/** What a service worker may use, including members that load on first use: `bundle.ts` bundles it into one file. */
import { LMStudioProvider } from "@patinox/lmstudio";

/** What this script returns to the script that runs it. */
export interface WorkerScope {
  /** The members' answers. */
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
