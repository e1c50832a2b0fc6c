import { z } from "zod";
import { type HubFile, isCommit, type Listing } from "./cache.ts";
import { isInside } from "../formats/shard_index.ts";
import type { HubSettings } from "./settings.ts";
import { downloadBlob } from "./download.ts";
import { bodyOf, type HubRequest, request, textOf, Watchdog } from "./http.ts";
import { quote } from "../files/errors.ts";
import { PassingError, retry } from "./retry.ts";

/** The hub's listing, as far as it is used. */
const Answer = z.object({
  sha: z.string().refine(isCommit, "no commit hash"),
  siblings: z.array(z.object({
    rfilename: z.string(),
    size: z.number().nullish(),
    blobId: z.string().nullish(),
    lfs: z.object({ sha256: z.string(), size: z.number() }).nullish(),
  })),
});

const TRIES = 5;

/** The hub's refusal of a request: it may be that of a token that has ended, so what was fetched before still does. */
export class RefusedError extends Error {}

/** Requests for one repository of the hub. */
export class HubRepo {
  #reached = false; // the hub has answered

  /** Sends nothing yet. `pause` after a first failure is in ms. */
  constructor(
    readonly settings: HubSettings,
    readonly name: string,
    readonly options: { pause: number; signal?: AbortSignal | undefined },
  ) {}

  /** The commit that a revision stands for, and its files. */
  async list(
    revision: string,
    { patient }: { patient: boolean },
  ): Promise<{ commit: string; listing: Listing }> {
    const url = `${this.settings.endpoint}/api/models/${this.name}/revision/${encodeURIComponent(revision)}`;
    return await this.#retry(async () => {
      using watchdog = this.#watchdog();
      const response = await this.#ask(`${url}?blobs=true`, { watchdog }, revision);
      this.#reached = true;
      return this.#parse(await textOf(response, watchdog));
    }, patient ? TRIES : 1);
  }

  #parse(text: string): { commit: string; listing: Listing } {
    const answer = Answer.safeParse(jsonOrNothing(text));
    if (!answer.success) { // often the sign-in page of a hotel: as good as no network
      const start = text.slice(0, 40).replaceAll(/\s+/g, " ");
      throw new PassingError(`expected a listing from ${this.settings.endpoint}, got ${quote(start)}`, {
        advice:
          "open that address in a browser: a sign-in page may answer in its place; or check HF_ENDPOINT",
        lasts: /^\s*</.test(text) ? "always" : undefined,
      });
    }
    const { sha, siblings } = answer.data;
    const listing: Listing = new Map();
    for (const { rfilename, size, blobId, lfs } of siblings) {
      if (!isInside(rfilename)) {
        throw new Error(
          `Cannot use ${this.name}: expected file names inside the repository, got ${quote(rfilename)}`,
        );
      }
      listing.set(rfilename, {
        size: lfs?.size ?? size ?? undefined,
        blobId: blobId ?? undefined,
        sha256: lfs?.sha256,
      });
    }
    return { commit: sha, listing };
  }

  /** The size and etag of one file, for mirrors whose listing leaves them out. */
  async describe(commit: string, file: string): Promise<HubFile> {
    return await this.#retry(async () => {
      using watchdog = this.#watchdog(this.settings.etagTimeout);
      const options: HubRequest = { method: "HEAD", watchdog, stayHome: true };
      const response = await this.#ask(this.#url(commit, file), options, commit, file);
      await response.body?.cancel();
      const { headers } = response;
      const etag = (headers.get("x-linked-etag") ?? headers.get("etag"))?.replaceAll(/^W\/|"/g, "");
      const own = response.ok ? headers.get("content-length") : null; // a redirect has a length of its own
      const size = Number(headers.get("x-linked-size") ?? own ?? NaN);
      return {
        size: Number.isNaN(size) ? undefined : size,
        ...(etag?.length === 64 ? { sha256: etag } : { blobId: etag }),
      };
    });
  }

  /** Reads at most `length` bytes of a file from `offset` on, and tells the file's size. */
  async range(
    commit: string,
    file: string,
    offset: number,
    length: number,
  ): Promise<{ bytes: Uint8Array<ArrayBuffer>; size: number }> {
    return await this.#retry(async () => {
      using watchdog = this.#watchdog();
      const headers = { range: `bytes=${offset}-${offset + length - 1}` };
      const response = await this.#ask(this.#url(commit, file), { headers, watchdog }, commit, file);
      const [, start, size] = /^bytes (\d+)-\d+\/(\d+)$/.exec(response.headers.get("content-range") ?? "") ??
        [];
      if (response.status !== 206 || Number(start) !== offset) {
        await response.body?.cancel(); // else gigabytes would be sent
        throw new Error(
          `Cannot read ${file} of ${this.name} in part: expected status 206 and bytes from ${offset}, ` +
            `got ${response.status}; download it whole`,
        );
      }
      const bytes = await wholeOf(response, watchdog, Math.min(length, Number(size) - offset));
      return { bytes, size: Number(size) };
    }).catch((error) => {
      if (!(error instanceof PassingError)) throw error;
      const line = `Cannot read ${file} of ${this.name}: ${error.message}; ${error.advice}`;
      throw new Error(line, { cause: error });
    });
  }

  /** Downloads a file to the path `blob`. */
  async download(
    { commit, file, size, etag, blob, onBytes }: {
      commit: string;
      file: string;
      size?: number | undefined;
      etag: string;
      blob: string;
      onBytes: (loaded: number) => void;
    },
  ): Promise<void> {
    const { token, timeout } = this.settings;
    const refuse = (response: Response) => this.#refusal(response, commit, file);
    const name = `${file} of ${this.name}`;
    const url = this.#url(commit, file);
    await downloadBlob(blob, { url, name, etag, size, token, refuse }, {
      ...this.options,
      tries: TRIES,
      reached: this.#reached,
      timeout,
      onBytes,
    });
  }

  async #retry<T>(attempt: () => Promise<T>, tries = TRIES): Promise<T> {
    return await retry(attempt, { ...this.options, tries, reached: this.#reached });
  }

  /** Sends a request; throws what an answer of 4xx means. */
  async #ask(url: string, options: HubRequest, revision: string, file?: string): Promise<Response> {
    const response = await request(url, { token: this.settings.token, ...options });
    if (response.status < 400) return response;
    await response.body?.cancel();
    throw this.#refusal(response, revision, file);
  }

  #watchdog(timeout = this.settings.timeout): Watchdog {
    return new Watchdog(timeout, this.options.signal);
  }

  #url(commit: string, file: string): string {
    return `${this.settings.endpoint}/${this.name}/resolve/${commit}/${
      file.split("/").map(encodeURIComponent).join("/")
    }`;
  }

  /** The error for an answer of 4xx. The hub answers 401 for what is absent, private or gated alike. */
  #refusal(response: Response, revision: string, file?: string): Error {
    const { endpoint, token } = this.settings;
    const code = response.headers.get("x-error-code");
    const page = `${endpoint}/${this.name}`;
    const what = file ? `${file} of ${this.name}` : this.name;
    const { status } = response;
    const said = response.headers.get("x-error-message");
    const words = said ? `: ${quote(said)}` : ""; // of the hub, such as what a token lacks
    if (code === "GatedRepo" || (status === 403 && file)) {
      const how = token ? "with the account of your HF_TOKEN" : "and set HF_TOKEN";
      return new RefusedError(
        `Cannot download ${what}: it is gated${words}; accept its licence at ${page} ${how}`,
      );
    }
    if (said === "Access to this resource is disabled.") {
      return new RefusedError(`Cannot open ${what}: the hub has disabled it; see ${page} for the reason`);
    }
    if (status === 401 || status === 403) {
      const how = token
        ? `HF_TOKEN was refused (${status}${words}); renew it`
        : "set HF_TOKEN if it is private";
      return new RefusedError(
        `Cannot open ${what}: no such public repository at ${endpoint}; check the name, ${how}`,
      );
    }
    if (code === "RevisionNotFound" || (status === 404 && !code && !file && revision !== "main")) {
      return new Error(`Cannot open ${what}: no revision ${quote(revision)}; see ${page}/tree/main`);
    }
    if (status === 404 && file) {
      return new RefusedError(
        `Cannot download ${what}: no such file at revision ${revision}; see ${page}/tree/${revision}`,
      );
    }
    if (status === 404) {
      return new RefusedError(
        `Cannot open ${what}: no such repository at ${endpoint}, nor a folder of this name here`,
      );
    }
    return new RefusedError(
      `Cannot download ${what}: expected status 200, got ${status}${words}; see ${page}`,
    );
  }
}

/** Reads a body of `length` bytes. */
async function wholeOf(
  response: Response,
  watchdog: Watchdog,
  length: number,
): Promise<Uint8Array<ArrayBuffer>> {
  const all = new Uint8Array(length);
  let at = 0;
  for await (const bytes of bodyOf(response, watchdog)) {
    if (at + bytes.length > length) throw new PassingError(`expected ${length} bytes, got more`);
    all.set(bytes, at);
    at += bytes.length;
  }
  if (at < length) throw new PassingError(`expected ${length} bytes, got ${at}`);
  return all;
}

function jsonOrNothing(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
