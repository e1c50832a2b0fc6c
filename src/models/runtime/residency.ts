import type { Device } from "../../gpu/device.ts";
import { streamOf } from "../../graph/run/stream.ts";

/** Weights that came together: all that were missing, or those that one entry point reads. */
interface Group {
  readonly only: string | undefined;
  readonly release: () => void;
}

/** What a model does when its weights come and go. */
export interface PresenceOptions {
  /** Brings what is not there of all weights, or of those that one entry point reads; returns what frees it. */
  readonly bring: (only?: string, signal?: AbortSignal) => Promise<() => void>;
  /** Forgets what was traced with weights that go. */
  readonly forget: () => void;
}

/**
 * Which of a model's weights are in memory: none, all, or those that some entry points read. Who needs them is counted:
 * a part that comes takes the place of parts that nobody needs, and stays beside the others.
 */
export class Presence {
  readonly #device: Device;
  readonly #options: PresenceOptions;
  /** In the order in which they came; a later one may share weights of those before it. */
  readonly #groups: Group[] = [];
  /** How many need the weights of an entry point, or all. */
  readonly #leases = new Map<string | undefined, number>();
  /** Weights come and go one after the other. */
  #turn: Promise<void> = Promise.resolve();
  /** Counts calls of `free`, so that weights which arrive late are let go at once. */
  #frees = 0;

  /** Of weights that are not there yet. */
  constructor(device: Device, options: PresenceOptions) {
    this.#device = device;
    this.#options = options;
  }

  /** Whether any weights are there. */
  get here(): boolean {
    return this.#groups.length > 0;
  }

  /** Whether somebody needs any of them. */
  get needed(): boolean {
    return [...this.#leases.values()].some((count) => count > 0);
  }

  /** The entry points whose weights alone are there. */
  get only(): string[] {
    return this.has() ? [] : this.#groups.map(({ only }) => only!);
  }

  /** Whether all weights are there, or those of an entry point. */
  has(entry?: string): boolean {
    return this.#groups.some(({ only }) => only === undefined || only === entry);
  }

  /**
   * Brings weights in, unless they are there, and keeps them until what is returned is disposed, or until `free`. Where
   * that was called meanwhile they are not there in the end.
   */
  async acquire(only?: string, signal?: AbortSignal): Promise<Disposable> {
    const lease = this.#need(only);
    const frees = this.#frees;
    const come = this.#turn.then(() => this.#come(frees, only, signal));
    this.#turn = come.catch(() => {});
    try {
      await come;
      return lease;
    } catch (error) {
      lease[Symbol.dispose]();
      throw error;
    }
  }

  /** The same for who holds nothing: others that ask at the same time find each other's weights still there. */
  async visit(only?: string, signal?: AbortSignal): Promise<void> {
    const lease = await this.acquire(only, signal);
    this.#turn.then(() => lease[Symbol.dispose]());
  }

  /** Lets all go, needed or not, once the work recorded so far is submitted. */
  free(): void {
    this.#frees++;
    while (this.here) this.#freeLast();
  }

  #need(only: string | undefined): Disposable {
    const count = (by: number) => this.#leases.set(only, (this.#leases.get(only) ?? 0) + by);
    count(1);
    using stack = new DisposableStack();
    stack.defer(() => count(-1));
    return stack.move();
  }

  async #come(frees: number, only?: string, signal?: AbortSignal): Promise<void> {
    if (this.has(only) || frees !== this.#frees) return;
    const isIdle = (group: Group) => !this.#leases.get(group.only);
    if (only !== undefined) { while (this.here && isIdle(this.#groups.at(-1)!)) this.#freeLast(); }
    await streamOf(this.#device).flush(); // what was freed before returns to the GPU first,
    await this.#device.idle(); // once no work reads it
    const release = await this.#options.bring(only, signal);
    if (frees === this.#frees) this.#groups.push({ only, release });
    else release();
  }

  #freeLast(): void {
    this.#options.forget();
    streamOf(this.#device).afterSubmit(this.#groups.pop()!.release);
  }
}
