import type { DrawProgress } from "../draw/drawing.ts";
import type { Offers } from "../draw/offers.ts";
import type { PngInfo } from "./recipe.ts";
import { base64Of, jsonOf, type PageRequest } from "./request.ts";

/** An answer that is an error; its message is one sentence for the user. */
export class ServerError extends Error {
  /** The setting that is wrong, where it is one. */
  readonly param: string | undefined;
  /** Of its answer, where there was one. */
  readonly status: number | undefined;

  constructor(message: string, { param, status }: { param?: string | undefined; status?: number } = {}) {
    super(message);
    [this.param, this.status] = [param, status];
  }
}

/** A picture from the server. */
export interface DrawnPicture {
  /** Its file, with its recipe. */
  readonly png: Blob;
  readonly width: number;
  readonly height: number;
  /** Lines on what was done otherwise than asked. */
  readonly notices: readonly string[];
}

/** A step's profile from the server. */
export interface Profile {
  /** In milliseconds. */
  readonly ms: number;
  /** What keeps it from being shorter. */
  readonly bound: string;
  /** Address of its report, as the server calls itself. */
  readonly url: string;
}

/** What happens while a picture is drawn, or a step profiled. */
export interface JobListener {
  /** Aborts when it was cancelled here. */
  readonly signal: AbortSignal;
  onProgress(progress: DrawProgress): void;
  /** Told that the server cannot be heard, until there is progress again. */
  onLost(): void;
  /** Takes the address of a small picture of what is drawn. */
  onPreview(address: string): void;
}

/** A job as /v1/jobs tells it. */
export interface Job {
  readonly id: string;
  readonly pictures: readonly { readonly url: string; readonly width: number; readonly height: number }[];
  readonly profile: Profile | null;
  readonly notices: readonly string[];
  readonly error: { readonly message: string; readonly param: string | null } | null;
}

const JSON_TYPE = { "content-type": "application/json" };
const KEY = "key"; // in the tab's storage: gone when the tab is closed
const TRIES = 30; // of a stream that broke, one each second

/** The server that this page came from. */
export class Server {
  readonly #askKey: (isWrong: boolean) => Promise<string>;

  /** `askKey` gets a key from the user, after a wrong one where that is said. */
  constructor(askKey: (isWrong: boolean) => Promise<string>) {
    this.#askKey = askKey;
  }

  /** What there is to draw with. */
  async offers(): Promise<Offers> {
    return await (await this.#fetch("v1/offers")).json();
  }

  /** The texts in a PNG; undefined where it is none, or has none. */
  async pngInfo(file: Blob): Promise<PngInfo | undefined> {
    try {
      const body = JSON.stringify({ image: await base64Of(file) });
      return await (await this.#fetch("sdapi/v1/png-info", { method: "POST", headers: JSON_TYPE, body }))
        .json();
    } catch {
      return undefined; // it may be a picture all the same
    }
  }

  /** Asks for a picture, or for a step's profile. Returns the name of its job, which waits now. Throws a ServerError where it is refused. */
  async begin(kind: "picture" | "profile", request: PageRequest): Promise<string> {
    const body = await jsonOf(request);
    const path = kind === "profile" ? "v1/profiles" : "v1/jobs";
    const { id }: Job = await (await this.#fetch(path, { method: "POST", headers: JSON_TYPE, body })).json();
    return id;
  }

  /**
   * Follows a job to its end, through breaks of the connection. Throws a ServerError where it failed, and the signal's reason
   * where it ended after that. One at a time: browsers have six connections to a server.
   */
  async follow(id: string, { signal, onProgress, onPreview, onLost }: JobListener): Promise<Job> {
    let last = "0";
    for (let broken = 0;; broken++) {
      if (broken > 0) await new Promise((done) => setTimeout(done, 1000));
      try {
        const { body } = await this.#fetch(`v1/jobs/${id}/events`, { headers: { "last-event-id": last } });
        for await (const { event, data, id } of eventsOf(body!)) {
          [last, broken] = [id, 0];
          const told = JSON.parse(data);
          if (event === "progress") onProgress(told);
          else if (event === "preview") onPreview(`data:image/png;base64,${told.b64_json}`);
          else if (event === "succeeded") return told;
          else if (event === "cancelled") throw new ServerError("Another client has cancelled the picture");
          else throw new ServerError(told.error.message, { param: told.error.param ?? undefined });
        }
      } catch (error) {
        if (signal.aborted) throw signal.reason;
        if (error instanceof ServerError && error.status === 404) {
          throw new ServerError(
            "The server was started anew, and knows nothing of this any more: draw it again",
          );
        }
        if (error instanceof ServerError && !(error instanceof Unreachable)) throw error;
        if (broken >= TRIES) throw new Unreachable();
        onLost();
      }
    }
  }

  /** Takes the picture of a job that has succeeded. */
  async take({ id, pictures: [picture], notices }: Job): Promise<DrawnPicture> {
    const { url, width, height } = picture!;
    const png = await (await this.#fetch(new URL(url).pathname)).blob(); // another host where a proxy stands between
    this.end(id); // which lets the server forget it
    return { png, width, height, notices };
  }

  /** Cancels a job, or lets the server forget it; also while the page is left. Resolves when it has, or cannot. */
  async end(id: string): Promise<void> {
    await this.#fetch(`v1/jobs/${id}`, { method: "DELETE", keepalive: true }).catch(() => {});
  }

  async #fetch(path: string, init: RequestInit = {}): Promise<Response> {
    for (;;) {
      const key = sessionStorage.getItem(KEY);
      const headers = new Headers(init.headers);
      if (key !== null) headers.set("authorization", `Bearer ${key}`);
      const response = await fetch(path, { ...init, headers }).catch(() => {
        throw new Unreachable();
      });
      if (response.ok) return response;
      if (response.status !== 401) throw await errorOf(response);
      sessionStorage.setItem(KEY, await this.#askKey(key !== null));
    }
  }
}

class Unreachable extends ServerError {
  constructor() {
    super("Cannot reach the server; is it still there?");
  }
}

async function errorOf(response: Response): Promise<ServerError> {
  const { error } = await response.json().catch(() => ({}));
  const { message = `Cannot draw: the server answered ${response.status}`, param } = error ?? {};
  return new ServerError(message, { param: param ?? undefined, status: response.status });
}

/** The events of a stream; `EventSource` would send no key. */
async function* eventsOf(
  body: ReadableStream<Uint8Array>,
): AsyncGenerator<{ id: string; event: string; data: string }> {
  const reader = body.pipeThrough(new TextDecoderStream() as ReadableWritablePair<string, Uint8Array>)
    .getReader();
  try {
    let text = "";
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      const blocks = (text + value).split("\n\n");
      text = blocks.pop()!;
      for (const block of blocks) {
        const field = (name: string) => new RegExp(`^${name}: (.*)$`, "m").exec(block)?.[1];
        const [id, event, data] = ["id", "event", "data"].map(field);
        if (id !== undefined && event !== undefined && data !== undefined) yield { id, event, data };
      }
    }
  } finally {
    await reader.cancel();
  }
}
