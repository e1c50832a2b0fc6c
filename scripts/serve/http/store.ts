import { randomBytes } from "node:crypto";

const SECONDS = 3600; // as long as addresses of OpenAI's are good
const BYTES = 2 ** 28; // of all together

/** A file that is kept. */
interface Kept {
  readonly bytes: Uint8Array;
  /** In milliseconds since 1970. */
  readonly until: number;
}

/** Pictures and profiles that are fetched by an address, for an hour, or until newer ones need their room. Nobody guesses their names. */
export class PictureStore {
  readonly #pictures = new Map<string, Kept>();
  #bytes = 0;

  /** Keeps a file. Returns its name: 128 random bits, and an ending. */
  put(bytes: Uint8Array, ending: string): string {
    const name = `${randomBytes(16).toString("hex")}.${ending}`;
    this.#pictures.set(name, { bytes, until: Date.now() + 1000 * SECONDS });
    this.#bytes += bytes.length;
    for (const [oldest, { until }] of this.#pictures) { // in the order in which they came
      if (until > Date.now() && (this.#bytes <= BYTES || oldest === name)) break;
      this.remove(oldest);
    }
    return name;
  }

  /** A picture by its name; undefined where it is not there, or no longer. */
  get(name: string): Uint8Array | undefined {
    const found = this.#pictures.get(name);
    if (found && found.until <= Date.now()) this.remove(name);
    return this.#pictures.get(name)?.bytes;
  }

  /** Forgets a picture. */
  remove(name: string): void {
    this.#bytes -= this.#pictures.get(name)?.bytes.length ?? 0;
    this.#pictures.delete(name);
  }
}
