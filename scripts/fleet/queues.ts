import { Job, Queue } from "bullmq";
import type { ChainableCommander, Redis } from "ioredis";
import { type CanonicalRequest, nameOf } from "./request_name.ts";
import type { Done } from "./rate.ts";
import { expectRoom } from "./server.ts";

/** Keys of BullMQ in the server begin so; each model has a queue. */
export const PREFIX = "denoise:draw";
const MODELS = "denoise:models"; // the set of all models that ever had a queue
const ATTEMPTS = 3; // of a request that fails for a reason which may pass
const BYTES = 1300; // that a request takes in the server beside its own
const PAGE = 100; // dead letters that are looked at together
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
  /** As it was sent, whatever that was. */
  readonly request: unknown;
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
   * as it is. Returns what became of each before: undefined for those that are new. Throws where the server's memory is full.
   */
  async add(
    requests: readonly CanonicalRequest[],
    priority: number,
  ): Promise<readonly (Exclude<Outcome, "done"> | undefined)[]> {
    const bytes = requests.reduce((sum, request) => sum + BYTES + JSON.stringify(request).length, 0);
    await expectRoom(this.#client, bytes);
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
    return (await answersOf(pipeline)).map((fields) => {
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

  /** Requests of a model that were done. */
  async done(model: string): Promise<Done> {
    const { meta: { count, prevTS, prevCount }, data } = await this.#of(model).getMetrics("completed");
    return { count, prevTS, prevCount, lately: data };
  }

  /** The dead letters of a model: requests that failed for good, the newest first. */
  async *failed(model: string): AsyncGenerator<FailedRequest> {
    const queue = this.#of(model);
    for await (const ids of this.#failedIds(model)) {
      const pipeline = this.#client.pipeline();
      for (const id of ids) pipeline.hmget(queue.toKey(id), "data", "failedReason");
      for (const [i, fields] of (await answersOf(pipeline)).entries()) {
        const [data, reason] = fields as (string | null)[];
        yield { name: ids[i]!, model, reason: reasonOf(reason ?? ""), request: valueIn(data) };
      }
    }
  }

  /** Lets the dead letters of a model be drawn once more, as if they had never failed. Returns how many. */
  async retry(model: string): Promise<number> {
    const queue = this.#of(model);
    return await this.#forEachFailed(model, async (id) => {
      await this.#client.hdel(queue.toKey(id), "defa", "stc", "progress"); // of workers that ended or refused it
      const job = new Job(queue, "draw", null, {}, id);
      await job.retry("failed", { resetAttemptsMade: true, resetAttemptsStarted: true });
    });
  }

  /** Throws the dead letters of a model away. Returns how many. */
  async forget(model: string): Promise<number> {
    return await this.#forEachFailed(model, (id) => this.#of(model).remove(id));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const queue of this.#queues.values()) await queue.close();
  }

  /** Does something with each dead letter that there is now, many at once. Returns with how many it was done. */
  async #forEachFailed(model: string, deed: (id: string) => Promise<unknown>): Promise<number> {
    const pages = await Array.fromAsync(this.#failedIds(model)); // all first, as the deed shortens the list
    let done = 0;
    for (const ids of pages) {
      const deeds = ids.map((id) => deed(id).then(() => done++, unlessGone));
      await Promise.all(deeds);
    }
    return done;
  }

  /** Names of the dead letters of a model, the newest first, some at once. */
  async *#failedIds(model: string): AsyncGenerator<readonly string[]> {
    const key = this.#of(model).toKey("failed");
    for (let at = 0;; at += PAGE) {
      const ids = await this.#client.zrevrange(key, at, at + PAGE - 1);
      if (ids.length > 0) yield ids;
      if (ids.length < PAGE) return;
    }
  }

  #of(model: string): Queue {
    let queue = this.#queues.get(model);
    if (!queue) {
      queue = new Queue(queueName(model), {
        connection: this.#client,
        prefix: PREFIX,
        skipMetasUpdate: true,
        skipVersionCheck: true, // which is done once, where the client connects
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

/** Lets BullMQ's own errors pass: somebody else has the request by now, or it is gone. */
export function unlessGone(error: Error & { code?: unknown }): void {
  if (typeof error.code !== "number") throw error;
}

/** Answers to several commands that were sent at once. */
async function answersOf(pipeline: ChainableCommander): Promise<readonly unknown[]> {
  return (await pipeline.exec() ?? []).map(([error, answer]) => {
    if (error) throw error;
    return answer;
  });
}

/** The value of a record's text; the text itself where it is no JSON. */
function valueIn(text: string | null | undefined): unknown {
  try {
    return JSON.parse(text ?? "null");
  } catch {
    return text;
  }
}

function reasonOf(reason: string): string {
  return reason === "job stalled more than allowable limit" ? STALLED : reason; // BullMQ's words
}
