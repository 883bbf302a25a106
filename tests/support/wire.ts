/** Minimal versions of what servers send, and a few helpers for tests of failures. */

/** `GET /api/v1/models`: one loaded model, `m`. */
export const LISTING: string = JSON.stringify({
  models: [{ type: "llm", key: "m", loaded_instances: [{ id: "m", config: {} }] }],
});

/** `POST /v1/chat/completions`. */
export function answer(content: string): string {
  return JSON.stringify({
    id: "chatcmpl-1",
    model: "m",
    choices: [{ index: 0, message: { role: "assistant", content }, finish_reason: "stop" }],
  });
}

/** `POST /v1/embeddings`, one vector. */
export const EMBEDDING: string = JSON.stringify({
  model: "m",
  data: [{ index: 0, embedding: [1, 2] }],
});

/** One event of a streamed answer. */
export function event(delta: Record<string, unknown>, finishReason: string | null = null): string {
  const choices = [{ index: 0, delta, finish_reason: finishReason }];
  return `data: ${JSON.stringify({ id: "chatcmpl-1", model: "m", choices })}\n\n`;
}

/** One event with text. */
export function token(content: string): string {
  return event({ role: "assistant", content });
}

/** The last two events. */
export const FINISH: string = event({}, "stop") + "data: [DONE]\n\n";

/** The reason a promise rejects with; fails if it does not. */
export async function rejection(promise: Promise<unknown>): Promise<unknown> {
  let value: unknown;
  try {
    value = await promise;
  } catch (error) {
    return error;
  }
  throw new Error(`Expected a rejection, got ${Deno.inspect(value)}`);
}

/** A gate that a test opens. */
export function gate(): { readonly opened: Promise<void>; open(): void } {
  const { promise, resolve } = Promise.withResolvers<void>();
  return { opened: promise, open: resolve };
}
