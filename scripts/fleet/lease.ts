import { Job, Worker } from "bullmq";
import type { Redis } from "ioredis";
import { PREFIX, queueName, STALLS } from "./queues.ts";

const DAY = 24 * 60; // minutes for which a queue counts what was done

/** A request that a worker holds. Unless its lease is renewed, another worker gets it. */
export interface Held {
  readonly job: Job<unknown>;
  /** Proves that this worker holds it. */
  readonly token: string;
  /** Whose queue it came from. */
  readonly model: string;
  readonly source: Source;
}

/** The end of a queue at which requests are taken. */
export class Source implements AsyncDisposable {
  readonly #client: Redis;
  readonly #worker: Worker;
  readonly #model: string;
  readonly #ms: number;
  #taken = 0;

  /** For a model's queue; `lease` in seconds. Until disposed it also gives requests back to others whose worker is gone. */
  constructor(client: Redis, model: string, lease: number) {
    this.#client = client;
    this.#model = model;
    this.#ms = 1000 * lease;
    this.#worker = new Worker(queueName(model), null, {
      connection: client,
      prefix: PREFIX,
      autorun: false,
      skipVersionCheck: true, // which is done where the client connects
      lockDuration: this.#ms,
      stalledInterval: this.#ms,
      maxStalledCount: STALLS - 1,
      metrics: { maxDataPoints: DAY },
    });
    this.#worker.on("error", () => {}); // the client tells of lost servers
    this.#worker.startStalledCheckTimer();
  }

  /** Takes the next request; undefined where none waits. Its record may hold anything: others may write there, too. */
  async take(): Promise<Held | undefined> {
    const token = `${this.#worker.id}:${this.#taken++}`;
    const job = await this.#next(token);
    return job && { job, token, model: this.#model, source: this };
  }

  async #next(token: string): Promise<Job | undefined> {
    try {
      return await this.#worker.getNextJob(token, { block: false });
    } catch (error) {
      if (!(error instanceof SyntaxError || error instanceof TypeError)) throw error;
      return await this.#mended(token); // it is held all the same, and would come again for ever
    }
  }

  /** The record that is held by a token and that BullMQ cannot read, written anew so that it can: its data as a text. */
  async #mended(token: string): Promise<Job | undefined> {
    for (const id of await this.#client.lrange(this.#worker.keys["active"]!, 0, -1)) {
      const key = this.#worker.toKey(id);
      if (await this.#client.get(`${key}:lock`) !== token) continue;
      const data = JSON.stringify(await this.#client.hget(key, "data") ?? "");
      await this.#client.multi().hset(key, { data, opts: "{}" }).hdel(key, "progress", "parent").exec();
      return await Job.fromId(this.#worker, id);
    }
    return undefined;
  }

  /** Renews the lease of a request until the result is disposed. */
  hold({ job, token }: Held): Disposable {
    const renew = () => void job.extendLock(token, this.#ms).catch(() => {}); // lost: another worker draws the same, at worst
    const timer = setInterval(renew, this.#ms / 3);
    return { [Symbol.dispose]: () => clearInterval(timer) };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#worker.close(true);
  }
}
