import { damaged, unreadable } from "./errors.ts";

/** Most bytes that one call of the operating system reads. */
export const READ_LIMIT = 64 * 2 ** 20;

/** Where the bytes of a file come from. */
export interface ByteSource {
  /**
   * Fills `target`, which may be the mapped memory of a GPU's buffer. That memory goes when the device closes or is lost, and
   * native code that still wrote to it would end the process: so only JavaScript may write to it after this returns.
   */
  fill(offset: number, target: Uint8Array<ArrayBuffer>): void | Promise<void>;
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
    this.#expect(offset + length);
    const bytes = new Uint8Array(length);
    await this.#source.fill(offset, bytes);
    return bytes;
  }

  /** Reads the bytes from `offset` on into `target`, as many as it has. */
  async fill(offset: number, target: Uint8Array<ArrayBuffer>): Promise<void> {
    this.#expect(offset + target.length);
    await this.#source.fill(offset, target);
  }

  #expect(bytes: number): void {
    if (bytes > this.size) throw damaged(this.path, `at least ${bytes} bytes`, `${this.size}`);
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

  constructor(file: Deno.FsFile, path: string) {
    this.#file = file;
    this.#path = path;
  }

  /** At once: so no other read comes between a seek and its bytes, and nothing is written when `target` is gone. */
  fill(offset: number, target: Uint8Array<ArrayBuffer>): void {
    this.#file.seekSync(offset, Deno.SeekMode.Start);
    for (let done = 0; done < target.length;) {
      const count = this.#file.readSync(target.subarray(done, done + READ_LIMIT));
      if (count === null) throw damaged(this.#path, "as many bytes as when it was opened", "fewer");
      done += count;
    }
  }

  close(): void {
    this.#file.close();
  }
}
