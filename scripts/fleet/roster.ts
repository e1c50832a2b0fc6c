import type { Redis } from "ioredis";

const IDS = "denoise:workers"; // the set of their ids
const SECONDS = 5; // from beat to beat
const BEATS = 3; // after so many that did not come a worker counts as gone

/** A worker as it tells of itself. */
export interface WorkerState {
  /** Machine and process. */
  readonly id: string;
  /** Its device and engine. */
  readonly device: string;
  /** Models that it offers: their names, and what tells their files from others. */
  readonly models: Readonly<Record<string, string>>;
  /** The model that it drew with last. */
  readonly model: string | undefined;
  /** The request that it draws. */
  readonly request: string | undefined;
  /** Seconds since it began with that. */
  readonly seconds: number;
  /** Requests that it finished. */
  readonly done: number;
  /** Requests that failed on it, each attempt counted. */
  readonly failed: number;
}

/** The workers that live: each writes every 5 s what it does, and is forgotten where it does not. No clock is compared. */
export class Roster {
  readonly #client: Redis;

  /** Over a client that is connected, and stays its owner's. */
  constructor(client: Redis) {
    this.#client = client;
  }

  /** The workers, by their ids. */
  async workers(): Promise<readonly WorkerState[]> {
    const ids = (await this.#client.smembers(IDS)).sort();
    if (ids.length === 0) return [];
    const states = await this.#client.mget(ids.map(keyOf));
    const gone = ids.filter((_, i) => states[i] === null);
    if (gone.length > 0) await this.#client.srem(IDS, ...gone);
    return states.flatMap((text) => text === null ? [] : [JSON.parse(text) as WorkerState]);
  }

  /** Refuses models that a worker which lives has otherwise under the same name: a request would get either's picture. */
  async expectSame(models: WorkerState["models"]): Promise<void> {
    for (const worker of await this.workers()) {
      for (const [name, own] of Object.entries(models)) {
        const other = worker.models[name] ?? own;
        if (other === own) continue;
        throw new Error(
          `Cannot offer the model ${name}: expected the files that ${worker.id} has (${other}), got others (${own}); ` +
            "offer them under another name",
        );
      }
    }
  }

  /** Tells what a worker does. */
  async tell(state: WorkerState): Promise<void> {
    await this.#client.multi().sadd(IDS, state.id)
      .set(keyOf(state.id), JSON.stringify(state), "EX", BEATS * SECONDS).exec();
  }

  /** Tells every 5 s what a worker does, until the result is disposed, and that it is gone then. */
  beat(state: () => WorkerState): AsyncDisposable {
    const tell = () => void this.tell(state()).catch(() => {}); // the next one tells more
    tell();
    const timer = setInterval(tell, 1000 * SECONDS);
    return {
      [Symbol.asyncDispose]: async () => {
        clearInterval(timer);
        if (this.#client.status !== "ready") return; // it is forgotten by itself
        await this.#client.multi().del(keyOf(state().id)).srem(IDS, state().id).exec();
      },
    };
  }
}

function keyOf(id: string): string {
  return `denoise:worker:${id}`;
}
