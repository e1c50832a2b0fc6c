import { networkError } from "./network_error.ts";
import { PassingError } from "./retry.ts";

/** Aborts a request when the server is silent for too long, or when the user gives up. */
export class Watchdog implements Disposable {
  /** For fetch(). */
  readonly signal: AbortSignal;
  #silence = new AbortController();
  #timer: ReturnType<typeof setTimeout> | undefined;
  #timeout: number;

  /** Starts the timer; `timeout` in ms. */
  constructor(timeout: number, signal?: AbortSignal) {
    this.#timeout = timeout;
    this.signal = signal ? AbortSignal.any([this.#silence.signal, signal]) : this.#silence.signal;
    this.feed();
  }

  /** Starts the timer again, as something arrived. */
  feed(): void {
    clearTimeout(this.#timer);
    const reason = new PassingError(`no answer within ${this.#timeout / 1000} s`, {
      advice: "check the network, or set HF_HUB_DOWNLOAD_TIMEOUT and HF_HUB_ETAG_TIMEOUT to more seconds",
    });
    this.#timer = setTimeout(() => this.#silence.abort(reason), this.#timeout);
  }

  /** Stops the timer. */
  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
  }
}

/** A request to the hub. */
export interface HubRequest {
  /** "GET" by default. */
  method?: "GET" | "HEAD" | undefined;
  /** In addition to those of every request. */
  headers?: Record<string, string> | undefined;
  /** Sent to the host of `url` only. */
  token?: string | undefined;
  /** The caller feeds it while it reads the body. */
  watchdog: Watchdog;
  /** Stops at the redirect to the bytes: its headers describe the file. */
  stayHome?: boolean | undefined;
}

const mostRedirects = 10;

/**
 * Sends a request and follows its redirects by hand, so that no other host gets the token. Failures of the
 * network, and the statuses 408, 429 and 5xx, are thrown as PassingError.
 */
export async function request(url: string, options: HubRequest): Promise<Response> {
  const { method = "GET", token, watchdog, stayHome = false } = options;
  const home = new URL(url).origin;
  let target = new URL(url);
  for (let hop = 0; hop <= mostRedirects; hop++) {
    const headers = new Headers(options.headers);
    headers.set("accept-encoding", "identity"); // sizes and ranges count the file's own bytes
    if (token && target.origin === home) headers.set("authorization", `Bearer ${token}`);

    const response = await send(target, { method, headers, redirect: "manual", signal: watchdog.signal });
    watchdog.feed();
    const location = response.headers.get("location");
    if (response.status < 300 || response.status >= 400 || !location) return await passOrThrow(response);
    const next = redirected(target, location);
    if (stayHome && (next.origin !== home || response.headers.has("x-linked-etag"))) return response;
    await response.body?.cancel();
    target = next;
  }
  throw new Error(
    `Cannot fetch ${url}: expected a file, got more than ${mostRedirects} redirects; check HF_ENDPOINT`,
  );
}

async function send(url: URL, init: RequestInit): Promise<Response> {
  try {
    return await fetch(url, init);
  } catch (error) {
    throw networkError(error, url);
  }
}

/** Yields the body piece by piece. */
export async function* bodyOf(response: Response, watchdog: Watchdog): AsyncGenerator<Uint8Array> {
  try {
    for await (const bytes of response.body ?? []) {
      watchdog.feed();
      yield bytes;
    }
  } catch (error) {
    throw networkError(error, new URL(response.url));
  }
}

/** Reads the body as text. */
export async function textOf(response: Response, watchdog: Watchdog): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  for await (const bytes of bodyOf(response, watchdog)) text += decoder.decode(bytes, { stream: true });
  return text + decoder.decode();
}

async function passOrThrow(response: Response): Promise<Response> {
  const { status, headers } = response;
  if (status !== 407 && status !== 408 && status !== 429 && status < 500) return response;
  await response.body?.cancel();
  if (status === 407) {
    const advice = "put the proxy's user and password into HTTP_PROXY, as http://user:password@host:port";
    throw new PassingError("the proxy wants a password (407)", { advice, lasts: "always" });
  }
  const wait = retryAfter(headers.get("retry-after")) ??
    (status === 429 ? windowEnd(headers.get("ratelimit")) : undefined); // the hub sends it with every answer
  const asked = wait === undefined ? "" : `, which asks to wait ${Math.ceil(wait / 1000)} s`;
  const advice = status === 429
    ? "the hub limits how often one may ask: wait a while, or sign in with HF_TOKEN, for which it allows more"
    : "the server has trouble: try again later";
  throw new PassingError(`status ${status}${asked}`, { wait, advice });
}

/** Retry-After in ms: seconds or a date. */
function retryAfter(value: string | null): number | undefined {
  if (!value) return undefined;
  const ms = /^\d+$/.test(value) ? 1000 * Number(value) : Date.parse(value) - Date.now();
  return Number.isNaN(ms) ? undefined : Math.max(0, ms);
}

/** The end of the hub's rate limit, from a header as `"api";r=0;t=55`, in ms. */
function windowEnd(value: string | null): number | undefined {
  const [, seconds] = /;\s*t=(\d+)/.exec(value ?? "") ?? [];
  return seconds === undefined ? undefined : 1000 * Number(seconds);
}

/** The target of a redirect. fetch() would open file: and data: too; over http others could read along. */
function redirected(from: URL, location: string): URL {
  const to = URL.canParse(location, from.href) ? new URL(location, from) : undefined;
  const safe = to?.protocol === "https:" || (to?.protocol === "http:" && from.protocol === "http:");
  if (!to || !safe) {
    throw new Error(`Cannot follow the redirect of ${from.origin}: expected https, got ${location}`);
  }
  return to;
}
