import { createInterface } from "node:readline";
import { Readable } from "node:stream";
import { unreadable } from "../../src/io/files/errors.ts";
import { parseJson } from "../../src/io/files/json.ts";
import { type CanonicalRequest, canonicalRequest } from "./request_name.ts";

/**
 * The requests in a file of JSON lines, each in its one form; empty lines are left out. `model` is for those that name none.
 * Throws with the number of the line for what is wrong, and for a file without any.
 */
export async function* requestsIn(path: string, model: string): AsyncGenerator<CanonicalRequest> {
  let [number, requests] = [0, 0];
  for await (const text of linesOf(path)) {
    number++;
    const line = number === 1 ? text.replace(/^\uFEFF/, "") : text; // a mark with which some editors begin files
    if (line.trim() === "") continue;
    const place = `line ${number} of ${path}`;
    const value = parseJson(line, place, { bigints: true });
    if (typeof value !== "object" || value === null || Array.isArray(value)) {
      throw new TypeError(
        `Cannot take ${place}: expected a request such as {"prompt": "a cat"}, got another value`,
      );
    }
    requests++;
    try {
      yield canonicalRequest(value, model);
    } catch (error) {
      throw new TypeError(`Cannot take ${place}: ${(error as Error).message}`, { cause: error });
    }
  }
  if (requests === 0) throw new TypeError(`Cannot take ${path}: expected a request on each line, got none`);
}

/** The same in groups, so that one exchange with a server serves many. */
export async function* groupsOf(
  path: string,
  model: string,
  most: number,
): AsyncGenerator<CanonicalRequest[]> {
  let group: CanonicalRequest[] = [];
  for await (const request of requestsIn(path, model)) {
    group.push(request);
    if (group.length < most) continue;
    yield group;
    group = [];
  }
  if (group.length > 0) yield group;
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
