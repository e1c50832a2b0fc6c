import type { ClockOffset } from "./records.ts";

/**
 * Places the GPU's clock beside the host's, of which only this is known: that work begins after it was handed
 * over, and ends before the host hears of it.
 */
export class Clock {
  #lowest = -Infinity;
  #highest = Infinity;

  /**
   * Takes the timestamps of a submission in ms, and when the host handed it over and heard that it was done.
   */
  take(stamps: readonly number[], { submitted, done }: { submitted: number; done: number }): void {
    this.#lowest = Math.max(this.#lowest, submitted - stamps.reduce((a, b) => Math.min(a, b)));
    this.#highest = Math.min(this.#highest, done - stamps.reduce((a, b) => Math.max(a, b)));
  }

  /** The offset; undefined before the first submission. */
  offset(): ClockOffset | undefined {
    if (this.#lowest === -Infinity) return undefined;
    return { offset: this.#lowest, slack: this.#highest - this.#lowest };
  }
}
