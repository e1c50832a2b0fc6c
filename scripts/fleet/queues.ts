import { type Job, Queue } from "bullmq";
import type { Redis } from "ioredis";
import { type CanonicalRequest, nameOf } from "./request_name.ts";

/** Keys of BullMQ in the server begin so; each model has a queue. */
export const PREFIX = "denoise:draw";
const MODELS = "denoise:models"; // the set of all models that ever had a queue
const ATTEMPTS = 3; // of a request that fails for a reason which may pass
const AGAIN_MS = 5000; // before the second; before the third twice as long

/** Workers that may end while they draw a request before it counts as the reason. */
export const STALLS = 3;

/** The reason that is given then. */
export const STALLED = `Cannot draw: ${STALLS} workers ended while they drew it`;

/** The highest number of a priority, which comes last. */
export const LAST_PRIORITY = 2 ** 21 - 1;

/** How many requests of a model are in which state. */
export interface Counts {
  readonly waiting: number;
  readonly active: number;
  /** They failed, and are tried again a little later. */
  readonly delayed: number;
  /** They failed for good. */
  readonly failed: number;
}

/** What became of a request: it is under way, or done, or failed for a reason. */
export type Outcome = "pending" | "done" | { readonly reason: string };

/** A request as the queues know it. */
export interface Ticket {
  readonly name: string;
  readonly model: string;
}

/** A request that failed for good. */
export interface FailedRequest extends Ticket {
  readonly reason: string;
  /** As it was sent. */
  readonly request: CanonicalRequest;
}

/** The queues on a server: one for each model, so that a worker takes what it has loaded. */
export class Queues implements AsyncDisposable {
  readonly #client: Redis;
  readonly #queues = new Map<string, Queue>();

  /** Over a client that is connected, and stays its owner's. */
  constructor(client: Redis) {
    this.#client = client;
  }

  /** Names of the models that have queues. */
  async models(): Promise<readonly string[]> {
    return (await this.#client.smembers(MODELS)).sort();
  }

  /**
   * Adds requests, in their order, with a priority of which 1 comes first. One that waits, is drawn or has failed already stays
   * as it is. Returns what became of each before: undefined for those that are new.
   */
  async add(
    requests: readonly CanonicalRequest[],
    priority: number,
  ): Promise<readonly (Exclude<Outcome, "done"> | undefined)[]> {
    const before = await this.outcomes(requests.map(ticketOf));
    const models = Map.groupBy(requests, ({ model }) => model);
    if (models.size > 0) await this.#client.sadd(MODELS, ...models.keys());
    for (const [model, some] of models) {
      await this.#of(model).addBulk(some.map((request) => ({
        name: "draw",
        data: request,
        opts: {
          jobId: nameOf(request),
          priority,
          attempts: ATTEMPTS,
          backoff: { type: "exponential", delay: AGAIN_MS },
          removeOnComplete: true, // its picture tells that it is done
          removeOnFail: false,
          stackTraceLimit: 0,
        },
      })));
    }
    return before.map((outcome) => outcome === "done" ? undefined : outcome); // not in the queue, whether drawn or not
  }

  /** What became of requests that were added. */
  async outcomes(tickets: readonly Ticket[]): Promise<readonly Outcome[]> {
    const pipeline = this.#client.pipeline();
    for (const { name, model } of tickets) {
      pipeline.hmget(this.#of(model).toKey(name), "timestamp", "finishedOn", "failedReason");
    }
    const answers = await pipeline.exec() ?? [];
    return answers.map(([error, fields]) => {
      if (error) throw error;
      const [added, finished, reason] = fields as (string | null)[];
      if (added === null) return "done"; // what is done leaves the queue
      return finished === null ? "pending" : { reason: reasonOf(reason ?? "") };
    });
  }

  /** Numbers of requests by models. */
  async counts(models: readonly string[]): Promise<ReadonlyMap<string, Counts>> {
    const all = models.map(async (model): Promise<[string, Counts]> => {
      const { wait = 0, prioritized = 0, active = 0, delayed = 0, failed = 0 } = await this.#of(
        model,
      )
        .getJobCounts("wait", "prioritized", "active", "delayed", "failed");
      return [model, { waiting: wait + prioritized, active, delayed, failed }];
    });
    return new Map(await Promise.all(all));
  }

  /** Requests of a model that were done in all, and in each of the last whole minutes, the newest first. */
  async done(model: string, minutes: number): Promise<{ count: number; lately: readonly number[] }> {
    const { meta, data } = await this.#of(model).getMetrics("completed", 0, minutes - 1);
    return { count: meta.count, lately: data };
  }

  /** The dead letters of a model: requests that failed for good, the newest first, one page after the other. */
  async *failed(model: string): AsyncGenerator<FailedRequest> {
    const jobs = await this.#failedJobs(model);
    for (const { id = "", data, failedReason } of jobs) {
      yield { name: id, model, reason: reasonOf(failedReason), request: data };
    }
  }

  /** Lets the dead letters of a model be drawn once more, as if they had never failed. Returns how many. */
  async retry(model: string): Promise<number> {
    const jobs = await this.#failedJobs(model);
    for (const job of jobs) {
      await this.#client.hdel(this.#of(model).toKey(job.id!), "defa", "stc"); // BullMQ's notes of workers that ended
      await job.retry("failed", { resetAttemptsMade: true, resetAttemptsStarted: true });
    }
    return jobs.length;
  }

  /** Throws the dead letters of a model away. Returns how many. */
  async forget(model: string): Promise<number> {
    const jobs = await this.#failedJobs(model);
    for (const job of jobs) await job.remove();
    return jobs.length;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const queue of this.#queues.values()) await queue.close();
  }

  async #failedJobs(model: string): Promise<Job<CanonicalRequest>[]> {
    return await this.#of(model).getFailed();
  }

  #of(model: string): Queue {
    let queue = this.#queues.get(model);
    if (!queue) {
      queue = new Queue(queueName(model), {
        connection: this.#client,
        prefix: PREFIX,
        skipMetasUpdate: true,
      });
      queue.on("error", () => {}); // the client tells of lost servers
      this.#queues.set(model, queue);
    }
    return queue;
  }
}

/** The ticket of a request. */
export function ticketOf(request: CanonicalRequest): Ticket {
  return { name: nameOf(request), model: request.model };
}

/** The name of a model's queue: BullMQ takes no colons. */
export function queueName(model: string): string {
  return encodeURIComponent(model);
}

function reasonOf(reason: string): string {
  return reason === "job stalled more than allowable limit" ? STALLED : reason; // BullMQ's words
}
