/**
 * Event stream: the interface of every stream that is returned to users.
 *
 * @module
 */

/** Stream of an answer while it is being generated. It has one consumer. */
export interface EventStream<Item, Answer> extends AsyncIterable<Item>, AsyncDisposable {
  /**
   * Sends the request and resolves when the first item has arrived: call it before your web server answers 200. It
   * consumes nothing; reading the stream afterwards still yields every item and throws the same error.
   *
   * @throws the error that came instead of an item; after an abort, `signal.reason`; after `cancel()`, as `response()`.
   *
   * @example
   * ```ts
   * import { isProviderError, LMStudioProvider } from "jsr:@patinox/lmstudio";
   *
   * const stream = new LMStudioProvider().streamCompletion("Hello!");
   * try {
   *   await stream.started();
   *   for await (const text of stream.textStream) console.log(text);
   * } catch (error) {
   *   if (!isProviderError(error)) throw error;
   *   console.log(error.hint);
   * }
   * ```
   */
  started(): Promise<void>;
  /**
   * Reads the rest of the stream and returns the whole answer.
   *
   * @throws the error of the stream; after `cancel()`, its reason, or without one a {StreamError} with `partial`.
   *
   * @example
   * ```ts
   * import { LMStudioProvider } from "jsr:@patinox/lmstudio";
   *
   * const stream = new LMStudioProvider().streamCompletion("Hello!");
   * for await (const { content } of stream) console.log(content);
   * console.log((await stream.response()).finishReason);
   * ```
   */
  response(): Promise<Answer>;
  /**
   * Stops the generation. Idempotent; leaving a `for await` loop does the same.
   *
   * @example
   * ```ts
   * import { LMStudioProvider } from "jsr:@patinox/lmstudio";
   *
   * const stream = new LMStudioProvider().streamCompletion("Count to a thousand.");
   * setTimeout(() => stream.cancel(), 50);
   * for await (const text of stream.textStream) console.log(text); // Ends without an error.
   * ```
   */
  cancel(reason?: unknown): Promise<void>;
  /**
   * Returns the items as a web stream; cancelling it stops the generation.
   *
   * @example
   * ```ts
   * import { LMStudioProvider } from "jsr:@patinox/lmstudio";
   *
   * const stream = new LMStudioProvider().streamCompletion("Hello!").toReadableStream();
   * await stream.pipeTo(new WritableStream({ write: ({ content }) => console.log(content) }));
   * ```
   */
  toReadableStream(): ReadableStream<Item>;
}
