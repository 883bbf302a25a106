/**
 * What a stream gives out one by one and reads several at a time.
 *
 * @module
 */

/** Items in their order; a failure comes after those before it. */
export class PulledItems<Item> {
  readonly #fill: () => Promise<void>;
  #items: Item[] = [];
  #at = 0;
  #failure: { readonly error: unknown } | undefined;
  #isOver = false;

  /** @param fill waits for more, and hands it to `push`, `fail` and `finish`. */
  constructor(fill: () => Promise<void>) {
    this.#fill = fill;
  }

  /** Whether nothing will follow what is there. */
  get isOver(): boolean {
    return this.#isOver;
  }

  /** Adds an item. */
  push(item: Item): void {
    this.#items.push(item);
  }

  /** Nothing follows. */
  finish(): void {
    this.#isOver = true;
  }

  /** Nothing follows but this error. */
  fail(error: unknown): void {
    this.#failure = { error };
    this.#isOver = true;
  }

  /** Drops what has not been given out. */
  clear(): void {
    this.#items = [];
    this.#at = 0;
  }

  /** The next item, waited for; `undefined` after the last one. */
  async next(): Promise<Item | undefined> {
    while (this.#at === this.#items.length) {
      if (this.#failure !== undefined) throw this.#failure.error;
      if (this.#isOver) return undefined;
      this.clear();
      await this.#fill();
    }
    return this.#items[this.#at++];
  }

  /** An item that is there already: most come several to a read, and waiting costs more than decoding. */
  take(): Item | undefined {
    return this.#at < this.#items.length ? this.#items[this.#at++] : undefined;
  }
}
