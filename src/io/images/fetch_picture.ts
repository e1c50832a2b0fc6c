import { bytesOf, request, Watchdog } from "../hub/http.ts";
import { PassingError } from "../hub/retry.ts";
import { maxFile, tooLarge } from "./picture_file.ts";

const PATIENCE = 30_000; // ms without a byte

/** The bytes of a picture in the web. */
export async function fetchPicture(url: string): Promise<Uint8Array> {
  using watchdog = new Watchdog(PATIENCE);
  try {
    const response = await request(url, { watchdog });
    if (!response.ok) {
      await response.body?.cancel();
      throw new PassingError(`status ${response.status}`);
    }
    const pieces: Uint8Array[] = [];
    let size = 0;
    for await (const piece of bytesOf(response, watchdog)) {
      size += piece.length;
      if (size > maxFile) throw tooLarge(url, "more");
      pieces.push(piece);
    }
    return joined(pieces, size);
  } catch (error) {
    if (!(error instanceof PassingError)) throw error;
    throw new Error(`Cannot load ${url}: ${error.message}; check the address and the network`, {
      cause: error,
    });
  }
}

function joined(pieces: readonly Uint8Array[], size: number): Uint8Array {
  const bytes = new Uint8Array(size);
  let at = 0;
  for (const piece of pieces) {
    bytes.set(piece, at);
    at += piece.length;
  }
  return bytes;
}
