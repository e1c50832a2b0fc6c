import { randomInt, randomUUID } from "node:crypto";
import type { Drawer } from "../draw/drawer.ts";
import type { Drawing, DrawOptions, DrawProgress } from "../draw/drawing.ts";
import type { StepProfile } from "../draw/profile_task.ts";
import { asRefusal, RefusalError } from "../request/refusal.ts";
import type { DrawRequest } from "../request/request.ts";
import type { PictureStore } from "./store.ts";

/** What a job is doing, or what became of it. */
export type JobStatus = "queued" | "running" | "succeeded" | "failed" | "cancelled";

/** A picture of a job that has succeeded. */
interface JobPicture {
  /** Its name in the store. */
  readonly name: string;
  /** In pixels. */
  readonly width: number;
  /** In pixels. */
  readonly height: number;
  readonly seed: bigint;
}

/** The profile of a job that has succeeded. */
interface JobProfile extends Pick<StepProfile, "ms" | "bound"> {
  /** Names of its report and of its file in the store. */
  readonly names: { readonly html: string; readonly json: string };
}

/** Something that a job told. Only the latest of each kind is kept: whoever comes late, or reads slowly, misses the others. */
export type JobEvent =
  & {
    /** Its place among all that the job told, from 1. */
    readonly id: number;
  }
  & (
    | { readonly kind: "progress"; readonly progress: DrawProgress }
    | { readonly kind: "preview"; readonly png: Uint8Array; readonly step: number }
    | { readonly kind: "end" }
  );

type Told = JobEvent extends infer Event ? Event extends JobEvent ? Omit<Event, "id"> : never : never;

/** A request that is drawn, or whose step is profiled, while its client does other things. */
export class Job {
  /** Its name: 122 random bits. */
  readonly id: string = randomUUID();
  /** The time at which it came, in milliseconds since 1970. */
  readonly created: number = Date.now();
  status: JobStatus = "queued";
  /** Those that it drew. */
  pictures: readonly JobPicture[] = [];
  /** The profile of its step, where that was wanted in place of pictures. */
  profile: JobProfile | undefined;
  /** Lines on what was done otherwise than asked. */
  notices: readonly string[] = [];
  /** The reason why it failed. */
  error: RefusalError | undefined;
  readonly #cancelling = new AbortController();
  readonly #events = new Map<JobEvent["kind"], JobEvent>();
  /** Those who follow it. */
  followers = 0;
  #told = 0;
  #change = Promise.withResolvers<void>();

  /** How far it is. */
  get progress(): DrawProgress | undefined {
    const event = this.#events.get("progress");
    return event?.kind === "progress" ? event.progress : undefined;
  }

  /** Aborts when it is cancelled. */
  get signal(): AbortSignal {
    return this.#cancelling.signal;
  }

  /** True once nothing more comes. */
  get ended(): boolean {
    return this.#events.has("end");
  }

  /** Resolves when it tells something more. */
  get change(): Promise<void> {
    return this.#change.promise;
  }

  /** The kept events after one, in their order. */
  after(id: number): readonly JobEvent[] {
    return [...this.#events.values()].filter((event) => event.id > id);
  }

  /** Tells something; nothing comes after its end, though a preview may be under way then. */
  tell(event: Told): void {
    if (this.ended) return;
    if (event.kind === "end") this.#events.delete("preview"); // the picture is there
    this.#events.delete(event.kind); // so that the map's order is that of time
    this.#events.set(event.kind, { ...event, id: ++this.#told } as JobEvent);
    this.#change.resolve();
    this.#change = Promise.withResolvers();
  }

  /** Ends it: while it waits at once, else between two steps. Resolves when it has ended. */
  async cancel(): Promise<void> {
    this.#cancelling.abort();
    while (!this.ended) await this.change;
  }
}

const KEPT = 1000; // jobs that have ended: their pictures are in the store
const FOLLOWERS = { ofOne: 16, ofAll: 256 }; // each takes up to 0.4 MB where its client reads slowly

/** Requests that are drawn while their clients do other things, and what became of them. */
export class Jobs {
  readonly #drawer: Drawer;
  readonly #store: PictureStore;
  readonly #jobs = new Map<string, Job>();
  #followers = 0;

  constructor(drawer: Drawer, store: PictureStore) {
    this.#drawer = drawer;
    this.#store = store;
  }

  /** A job by its name; undefined where it is not there, or no longer. */
  get(id: string): Job | undefined {
    return this.#jobs.get(id);
  }

  /** Begins to draw. Throws the RefusalError of a request that is not even queued. A request without a seed gets one. */
  async add(request: DrawRequest): Promise<Job> {
    const seeded = { ...request, seed: request.seed ?? BigInt(randomInt(2 ** 32)) };
    return await this.#begin(async (job, options) => {
      const drawing = await this.#drawer.draw(seeded, {
        ...options,
        wantsPreview: () => job.followers > 0,
        onPreview: (png, step) => job.tell({ kind: "preview", png, step }),
      });
      this.#succeed(job, drawing);
    });
  }

  /** Begins to profile a step of a request. Throws as `add` does. */
  async profile(request: DrawRequest): Promise<Job> {
    return await this.#begin(async (job, options) => {
      const { ms, bound, html, json } = await this.#drawer.profile(request, options);
      const [page, file] = [html, json].map((text) => new TextEncoder().encode(text));
      const names = { html: this.#store.put(page!, "html"), json: this.#store.put(file!, "json") };
      job.profile = { ms, bound, names };
    });
  }

  async #begin(work: (job: Job, options: DrawOptions) => Promise<void>): Promise<Job> {
    const job = new Job();
    const accepted = Promise.withResolvers<void>();
    const done = work(job, {
      signal: job.signal,
      onProgress: (progress) => {
        job.status = progress.phase === "waiting" ? "queued" : "running";
        job.tell({ kind: "progress", progress });
        accepted.resolve();
      },
    });
    done.then(() => job.status = "succeeded", (error) => fail(job, error)).finally(() => {
      job.tell({ kind: "end" });
    });
    await Promise.race([accepted.promise, done]);
    this.#forgetOld();
    this.#jobs.set(job.id, job);
    return job;
  }

  /** Those who follow any. */
  get followers(): number {
    return this.#followers;
  }

  /** Lets one more follow a job, until the returned function is called. Throws a RefusalError where as many do as may. */
  follow(job: Job): () => void {
    const { ofOne, ofAll } = FOLLOWERS;
    if (job.followers >= ofOne) throw tooMany(`${ofOne} streams of one job`);
    if (this.#followers >= ofAll) throw tooMany(`${ofAll} streams of all jobs`);
    this.#followers++;
    job.followers++;
    return () => {
      this.#followers--;
      job.followers--;
    };
  }

  /** Forgets a job that has ended, and what it made. */
  forget(job: Job): void {
    const names = [...job.pictures.map(({ name }) => name), ...Object.values(job.profile?.names ?? {})];
    for (const name of names) this.#store.remove(name);
    this.#jobs.delete(job.id);
  }

  #succeed(job: Job, { pictures, notices }: Drawing): void {
    job.pictures = pictures.map(({ png, width, height, recipe }) => ({
      name: this.#store.put(png, "png"),
      ...{ width, height, seed: recipe["seed"] as bigint },
    }));
    job.notices = notices;
  }

  /** Makes room for one more: those that wait or are drawn are bounded by the queue. */
  #forgetOld(): void {
    const ended = [...this.#jobs.values()].filter((job) => job.ended); // in the order in which they came
    for (const job of ended.slice(0, Math.max(0, ended.length - KEPT + 1))) this.#jobs.delete(job.id);
  }
}

function tooMany(most: string): RefusalError {
  const message =
    `Cannot follow the job: expected at most ${most}, and there are as many; end another, or ask ` +
    "for its status";
  return new RefusalError("too many", message);
}

function fail(job: Job, error: unknown): void {
  if (job.signal.aborted && error === job.signal.reason) job.status = "cancelled";
  else {
    job.status = "failed";
    job.error = asRefusal(error);
  }
}
