import type { Redis } from "ioredis";

const SECONDS = 24 * 3600; // after which it goes by itself where nobody asks

/**
 * A key on the queues' server which tells whether that still has what was put there: a request that it does not have counts as
 * done, and a server that starts again without its file has none.
 */
export class Mark implements AsyncDisposable {
  readonly #client: Redis;
  readonly #key = `denoise:mark:${crypto.randomUUID()}`;

  private constructor(client: Redis) {
    this.#client = client;
  }

  /** Sets one, over a client that stays its owner's. */
  static async set(client: Redis): Promise<Mark> {
    const mark = new Mark(client);
    await client.set(mark.#key, "", "EX", SECONDS);
    return mark;
  }

  /** Throws where it is gone. */
  async expectThere(): Promise<void> {
    if (await this.#client.expire(this.#key, SECONDS) === 1) return;
    throw new Error(
      "Cannot wait: the queue's server lost what it had, as one without --appendonly yes does when it starts again; " +
        "send the file again: pictures that are there are not drawn again",
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#client.del(this.#key);
  }
}
