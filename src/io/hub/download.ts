import { createHash } from "node:crypto";
import { diskError } from "./disk_error.ts";
import { isFile } from "./cache.ts";
import { bodyOf, request, Watchdog } from "./http.ts";
import { PartialFile } from "./partial_file.ts";
import { PassingError, retry, type RetryOptions, sleep } from "./retry.ts";

/** A file to be downloaded. */
export interface Download {
  /** Its address on the hub, which may redirect elsewhere. */
  url: string;
  /** Its name in messages. */
  name: string;
  /** Its checksum (sha256 or git's sha1), and the name of its blob. */
  etag: string;
  /** Bytes, where the hub says. */
  size?: number | undefined;
  /** Sent to the host of `url` only. */
  token?: string | undefined;
  /** Makes the error for an answer without the file. */
  refuse: (response: Response) => Error;
}

/** Options of a download. */
export interface DownloadOptions extends RetryOptions {
  /** Longest silence of the server, in ms. */
  timeout: number;
  /** Called with the bytes that have arrived. */
  onBytes: (loaded: number) => void;
}

/** Downloads a file, from where an earlier run stopped, and names it `blob` once its checksum is right. */
export async function downloadBlob(blob: string, file: Download, options: DownloadOptions): Promise<void> {
  try {
    using partial = await claim(blob, file.size, options);
    if (!partial) return;
    try {
      await fillAndCheck(partial, file, options);
      await partial.publish();
    } catch (error) {
      if (diskError(error, blob) !== error) await partial.discard(); // a full disk needs the room
      throw error;
    }
  } catch (error) {
    options.signal?.throwIfAborted();
    if (!(error instanceof PassingError)) throw diskError(error, blob);
    const advice = `${error.advice}; another run goes on where it stopped`;
    throw new Error(`Cannot download ${file.name}: ${error.message}; ${advice}`, { cause: error });
  }
}

/** The partial file to fill; undefined where the blob is there, perhaps from another process. */
async function claim(
  blob: string,
  size: number | undefined,
  { signal, timeout, onBytes }: DownloadOptions,
): Promise<PartialFile | undefined> {
  const patience = 4 * timeout; // while nothing arrives: the other process may be computing a checksum
  let seen = -1;
  let since = Date.now();
  while (!await isFile(blob, size)) {
    const claimed = await PartialFile.claim(blob, { evenIfBusy: Date.now() - since > patience });
    if (claimed instanceof PartialFile) {
      if (!await isFile(blob, size)) return claimed;
      using late = claimed; // the other process has just finished
      await late.discard();
      return undefined;
    }
    if (claimed.busy !== seen) {
      seen = claimed.busy;
      since = Date.now();
      onBytes(seen);
    }
    await sleep(100, signal);
  }
  return undefined;
}

async function fillAndCheck(partial: PartialFile, file: Download, options: DownloadOptions): Promise<void> {
  for (;;) {
    const resumed = partial.size > 0;
    let furthest = partial.size;
    const achieved = () => furthest = Math.max(furthest, partial.size);
    await retry(() => fill(partial, file, options), { ...options, achieved });
    const sum = await checksum(partial, file.etag, options.signal);
    if (sum === file.etag) return;
    if (!resumed) {
      await partial.discard();
      throw new Error(`Cannot trust ${file.name}: expected checksum ${file.etag}, got ${sum}; run again`);
    }
    await partial.restart(); // the leftover was at fault, or so we hope
  }
}

/** Fetches the rest of the partial file with one request. */
async function fill(partial: PartialFile, file: Download, options: DownloadOptions): Promise<void> {
  const { size } = file;
  if (size !== undefined && partial.size > size) await partial.restart();
  if (partial.size === size) return;

  using watchdog = new Watchdog(options.timeout, options.signal);
  const start = partial.size;
  const headers: Record<string, string> = start > 0 ? { range: `bytes=${start}-` } : {};
  const response = await request(file.url, { headers, token: file.token, watchdog });
  const wrongPart = response.status === 206 && !startsAt(response, start);
  if (wrongPart || response.status === 416) {
    await response.body?.cancel();
    await partial.restart();
    throw new PassingError(`expected ${size ?? "more"} bytes, got ${start} and not the rest`);
  }
  if (!response.ok) {
    await response.body?.cancel();
    throw file.refuse(response);
  }
  if (response.headers.get("content-type")?.startsWith("text/html")) {
    await response.body?.cancel();
    throw new PassingError("expected the file, got a page of HTML", {
      advice: `open ${file.url} in a browser: a sign-in page may answer in its place`,
      lasts: "always",
    });
  }
  if (start > 0 && response.status !== 206) await partial.restart(); // the server sends the whole file all the same
  for await (const bytes of bodyOf(response, watchdog)) {
    await partial.append(bytes);
    options.onBytes(partial.size);
    if (size !== undefined && partial.size > size) break;
  }
  if (size === undefined || partial.size === size) return;
  const got = partial.size;
  if (got > size) await partial.restart();
  throw new PassingError(`expected ${size} bytes, got ${got > size ? "more" : got}`);
}

function startsAt(response: Response, start: number): boolean {
  return response.headers.get("content-range")?.startsWith(`bytes ${start}-`) ?? false;
}

/** The checksum of the bytes on the disk, of the etag's kind; the etag itself where it is no checksum. */
async function checksum(partial: PartialFile, etag: string, signal?: AbortSignal): Promise<string> {
  const isSha256 = /^[0-9a-f]{64}$/.test(etag);
  if (!isSha256 && !/^[0-9a-f]{40}$/.test(etag)) return etag;
  const hash = createHash(isSha256 ? "sha256" : "sha1");
  if (!isSha256) hash.update(`blob ${partial.size}\0`); // as git does
  for await (const bytes of partial.bytes()) {
    signal?.throwIfAborted();
    hash.update(bytes);
  }
  return hash.digest("hex");
}
