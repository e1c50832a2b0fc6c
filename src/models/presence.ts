import type { Device } from "../gpu/device.ts";
import { streamOf } from "../graph/stream.ts";

/** Brings weights into memory, all or those that one entry point reads; returns what frees them. */
type Bring = (only?: string, signal?: AbortSignal) => Promise<() => void>;

/** Whether a model's weights are in memory, on their way there, or leaving. */
export class Presence {
  readonly #device: Device;
  readonly #bring: Bring;
  #release: (() => void) | undefined;
  #only: string | undefined;
  #coming: Promise<void> | undefined;
  /** Counts what is asked for, so that weights which arrive late are let go at once. */
  #wish = 0;

  /** Of weights that are not there yet. */
  constructor(device: Device, bring: Bring) {
    this.#device = device;
    this.#bring = bring;
  }

  /** True from the end of `bring` until `free`. */
  get here(): boolean {
    return this.#release !== undefined;
  }

  /** The entry point whose weights alone are there. */
  get only(): string | undefined {
    return this.here ? this.#only : undefined;
  }

  /** Whether all weights are there, or those of an entry point. */
  has(entry?: string): boolean {
    return this.here && (this.#only === undefined || this.#only === entry);
  }

  /** Brings them in, unless some are there; several callers share the work, and get what the first one wants. */
  async bring(only?: string, signal?: AbortSignal): Promise<void> {
    while (!this.#release) {
      const wish = this.#wish;
      this.#coming ??= this.#come(wish, only, signal).finally(() => this.#coming = undefined);
      await this.#coming;
      if (wish !== this.#wish && !this.#release) return; // freed meanwhile
    }
  }

  async #come(wish: number, only?: string, signal?: AbortSignal): Promise<void> {
    await streamOf(this.#device).flush(); // what was freed before returns to the GPU first,
    await this.#device.idle(); // once no work reads it
    const release = await this.#bring(only, signal);
    if (wish === this.#wish) [this.#release, this.#only] = [release, only];
    else release();
  }

  /** Lets them go once the work recorded so far is submitted. */
  free(): void {
    this.#wish++;
    const release = this.#release;
    this.#release = undefined;
    if (release) streamOf(this.#device).afterSubmit(release);
  }
}
