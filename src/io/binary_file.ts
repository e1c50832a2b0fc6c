import { damaged, unreadable } from "./refusal.ts";

/** Most bytes that one call of the operating system reads. */
export const READ_LIMIT = 64 * 2 ** 20;

/** Where the bytes of a file come from. */
export interface ByteSource {
  /** Bytes that are surely there. */
  read(offset: number, length: number): Promise<Uint8Array<ArrayBuffer>>;
  close(): void;
}

/** A file read by position, a piece at a time. */
export class BinaryFile implements Disposable {
  readonly #source: ByteSource;

  /** Of `size` bytes; errors name its path. */
  constructor(source: ByteSource, readonly path: string, readonly size: number) {
    this.#source = source;
  }

  /** Opens a file of this machine for reading; throws one clear line where that fails. */
  static async open(path: string): Promise<BinaryFile> {
    try {
      const file = await Deno.open(path);
      const { isFile, size } = await file.stat();
      if (isFile) return new BinaryFile(new LocalBytes(file, path), path, size);
      file.close();
    } catch (cause) {
      throw unreadable(path, cause);
    }
    throw unreadable(path, new Deno.errors.IsADirectory());
  }

  /** `length` bytes from `offset`; throws where the file ends before. */
  async read(offset: number, length: number): Promise<Uint8Array<ArrayBuffer>> {
    if (offset + length <= this.size) return await this.#source.read(offset, length);
    throw damaged(this.path, `at least ${offset + length} bytes`, `${this.size}`);
  }

  /** Closes the file. */
  [Symbol.dispose](): void {
    this.#source.close();
  }
}

/** The bytes of an open file. */
class LocalBytes implements ByteSource {
  readonly #file: Deno.FsFile;
  readonly #path: string;
  #turn: Promise<unknown> = Promise.resolve(); // a seek and its reads must not mix with another's

  constructor(file: Deno.FsFile, path: string) {
    this.#file = file;
    this.#path = path;
  }

  read(offset: number, length: number): Promise<Uint8Array<ArrayBuffer>> {
    const bytes = this.#turn.then(() => this.#readNow(offset, length));
    this.#turn = bytes.catch(() => {}); // the caller hears of it; the next in line does not
    return bytes;
  }

  async #readNow(offset: number, length: number): Promise<Uint8Array<ArrayBuffer>> {
    const bytes = new Uint8Array(length);
    await this.#file.seek(offset, Deno.SeekMode.Start);
    for (let done = 0; done < length;) {
      const count = await this.#file.read(bytes.subarray(done, done + READ_LIMIT));
      if (count === null) throw damaged(this.#path, "as many bytes as when it was opened", "fewer");
      done += count;
    }
    return bytes;
  }

  close(): void {
    this.#file.close();
  }
}
