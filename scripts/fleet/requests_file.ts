import { createInterface } from "node:readline";
import { Readable } from "node:stream";
import { unreadable } from "../../src/io/files/errors.ts";
import { parseJson } from "../../src/io/files/json.ts";
import { type CanonicalRequest, canonicalRequest } from "./request_name.ts";

const MOST = 1000; // requests in a group
const MOST_CHARACTERS = 2 ** 24; // of their lines, as pictures may be in them: servers close connections that send a GB at once

/** A request, and where it stands. */
export interface RequestLine {
  readonly request: CanonicalRequest;
  /** E.g. "line 4 of prompts.jsonl". */
  readonly place: string;
  /** Characters. */
  readonly length: number;
}

/** A file of JSON lines, a request on each; empty lines are left out. It may be read several times, as a pipe's content is copied. */
export class RequestsFile implements AsyncDisposable {
  readonly #path: string;
  readonly #copy: string | undefined;

  private constructor(path: string, copy: string | undefined) {
    this.#path = path;
    this.#copy = copy;
  }

  /** Opens a file, a pipe or the like, until the signal aborts. Throws in one line for what cannot be read. */
  static async open(path: string, signal?: AbortSignal): Promise<RequestsFile> {
    try {
      const { isFile, isDirectory } = await Deno.stat(path);
      if (isDirectory) throw new Deno.errors.IsADirectory();
      return new RequestsFile(path, isFile ? undefined : await copyOf(path, signal));
    } catch (cause) {
      throw unreadable(path, cause);
    }
  }

  /**
   * The requests, each in its one form. `model` is for those that name none. Throws with the number of the line for what is
   * wrong, and for a file without any.
   */
  async *lines(model: string): AsyncGenerator<RequestLine> {
    let [number, requests] = [0, 0];
    for await (const text of linesOf(this.#copy ?? this.#path)) {
      number++;
      const line = number === 1 ? text.replace(/^\uFEFF/, "") : text; // a mark with which some editors begin files
      if (line.trim() === "") continue;
      const place = `line ${number} of ${this.#path}`;
      const value = parseJson(line, place, { bigints: true });
      if (typeof value !== "object" || value === null || Array.isArray(value)) {
        throw new TypeError(
          `Cannot take ${place}: expected a request such as {"prompt": "a cat"}, got another value`,
        );
      }
      requests++;
      yield { request: requestOf(value, model, place), place, length: line.length };
    }
    if (requests === 0) {
      throw new TypeError(`Cannot take ${this.#path}: expected a request on each line, got none`);
    }
  }

  /** The requests in groups, so that one exchange with a server serves many. */
  async *groups(model: string): AsyncGenerator<readonly CanonicalRequest[]> {
    let group: CanonicalRequest[] = [];
    let characters = 0;
    for await (const { request, length } of this.lines(model)) {
      if (group.length === MOST || group.length > 0 && characters + length > MOST_CHARACTERS) {
        yield group;
        [group, characters] = [[], 0];
      }
      group.push(request);
      characters += length;
    }
    yield group;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#copy !== undefined) await Deno.remove(this.#copy);
  }
}

function requestOf(value: object, model: string, place: string): CanonicalRequest {
  try {
    return canonicalRequest(value, model);
  } catch (error) {
    throw new TypeError(`Cannot take ${place}: ${(error as Error).message}`, { cause: error });
  }
}

async function* linesOf(path: string): AsyncGenerator<string> {
  let file: Deno.FsFile;
  try {
    file = await Deno.open(path);
  } catch (cause) {
    throw unreadable(path, cause);
  }
  const bytes = Readable.fromWeb(file.readable as Parameters<typeof Readable.fromWeb>[0]);
  const lines = createInterface({ input: bytes, crlfDelay: Infinity });
  try {
    yield* lines;
  } finally {
    lines.close();
    bytes.destroy();
  }
}

/** What comes through a pipe, in a file. */
async function copyOf(path: string, signal: AbortSignal | undefined): Promise<string> {
  const copy = await Deno.makeTempFile({ prefix: "denoise-requests-" });
  try {
    using from = await Deno.open(path);
    using to = await Deno.open(copy, { write: true });
    await from.readable.pipeTo(to.writable, signal && { signal });
    return copy;
  } catch (error) {
    await Deno.remove(copy);
    throw error;
  }
}
