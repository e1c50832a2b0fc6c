import { type Job, Worker } from "bullmq";
import type { Redis } from "ioredis";
import { PREFIX, queueName, STALLS } from "./queues.ts";
import type { CanonicalRequest } from "./request_name.ts";

const DAY = 24 * 60; // minutes for which a queue counts what was done

/** A request that a worker holds. Unless its lease is renewed, another worker gets it. */
export interface Held {
  readonly job: Job<CanonicalRequest>;
  /** Proves that this worker holds it. */
  readonly token: string;
  /** Whose queue it came from. */
  readonly model: string;
  readonly source: Source;
}

/** The end of a queue at which requests are taken. */
export class Source implements AsyncDisposable {
  readonly #worker: Worker<CanonicalRequest>;
  readonly #model: string;
  readonly #ms: number;
  #taken = 0;

  /** For a model's queue; `lease` in seconds. Until disposed it also gives requests back to others whose worker is gone. */
  constructor(client: Redis, model: string, lease: number) {
    this.#model = model;
    this.#ms = 1000 * lease;
    this.#worker = new Worker(queueName(model), null, {
      connection: client,
      prefix: PREFIX,
      autorun: false,
      lockDuration: this.#ms,
      stalledInterval: this.#ms,
      maxStalledCount: STALLS - 1,
      metrics: { maxDataPoints: DAY },
    });
    this.#worker.on("error", () => {}); // the client tells of lost servers
    this.#worker.startStalledCheckTimer();
  }

  /** Takes the next request; undefined where none waits. */
  async take(): Promise<Held | undefined> {
    const token = `${this.#worker.id}:${this.#taken++}`;
    const job = await this.#worker.getNextJob(token, { block: false }) as Job<CanonicalRequest> | undefined;
    return job && { job, token, model: this.#model, source: this };
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
