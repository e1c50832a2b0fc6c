import type { Redis } from "ioredis";

const SECONDS = 24 * 3600; // after which it goes by itself where nobody asks

/**
 * A key on the queues' server that tells whether this kept all that was put there before: a request that it does not have counts
 * as done, and a server may lose the last second, or all, when it starts again. Losing is of the newest first, so that a key which
 * is written later than a request tells of it.
 */
export class Mark implements AsyncDisposable {
  readonly #client: Redis;
  readonly #key = `denoise:mark:${crypto.randomUUID()}`;
  #writes = 0;

  private constructor(client: Redis) {
    this.#client = client;
  }

  /** Sets one, over a client that stays its owner's. */
  static async set(client: Redis): Promise<Mark> {
    const mark = new Mark(client);
    await mark.isKept();
    return mark;
  }

  /** True if the server has all that was put there before the last call. */
  async isKept(): Promise<boolean> {
    const last = String(this.#writes++);
    return await this.#client.set(this.#key, this.#writes, "EX", SECONDS, "GET") === last;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#client.del(this.#key);
  }
}
