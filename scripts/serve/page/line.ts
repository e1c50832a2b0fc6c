import type { PictureRecord } from "./records.ts";
import type { PageRequest } from "./request.ts";
import { type Server, ServerError } from "./server.ts";

/** What the user asks of the server. */
export interface Wish {
  /** A picture, or the profile of one of its steps. */
  readonly kind: "picture" | "profile";
  readonly request: PageRequest;
  /** The picture that is drawn again. */
  readonly old?: PictureRecord;
}

/** The place of a wish in the line. */
export class Turn {
  readonly wish: Wish;
  /** The name of its job; undefined until the server has it. */
  job: string | undefined;
  /** The reason why it failed. It stays in the line until the user has seen that. */
  error: Error | undefined;
  /** Aborts when it is cancelled. */
  readonly ending = new AbortController();
  /** Resolves when the server has it, or it has left the line. */
  readonly sent = Promise.withResolvers<void>();
  /** True once it waits in the page: what goes wrong from then on is told in its place, as nobody looks at the form. */
  isHeld = false;

  constructor(wish: Wish) {
    this.wish = wish;
  }
}

/** What the page does for the line. */
export interface Attendant {
  /** Told whose turn has come, so far as the page knows. */
  begin(wish: Wish): void;
  /** Follows a job to its end, and shows what it made. */
  follow(wish: Wish, job: string, signal: AbortSignal): Promise<void>;
  /** Told that one was cancelled whose turn it was. */
  cancelled(): void;
  /** Told why one failed behind which nothing waits. */
  failed(error: Error): void;
  /** Told that nothing is left to do. */
  rest(): void;
  /** Told who waits or has failed. `isFull` while the server has no room for those that it does not have. */
  show(turns: readonly Turn[], isFull: boolean): void;
}

const FULL = 429; // status of an answer

/**
 * All that the page asked for and has not got, in the server's order: each is sent at once, and waits in the server's queue.
 * Where that is full, those behind wait here, until one of this page's leaves it.
 */
export class Line {
  readonly #server: Server;
  readonly #attendant: Attendant;
  #turns: readonly Turn[] = [];
  #current: Turn | undefined;
  #sending: Promise<void> = Promise.resolve();
  #isFull = false;
  #room = Promise.withResolvers<void>();

  constructor(server: Server, attendant: Attendant) {
    this.#server = server;
    this.#attendant = attendant;
  }

  /** Takes more. Resolves when all are sent. Throws the ServerError of the first that is refused; those behind it leave with it. */
  async add(wishes: readonly Wish[]): Promise<void> {
    const turns = wishes.map((wish) => new Turn(wish));
    this.#turns = [...this.#turns, ...turns];
    this.#hold();
    this.#work();
    this.#show();
    const sending = this.#sending.then(() => this.#send(turns));
    this.#sending = sending.catch(() => {});
    await sending;
  }

  /** Cancels one, or forgets it where it has failed. */
  cancel(turn: Turn): void {
    turn.ending.abort();
    const ended = turn.job === undefined || turn.error ? undefined : this.#server.end(turn.job);
    if (turn !== this.#current || !ended) this.#leave(turn, ended); // else it leaves when its job has ended
  }

  /** Cancels the one whose turn it is. */
  cancelCurrent(): void {
    if (this.#current) this.cancel(this.#current);
  }

  /** Cancels all, the last first, so that the server begins none of them. */
  cancelAll(): void {
    for (const turn of this.#turns.toReversed()) this.cancel(turn);
  }

  /** Asks once more for what has failed. Throws as `add` does. */
  async retry(turn: Turn): Promise<void> {
    this.#leave(turn);
    await this.add([turn.wish]);
  }

  async #send(turns: readonly Turn[]): Promise<void> {
    for (const [i, turn] of turns.entries()) {
      try {
        await this.#sendOne(turn);
      } catch (error) {
        for (const one of turns.slice(i)) this.#leave(one);
        throw error;
      }
    }
  }

  /** Sends one, when there is room for it. */
  async #sendOne(turn: Turn): Promise<void> {
    const { signal } = turn.ending;
    while (!signal.aborted) {
      const isNext = this.#turns.every(({ job, error }) => job === undefined || error); // so no room comes from this page
      const room = this.#room.promise;
      try {
        turn.job = await this.#server.begin(turn.wish.kind, turn.wish.request);
        turn.sent.resolve();
        if (signal.aborted) await this.#server.end(turn.job);
        return;
      } catch (error) {
        this.#isFull = error instanceof ServerError && error.status === FULL && !isNext;
        if (!this.#isFull && turn.isHeld) return this.#fail(turn, error as Error);
        if (!this.#isFull) throw error;
      }
      this.#hold();
      this.#show();
      await room;
    }
  }

  /** Marks those that the server does not have while it has no room for them. */
  #hold(): void {
    if (!this.#isFull) return;
    for (const turn of this.#turns) turn.isHeld ||= turn.job === undefined;
  }

  /** Attends to one after the other, until none is left but those that failed. */
  async #work(): Promise<void> {
    if (this.#current) return;
    for (;;) {
      const turn = this.#current = this.#turns.find(({ error }) => !error);
      this.#show();
      if (!turn) return this.#attendant.rest();
      const { signal } = turn.ending;
      this.#attendant.begin(turn.wish);
      await turn.sent.promise;
      try {
        if (turn.job !== undefined) await this.#attendant.follow(turn.wish, turn.job, signal);
        if (!turn.error) this.#leave(turn); // else the server refused it when there seemed to be room
      } catch (error) {
        if (signal.aborted) this.#leave(turn);
        else this.#fail(turn, error as Error);
      }
      if (signal.aborted) this.#attendant.cancelled();
    }
  }

  /** Leaves one in the line with its error; where nothing waits behind it, the page shows that by itself. */
  #fail(turn: Turn, error: Error): void {
    if (this.#turns.some((other) => other !== turn && !other.error)) {
      turn.error = error;
      turn.sent.resolve();
      this.#makeRoom();
    } else {
      this.#leave(turn);
      this.#attendant.failed(error);
    }
  }

  /** Takes one out of the line; `ended` resolves once it has left the server's, too. */
  #leave(turn: Turn, ended: Promise<void> = Promise.resolve()): void {
    this.#turns = this.#turns.filter((other) => other !== turn);
    turn.sent.resolve();
    this.#show();
    ended.then(() => this.#makeRoom());
  }

  /** Lets those be sent for whom there was no room. */
  #makeRoom(): void {
    this.#isFull = false;
    this.#room.resolve();
    this.#room = Promise.withResolvers();
    this.#show();
  }

  #show(): void {
    this.#attendant.show(this.#turns.filter((turn) => turn !== this.#current), this.#isFull);
  }
}
