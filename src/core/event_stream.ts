/**
 * What every stream users hold can do, whatever its items are.
 *
 * @module
 */

/** An answer while it is generated, as items of one kind. It has one consumer. */
export interface EventStream<Item, Answer> extends AsyncIterable<Item>, AsyncDisposable {
  /**
   * Resolves when the first item is there, such as before a web server answers 200. Sends the request, and takes
   * nothing away: whoever reads the stream afterwards gets every item, and the error as well.
   *
   * @throws what came instead: the error of the request, after an abort `signal.reason`, after `cancel()` as `response()`.
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
   * Drains what is left and gives the whole answer.
   *
   * @throws what the stream throws; after `cancel()` its reason, else a {StreamError} with `partial`.
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
   * for await (const text of stream.textStream) console.log(text); // Ends quietly.
   * ```
   */
  cancel(reason?: unknown): Promise<void>;
  /**
   * The items as a web stream; cancelling it stops the generation.
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
