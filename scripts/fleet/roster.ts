import type { Versions } from "denoise/serve";
import type { ChainableCommander, Redis } from "ioredis";
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
    return await this.#of(await this.#client.smembers(IDS));
  }

  /**
   * Tells of a worker that begins. Throws, and forgets it, where one that told before has other files under the same name, or
   * stores them otherwise: a request would get either's picture. Of two that begin at once the server knows which was first:
   * it notes a worker and gives those before in one step.
   */
  async join(state: WorkerState): Promise<void> {
    const answers = await this.#noting(this.#client.multi().smembers(IDS), state).exec();
    const before = (answers![0]![1] as string[]).filter((id) => id !== state.id);
    try {
      for (const worker of await this.#of(before)) expectSame(state.offers, worker);
    } catch (error) {
      await this.#forget(state.id);
      throw error;
    }
  }

  /** Tells what a worker does. */
  async tell(state: WorkerState): Promise<void> {
    await this.#noting(this.#client.multi(), state).exec();
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
        await this.#forget(state().id);
      },
    };
  }

  #noting(commands: ChainableCommander, state: WorkerState): ChainableCommander {
    return commands.sadd(IDS, state.id).set(keyOf(state.id), JSON.stringify(state), "EX", BEATS * SECONDS);
  }

  async #forget(id: string): Promise<void> {
    await this.#client.multi().del(keyOf(id)).srem(IDS, id).exec();
  }

  /** Those of the workers that live. */
  async #of(all: readonly string[]): Promise<readonly WorkerState[]> {
    const ids = all.toSorted();
    if (ids.length === 0) return [];
    const states = await this.#client.mget(ids.map(keyOf));
    const gone = ids.filter((_, i) => states[i] === null);
    if (gone.length > 0) await this.#client.srem(IDS, ...gone);
    return states.flatMap((text) => stateIn(text) ?? []);
  }
}

/** Refuses what another worker has otherwise under the same name. */
function expectSame(offers: Versions, worker: WorkerState): void {
  for (const [kind, versions] of Object.entries(offers)) {
    for (const [name, own] of Object.entries(versions)) {
      const other = versionIn(worker, kind, name) ?? own;
      if (other === own) continue;
      const [files, ...stored] = own.split(" ");
      const [otherFiles, ...otherStored] = other.split(" ");
      const [got, wanted] = [stored.join(" "), otherStored.join(" ")];
      throw new Error(
        `Cannot offer the ${kind} ${name}: expected ` +
          (files === otherFiles
            ? `it to be stored as ${worker.id} has it (${wanted}), got ${got}; say the same --dtype and --quantize, or --memory`
            : `the files that ${worker.id} has (${other}), got others (${own}); offer them under another name`),
      );
    }
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
