import type { Device } from "../gpu/device.ts";
import { streamOf } from "../graph/stream.ts";

/** Brings something into memory; returns what frees it. */
type Bring = (signal?: AbortSignal) => Promise<() => void>;

/** Whether a model's weights are in memory, on their way there, or leaving. */
export class Presence {
  readonly #device: Device;
  readonly #bring: Bring;
  #release: (() => void) | undefined;
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

  /** Brings them in, unless they are there; several callers share the work. */
  async bring(signal?: AbortSignal): Promise<void> {
    while (!this.#release) {
      const wish = this.#wish;
      this.#coming ??= this.#come(wish, signal).finally(() => this.#coming = undefined);
      await this.#coming;
      if (wish !== this.#wish && !this.#release) return; // freed meanwhile
    }
  }

  async #come(wish: number, signal?: AbortSignal): Promise<void> {
    await streamOf(this.#device).flush(); // what was freed before returns to the GPU first
    const release = await this.#bring(signal);
    if (wish === this.#wish) this.#release = release;
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
