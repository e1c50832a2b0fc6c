/** A hub on this machine, with a second port that plays the CDN, and with whatever faults a test wants. */
import { createHash } from "node:crypto";

/** A request as the server saw it. */
export interface Seen {
  method: string;
  path: string;
  range: string | null;
  authorization: string | null;
}

/** What the server holds and how it misbehaves. */
export interface HubOptions {
  files: Record<string, string | Uint8Array<ArrayBuffer>>;
  /** Name of the repository; owner/tiny by default. */
  repo?: string | undefined;
  /** Path in front of everything, as of a mirror in a subfolder. */
  prefix?: string | undefined;
  /** Leaves sizes and hashes out of the listing, as some mirrors do. */
  bareListing?: boolean | undefined;
  /** Says other sizes or hashes in the listing than those of the files. */
  lie?: (name: string) => { size?: number; sha256?: string };
  /** Answers in the hub's place; `count` is how many requests for this path came before. */
  fault?:
    | ((request: Request, path: string, count: number) => Response | Promise<Response> | undefined)
    | undefined;
}

export const repo = "owner/tiny";
export const commit = "c0ffee00".repeat(5);

export class HubServer implements AsyncDisposable {
  readonly seen: Seen[] = [];
  readonly endpoint: string;
  readonly cdn: string;
  #hub: Deno.HttpServer<Deno.NetAddr>;
  #cdn: Deno.HttpServer<Deno.NetAddr>;
  #files = new Map<string, Uint8Array<ArrayBuffer>>();

  constructor(readonly options: HubOptions) {
    for (const [name, content] of Object.entries(options.files)) {
      this.#files.set(name, typeof content === "string" ? new TextEncoder().encode(content) : content);
    }
    this.#hub = serve((request) => this.#faultOr(request, () => this.#answer(request)));
    this.#cdn = serve((request) => this.#faultOr(request, () => this.#blob(request)));
    this.cdn = `http://127.0.0.1:${this.#cdn.addr.port}`;
    this.endpoint = `http://127.0.0.1:${this.#hub.addr.port}${options.prefix ?? ""}`;
  }

  /** Requests whose path holds `part`. */
  requests(part = ""): Seen[] {
    return this.seen.filter(({ path }) => path.includes(part));
  }

  bytes(name: string): Uint8Array<ArrayBuffer> {
    return this.#files.get(name)!;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([this.#hub.shutdown(), this.#cdn.shutdown()]);
  }

  async #faultOr(request: Request, answer: () => Response): Promise<Response> {
    const path = new URL(request.url).pathname;
    const count = this.seen.filter((seen) => seen.path === path).length;
    const { headers, method } = request;
    this.seen.push({
      method,
      path,
      range: headers.get("range"),
      authorization: headers.get("authorization"),
    });
    return await this.options.fault?.(request, path, count) ?? answer();
  }

  #answer(request: Request): Response {
    const { pathname } = new URL(request.url);
    const path = pathname.slice((this.options.prefix ?? "").length);
    const listing = path.match(/^\/api\/models\/(.+)\/revision\/([^/]+)$/);
    if (listing?.[1] === (this.options.repo ?? repo)) return this.#listing(decodeURIComponent(listing[2]!));
    if (listing) return refuse(404, "RepoNotFound");
    const file = path.match(/^\/(.+)\/resolve\/([^/]+)\/(.+)$/);
    const name = decodeURIComponent(file?.[3] ?? "");
    const content = this.#files.get(name);
    if (!content) return refuse(404, "EntryNotFound");
    if (!isLarge(name)) {
      return send(content, request, { "x-repo-commit": commit, etag: `"${gitSha1(content)}"` });
    }
    const headers = {
      location: `${this.cdn}/blob/${name}`,
      "x-repo-commit": commit,
      "x-linked-etag": `"${sha256(content)}"`,
      "x-linked-size": `${content.length}`,
    };
    return new Response(null, { status: 302, headers });
  }

  #listing(revision: string): Response {
    if (revision !== "main" && revision !== commit) return refuse(404, "RevisionNotFound");
    const siblings = [...this.#files].map(([rfilename, content]) => {
      if (this.options.bareListing) return { rfilename };
      const { size = content.length, sha256: sum = sha256(content) } = this.options.lie?.(rfilename) ?? {};
      const lfs = isLarge(rfilename) ? { sha256: sum, size, pointerSize: 134 } : undefined;
      return { rfilename, size, blobId: gitSha1(content), lfs };
    });
    return Response.json({ id: this.options.repo ?? repo, sha: commit, siblings });
  }

  #blob(request: Request): Response {
    const name = decodeURIComponent(new URL(request.url).pathname).replace("/blob/", "");
    return send(this.bytes(name), request, {});
  }
}

/** An answer that ends with the connection after `sent` bytes of those promised. */
export function cut(content: Uint8Array<ArrayBuffer>, start: number, sent: number): Response {
  let pulled = false;
  const body = new ReadableStream<Uint8Array>({
    async pull(controller) {
      if (pulled) {
        await new Promise((resolve) => setTimeout(resolve, 50)); // lets the first part through
        controller.close(); // too early for the promised length, so the connection is dropped
      } else controller.enqueue(content.subarray(start, start + sent));
      pulled = true;
    },
  });
  return partOf(content, start, body);
}

/** Answers 206 for bytes from `start`, 200 for all of them. */
function partOf(content: Uint8Array<ArrayBuffer>, start: number, body: BodyInit, headers = {}): Response {
  const length = { "content-length": `${content.length - start}`, ...headers };
  if (start === 0) return new Response(body, { headers: length });
  const range = `bytes ${start}-${content.length - 1}/${content.length}`;
  return new Response(body, { status: 206, headers: { "content-range": range, ...length } });
}

function send(content: Uint8Array<ArrayBuffer>, request: Request, headers: HeadersInit): Response {
  const [, from, to] = request.headers.get("range")?.match(/^bytes=(\d+)-(\d*)$/) ?? [];
  if (to) return sendPart(content, Number(from), Number(to) + 1);
  const start = Number(from ?? 0);
  if (start > 0 && start >= content.length) return new Response(null, { status: 416 });
  return partOf(content, start, content.subarray(start), headers);
}

function sendPart(content: Uint8Array<ArrayBuffer>, start: number, end: number): Response {
  const part = content.subarray(start, end);
  const range = `bytes ${start}-${start + part.length - 1}/${content.length}`;
  return new Response(part, { status: 206, headers: { "content-range": range } });
}

export function refuse(status: number, code: string): Response {
  return new Response(code, { status, headers: { "x-error-code": code } });
}

export function sha256(content: Uint8Array): string {
  return createHash("sha256").update(content).digest("hex");
}

export function gitSha1(content: Uint8Array): string {
  return createHash("sha1").update(`blob ${content.length}\0`).update(content).digest("hex");
}

/** Noise that compresses to nothing smaller and repeats nowhere. */
export function noise(length: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(length);
  for (let i = 0, x = 1; i < length; i++) bytes[i] = (x = (x * 16807) % 2147483647) >> 8;
  return bytes;
}

function isLarge(name: string): boolean {
  return /\.(safetensors|bin)$/.test(name);
}

function serve(answer: Deno.ServeHandler): Deno.HttpServer<Deno.NetAddr> {
  return Deno.serve({ port: 0, hostname: "127.0.0.1", onListen() {} }, answer);
}
