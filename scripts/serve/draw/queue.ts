import { RefusalError } from "../request/refusal.ts";

/** Options of waiting for one's turn. */
interface TurnOptions {
  /** Leaves the queue, with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
  /** Told how many are in front whenever that changes. */
  readonly onAhead?: ((count: number) => void) | undefined;
}

/** One who waits. */
interface Turn {
  readonly begin: () => void;
  readonly refuse: (error: unknown) => void;
  readonly onAhead: (count: number) => void;
}

/** Work that is done one after the other, in the order in which it came. */
export class Queue {
  readonly #most: number;
  readonly #waiting: Turn[] = [];
  #current: Promise<unknown> | undefined;
  #closed = false;

  /** At most so many may wait. */
  constructor(most: number) {
    this.#most = most;
  }

  /** Those who wait. */
  get waiting(): number {
    return this.#waiting.length;
  }

  /** True while work is done. */
  get busy(): boolean {
    return this.#current !== undefined;
  }

  /** Throws a RefusalError once it closes. */
  expectOpen(): void {
    if (this.#closed) throw stopping();
  }

  #expectRoom(): void {
    this.expectOpen();
    if (!this.busy || this.waiting < this.#most) return;
    const message = `Cannot draw: expected at most ${this.#most} requests in the queue, and it is full; ` +
      "try again later";
    throw new RefusalError("busy", message);
  }

  /** Does a piece of work when its turn has come. Throws a RefusalError where too many wait, or the queue closes. */
  async run<T>(work: () => Promise<T>, { signal, onAhead = () => {} }: TurnOptions = {}): Promise<T> {
    signal?.throwIfAborted();
    this.#expectRoom();
    if (this.busy) await this.#turn(signal, onAhead);
    if (this.#closed) {
      this.#next();
      throw stopping();
    }
    const done = work();
    this.#current = done.catch(() => {});
    try {
      return await done;
    } finally {
      this.#next();
    }
  }

  /** Refuses those who wait and all who come, and waits for the work that is done. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const { refuse } of this.#waiting.splice(0)) refuse(stopping());
    await this.#current;
  }

  async #turn(signal: AbortSignal | undefined, onAhead: (count: number) => void): Promise<void> {
    const { promise, resolve: begin, reject: refuse } = Promise.withResolvers<void>();
    const turn: Turn = { begin, refuse, onAhead };
    const leave = () => {
      const at = this.#waiting.indexOf(turn);
      if (at < 0) return; // its turn has come: the work itself sees the signal
      this.#waiting.splice(at, 1);
      refuse(signal!.reason);
      this.#tell();
    };
    onAhead(this.waiting + 1);
    this.#waiting.push(turn);
    signal?.addEventListener("abort", leave);
    try {
      await promise;
    } finally {
      signal?.removeEventListener("abort", leave);
    }
  }

  /** Begins the next turn; until its work begins, the place stays taken. */
  #next(): void {
    const turn = this.#waiting.shift();
    if (!turn) this.#current = undefined;
    turn?.begin();
    this.#tell();
  }

  #tell(): void {
    for (const [i, turn] of [...this.#waiting].entries()) {
      try {
        turn.onAhead(i + 1);
      } catch (error) { // which is of this request alone
        this.#waiting.splice(this.#waiting.indexOf(turn), 1);
        turn.refuse(error);
      }
    }
  }
}

function stopping(): RefusalError {
  return new RefusalError("stopping", "Cannot draw: the server ends; try again later");
}
