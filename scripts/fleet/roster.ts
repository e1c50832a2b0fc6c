import type { Versions } from "denoise/serve";
import type { Redis } from "ioredis";
import { z } from "zod";

const IDS = "denoise:workers"; // the set of their ids
const SECONDS = 5; // from beat to beat
const BEATS = 3; // after so many that did not come a worker counts as gone

/** A worker as it tells of itself. */
export interface WorkerState {
  /** Machine and process. */
  readonly id: string;
  /** Its device and engine. */
  readonly device: string;
  /** All that requests may name, and what tells its files from others. */
  readonly offers: Versions;
  /** The model that it drew with last. */
  readonly model?: string | undefined;
  /** The request that it draws. */
  readonly request?: string | undefined;
  /** Seconds since it began with that. */
  readonly seconds: number;
  /** Requests that it finished. */
  readonly done: number;
  /** Requests that failed on it, each attempt counted. */
  readonly failed: number;
}

const schema: z.ZodType<WorkerState> = z.object({
  id: z.string(),
  device: z.string(),
  offers: z.record(z.string(), z.record(z.string(), z.string())),
  model: z.string().optional(),
  request: z.string().optional(),
  seconds: z.number(),
  done: z.number(),
  failed: z.number(),
});

/** The workers that live: each writes every 5 s what it does, and is forgotten where it does not. No clock is compared. */
export class Roster {
  readonly #client: Redis;

  /** Over a client that is connected, and stays its owner's. */
  constructor(client: Redis) {
    this.#client = client;
  }

  /** The workers, by their ids; without those of another version, which tell otherwise of themselves. */
  async workers(): Promise<readonly WorkerState[]> {
    const ids = (await this.#client.smembers(IDS)).sort();
    if (ids.length === 0) return [];
    const states = await this.#client.mget(ids.map(keyOf));
    const gone = ids.filter((_, i) => states[i] === null);
    if (gone.length > 0) await this.#client.srem(IDS, ...gone);
    return states.flatMap((text) => stateIn(text) ?? []);
  }

  /** Refuses files that a worker which lives has otherwise under the same name: a request would get either's picture. */
  async expectSame(offers: Versions): Promise<void> {
    for (const worker of await this.workers()) {
      for (const [kind, versions] of Object.entries(offers)) {
        for (const [name, own] of Object.entries(versions)) {
          const other = versionIn(worker, kind, name) ?? own;
          if (other === own) continue;
          throw new Error(
            `Cannot offer the ${kind} ${name}: expected the files that ${worker.id} has (${other}), got others (${own}); ` +
              "offer them under another name",
          );
        }
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

/** The version of what a worker offers under a name; undefined where it offers none. */
export function versionIn({ offers }: WorkerState, kind: string, name: string): string | undefined {
  const versions = Object.hasOwn(offers, kind) ? offers[kind]! : {};
  return Object.hasOwn(versions, name) ? versions[name] : undefined;
}

function keyOf(id: string): string {
  return `denoise:worker:${id}`;
}

function stateIn(text: string | null): WorkerState | undefined {
  try {
    return schema.safeParse(JSON.parse(text ?? "null")).data;
  } catch {
    return undefined;
  }
}
