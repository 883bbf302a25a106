/** Many requests for models of which only one fits into memory: their outcomes, and the number of loads. */
import { isProviderError, LMStudioProvider } from "../../mod.ts";
import { createFakeLMStudio } from "../../src/testing/mod.ts";
import { randomizer } from "./random.ts";

export interface Load {
  readonly requests: number;
  readonly models: number;
  readonly seed: number;
  /** Number of callers that each send one request after another; all at once if there are as many as requests. */
  readonly callers: number;
  /** Whether they use the provider's methods, or bypass its queue. */
  readonly isQueued: boolean;
}

export interface Outcome {
  readonly answered: number;
  /** Interrupted or refused because another model was loaded. */
  readonly cut: number;
  /** How often the model changed, including the first one: each change is a load. */
  readonly loads: number;
  /** The first positions reported to calls that had to queue. */
  readonly told: number;
  readonly ms: number;
}

/** Half of the answers are streamed. */
export async function runLoad(
  { requests, models, seed, callers, isQueued }: Load,
): Promise<Outcome> {
  const ids = Array.from({ length: models }, (_, index) => `maker/model-${index + 1}`);
  const fake = createFakeLMStudio({
    models: ids.map((id) => ({ id, loaded: false })),
    jitLoadMs: 20,
    firstTokenMs: 2,
    tokenMs: 1,
  });
  const lmstudio = new LMStudioProvider({ env: {}, fetch: fake.fetch });
  const random = randomizer(seed);
  const wanted = Array.from({ length: requests }, () => ids[Math.floor(random() * models)]!);
  let answered = 0;
  let told = 0;
  const ask = async (model: string, isStreamed: boolean): Promise<void> => {
    const request = { model, messages: "Hello" };
    if (!isQueued) return await askPastQueue(lmstudio, request);
    let isTold = false;
    const onQueue = (): void => {
      told += isTold ? 0 : 1;
      isTold = true;
    };
    if (isStreamed) await lmstudio.streamCompletion(request, { onQueue }).response();
    else await lmstudio.complete(request, { onQueue });
  };
  let next = 0;
  let cut = 0;
  const begin = performance.now();
  await Promise.all(Array.from({ length: callers }, async () => {
    while (next < requests) {
      const index = next++;
      try {
        await ask(wanted[index]!, index % 2 === 0);
        answered++;
      } catch (error) {
        if (!isProviderError(error) && !(error instanceof Cut)) throw error;
        cut++;
      }
    }
  }));
  const ms = performance.now() - begin;
  const asked = fake.requests.filter(({ method }) => method === "POST")
    .map(({ body }) => (body as { model: string }).model);
  const loads = asked.filter((model, index) => model !== asked[index - 1]).length;
  return { answered, cut, loads, told, ms };
}

class Cut extends Error {}

/** Like clients that only get the `fetch`. */
async function askPastQueue(lmstudio: LMStudioProvider, request: object): Promise<void> {
  const { baseURL, fetch } = lmstudio.toOpenAI();
  const body = JSON.stringify({
    ...request,
    messages: [{ role: "user", content: "Hello" }],
  });
  const response = await fetch(`${baseURL}/chat/completions`, { method: "POST", body });
  await response.text();
  if (!response.ok) throw new Cut(`status ${response.status}`);
}
