import { damaged, unreadable } from "./errors.ts";

/** Bytes that one call of the operating system reads at most. */
export const READ_LIMIT = 64 * 2 ** 20;

/** A source of a file's bytes: the disk, or the hub. */
export interface ByteSource {
  /**
   * Fills `target` from `offset` on. `target` may be the mapped memory of a GPU's buffer, which is freed when
   * the device closes or is lost: native code that still wrote to it would crash the process, so after this
   * returns only JavaScript may write to it.
   */
  fill(offset: number, target: Uint8Array<ArrayBuffer>): void | Promise<void>;
  close(): void;
}

/** A file that is read by position, a piece at a time. */
export class BinaryFile implements Disposable {
  readonly #source: ByteSource;

  /** Errors name `path`; `size` is in bytes. */
  constructor(source: ByteSource, readonly path: string, readonly size: number) {
    this.#source = source;
  }

  /** Opens a file of this machine for reading. */
  static async open(path: string): Promise<BinaryFile> {
    try {
      const { isFile, isDirectory, size } = await Deno.stat(path); // first: to open a pipe would wait for a writer
      if (isDirectory) throw new Deno.errors.IsADirectory();
      if (!isFile) throw new Error("expected a file, got a device or a pipe; name a file");
      return new BinaryFile(new LocalBytes(await Deno.open(path), path), path, size);
    } catch (cause) {
      throw unreadable(path, cause);
    }
  }

  /** Reads `length` bytes from `offset` on. Throws where the file ends before. */
  async read(offset: number, length: number): Promise<Uint8Array<ArrayBuffer>> {
    this.#expect(offset + length);
    const bytes = new Uint8Array(length);
    await this.#source.fill(offset, bytes);
    return bytes;
  }

  /** Reads bytes from `offset` on until `target` is full. Throws where the file ends before. */
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

  /** Synchronous: no other read comes between a seek and its bytes, and a freed `target` is not written to. */
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
