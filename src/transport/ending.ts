/**
 * Whether a streamed answer has come to its end. A finish reason says so, but some servers put one beside every
 * piece: what comes after it shows that it was not the end.
 *
 * @module
 */

import type { EventReader } from "./event_reader.ts";

/** What a frame has of the answer, beside a finish reason. */
export type Piece = "nothing" | "thought" | "text";

/** Follows the finish reasons of one answer, and tells the reader's timers. */
export class Ending {
  readonly #reader: EventReader;
  #reason: string | undefined;
  #wasWrong = false;
  /** Whether a piece came without a reason: then one that comes with a reason is the last. */
  #hasPlainPiece = false;
  #hasText = false;

  constructor(reader: EventReader) {
    this.#reader = reader;
  }

  /** The last finish reason, if nothing of the answer came after it. */
  get reason(): string | undefined {
    return this.#reason;
  }

  /** Whether a stream that ends here without `[DONE]` is whole. */
  get isWhole(): boolean {
    return this.#reason !== undefined && !this.#wasWrong;
  }

  /** Takes what one frame says. */
  take(piece: Piece, reason: string | undefined): void {
    if (piece !== "nothing") {
      if (this.#reason !== undefined) {
        this.#wasWrong = true;
        this.#reason = undefined;
        this.#reader.markUnfinished();
      }
      this.#hasText ||= piece === "text";
      if (reason === undefined) this.#hasPlainPiece = true;
    }
    if (reason === undefined) return;
    // Some repeat it in every frame that follows: the wait for the end is not begun anew.
    const isFirst = this.#reason === undefined;
    this.#reason = reason;
    if (!isFirst) return;
    const isEnd = piece === "nothing" || (this.#hasPlainPiece && this.#hasText && !this.#wasWrong);
    this.#reader.markFinish(isEnd);
  }
}

/** A finish reason; some servers write the word for none. */
export function finishReasonOf(value: unknown): string | undefined {
  if (typeof value !== "string" || value === "") return undefined;
  return value === "None" || value === "null" ? undefined : value;
}
