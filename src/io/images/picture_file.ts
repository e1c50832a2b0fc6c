import { Buffer } from "node:buffer";
import { BinaryFile } from "../files/binary_file.ts";
import { HEAD, kindOf, otherFile } from "../files/file_kinds.ts";
import { bodyOf, request, Watchdog } from "../hub/http.ts";
import { PassingError } from "../hub/retry.ts";

/** The largest file in bytes. */
const maxFile = 2 ** 30;

/** Reads a picture's file once `check` has accepted its first bytes. */
export async function readPicture(
  path: string,
  check: (head: Uint8Array, path: string) => void,
): Promise<Uint8Array> {
  using file = await BinaryFile.open(path);
  check(await file.read(0, Math.min(file.size, HEAD)), path);
  if (file.size > maxFile) throw tooLarge(path, `${file.size}`);
  return await file.read(0, file.size);
}

/** The error for a file that is too large. */
function tooLarge(path: string, got: string): Error {
  return new RangeError(
    `Cannot load ${path}: expected a picture of at most ${maxFile} bytes, got ${got}; make it smaller`,
  );
}

/** The error for a file that is not the kind of picture that was expected. */
export function notPicture(bytes: Uint8Array, path: string, expected: string): Error {
  const head = bytes.subarray(0, HEAD);
  return otherFile(head, path, expected, kindOf(head)?.isPicture ? "convert it to PNG" : "name a picture");
}

const TIMEOUT = 30_000; // ms without a byte

/** Fetches a picture from the web. */
export async function fetchPicture(url: string): Promise<Uint8Array> {
  using watchdog = new Watchdog(TIMEOUT);
  try {
    const response = await request(url, { watchdog });
    if (!response.ok) {
      await response.body?.cancel();
      throw new PassingError(`status ${response.status}`);
    }
    const pieces: Uint8Array[] = [];
    let size = 0;
    for await (const piece of bodyOf(response, watchdog)) {
      size += piece.length;
      if (size > maxFile) throw tooLarge(url, "more");
      pieces.push(piece);
    }
    return Buffer.concat(pieces);
  } catch (error) {
    if (!(error instanceof PassingError)) throw error;
    throw new Error(`Cannot load ${url}: ${error.message}; check the address and the network`, {
      cause: error,
    });
  }
}
