/** Ends pictures before their last step: each is then what the model sees in it so far. */
export class Interruption {
  #drawn = new AbortController();
  #isOver = false;

  /** True where no picture is to be begun any more. */
  get isOver(): boolean {
    return this.#isOver;
  }

  /** True while pictures end early that others of their request come after. */
  get isSkipping(): boolean {
    return this.#drawn.signal.aborted && !this.#isOver;
  }

  /** Ends the pictures that are drawn now, and those of the request that come after them. */
  interrupt(): void {
    this.#isOver = true;
    this.skip();
  }

  /** Ends the pictures that are drawn now: those that are drawn together. */
  skip(): void {
    this.#drawn.abort();
  }

  /** The signal for pictures that begin now. */
  begin(): AbortSignal {
    if (!this.#isOver) this.#drawn = new AbortController();
    return this.#drawn.signal;
  }
}
