import type { Gallery } from "./gallery.ts";
import type { Wish } from "./line.ts";
import { smallOf } from "./pixels.ts";
import type { PictureRecord, Records } from "./records.ts";
import type { Job, Server } from "./server.ts";
import type { Stage } from "./stage.ts";

/** Follows jobs on the stage, and keeps what they draw. */
export class Follower {
  readonly #server: Server;
  readonly #stage: Stage;
  readonly #records: Records;
  readonly #gallery: Gallery;

  constructor(server: Server, stage: Stage, records: Records, gallery: Gallery) {
    [this.#server, this.#stage, this.#records, this.#gallery] = [server, stage, records, gallery];
  }

  /** Shows that something is drawn or measured. */
  begin({ kind, request }: Wish): void {
    this.#stage.work(request);
    this.#stage.tellListeners(kind === "profile" ? "Measuring a step" : "Drawing");
  }

  /** Follows a job to its end, and shows what it made. Throws as `Server.follow` does, and where a picture cannot be kept. */
  async follow(wish: Wish, id: string, signal: AbortSignal): Promise<void> {
    let begun: number | undefined;
    const job = await this.#server.follow(id, {
      signal,
      onProgress: (progress) => {
        if (progress.phase === "drawing") begun ??= performance.now();
        this.#stage.progress(progress);
      },
      onPreview: (address) => this.#stage.preview(address),
      onLost: () => this.#stage.lose(),
    }).catch((error) => {
      if (!signal.aborted) this.#server.end(id); // it may go on, where it cannot be followed
      throw error;
    });
    if (wish.kind === "profile") this.#showProfile(job);
    else await this.#keep(wish, job, begun);
  }

  /** Keeps a job's picture, unless it is the same again. `begun` is the time of its first step. */
  async #keep({ request, old }: Wish, job: Job, begun: number | undefined): Promise<void> {
    const seconds = begun === undefined ? {} : { seconds: (performance.now() - begun) / 1000 };
    const drawn = await this.#server.take(job);
    const stage = this.#stage;
    if (old && await equal(old.png, drawn.png)) {
      this.#show(old);
      stage.tell("Drawn again: the same picture, byte for byte.", ...old.notices);
      return;
    }
    const small = await smallOf(drawn.png, drawn);
    const made = { ...drawn, ...seconds, request, created: Date.now(), small };
    this.#show({ ...made, id: -1 }); // even where it cannot be kept
    const record = await this.#records.add(made);
    this.#gallery.add(record);
    this.#show(record);
    if (old) stage.tell("Drawn again: other bytes, as the server has changed. Both are kept.");
    else if (record.notices.length > 0) stage.tell(...record.notices);
    else stage.tellListeners("Drawn");
  }

  #showProfile({ profile }: Job): void {
    this.#stage.showProfile({ ...profile!, url: new URL(profile!.url).pathname });
  }

  #show(record: PictureRecord): void {
    if (this.#stage.finish(record)) this.#gallery.mark(record);
  }
}

/** True for files of the same bytes. */
async function equal(a: Blob, b: Blob): Promise<boolean> {
  const [x, y] = (await Promise.all([a.arrayBuffer(), b.arrayBuffer()])).map((file) => new Uint8Array(file));
  return x!.length === y!.length && x!.every((value, i) => value === y![i]);
}
