/**
 * Whether a streamed answer has come to its end. A finish reason says so, but some servers put one beside every
 * piece: what comes after it shows that it was not the end.
 *
 * @module
 */

import type { EventReader } from "./event_reader.ts";

/** Part of the answer in a frame, beside a finish reason. */
export type Piece = "nothing" | "thought" | "text";

/** Follows the finish reasons of one answer, and sets the reader's timers by them. */
export class Ending {
  readonly #reader: Pick<EventReader, "markFinish" | "markUnfinished">;
  #reason: string | undefined;
  /** Whether nothing of the answer came after the last reason. */
  #isFinished = false;
  #wasWrong = false;
  /** Whether text came without a reason: then a piece that comes with one is the last. */
  #hasPlainText = false;

  constructor(reader: Pick<EventReader, "markFinish" | "markUnfinished">) {
    this.#reader = reader;
  }

  /** Last finish reason. */
  get reason(): string | undefined {
    return this.#reason;
  }

  /** Whether nothing of the answer came after a finish reason. */
  get isFinished(): boolean {
    return this.#isFinished;
  }

  /** Whether a stream that ends here without `[DONE]` is whole. */
  get isWhole(): boolean {
    return this.#isFinished && !this.#wasWrong;
  }

  /** Takes in one frame. */
  take(piece: Piece, reason: string | undefined): void {
    if (piece !== "nothing") {
      if (this.#isFinished) {
        this.#wasWrong = true;
        this.#isFinished = false;
        this.#reader.markUnfinished();
      }
      if (reason === undefined && piece === "text") this.#hasPlainText = true;
    }
    if (reason === undefined) return;
    this.#reason = reason;
    // Some repeat it in every frame that follows: the wait for the end is not begun anew.
    if (this.#isFinished) return;
    this.#isFinished = true;
    this.#reader.markFinish(!this.#wasWrong && (piece === "nothing" || this.#hasPlainText));
  }
}

/** A finish reason; some servers write the word for none. */
export function finishReasonOf(value: unknown): string | undefined {
  if (typeof value !== "string" || value === "") return undefined;
  return /^(?:none|null)$/i.test(value) ? undefined : value;
}
