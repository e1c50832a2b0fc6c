import type { BinaryFile } from "../../files/binary_file.ts";
import { damaged } from "../../files/errors.ts";

const WINDOW = 2 ** 20; // bytes read at once
const MAX_STRING = 2 ** 24; // bytes; templates of chats are the longest, at some 10,000

/** Reads a GGUF header from its begin to its end, a window at a time. */
export class GgufReader {
  #view = new DataView(new ArrayBuffer(0));
  #start = 0; // of the window in the file
  #at = 0; // in the window

  /** From the first byte. */
  constructor(readonly file: BinaryFile) {}

  /** Position in the file. */
  get position(): number {
    return this.#start + this.#at;
  }

  /** An unsigned number of 32 bits. */
  async u32(): Promise<number> {
    await this.#need(4);
    return this.#view.getUint32(this.#advance(4), true);
  }

  /** An unsigned number of 64 bits that counts something of at most `limit`. */
  async count(what: string, limit: number): Promise<number> {
    await this.#need(8);
    const value = this.#view.getBigUint64(this.#advance(8), true);
    if (value > limit) throw damaged(this.file.path, `at most ${limit} ${what}`, `${value}`);
    return Number(value);
  }

  /** A length, then text in UTF-8. */
  async string(what: string): Promise<string> {
    const length = await this.count(`bytes in ${what}`, MAX_STRING);
    await this.#need(length);
    const start = this.#advance(length);
    const bytes = new Uint8Array(this.#view.buffer, start, length);
    try {
      return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
    } catch {
      throw damaged(this.file.path, `${what} in UTF-8`, "other bytes");
    }
  }

  /** One number of a metadata type of `bytes` bytes, read by a method of DataView. */
  async number(
    bytes: number,
    read: (view: DataView, at: number) => number | bigint,
  ): Promise<number | bigint> {
    await this.#need(bytes);
    return read(this.#view, this.#advance(bytes));
  }

  /** Passes over bytes. */
  skip(length: number): void {
    if (this.position + length > this.file.size) this.#end(length);
    this.#at += length;
  }

  #advance(length: number): number {
    this.#at += length;
    return this.#at - length;
  }

  async #need(length: number): Promise<void> {
    if (this.#at + length <= this.#view.byteLength) return;
    const start = this.position;
    if (start + length > this.file.size) this.#end(length);
    const bytes = await this.file.read(start, Math.min(Math.max(length, WINDOW), this.file.size - start));
    this.#view = new DataView(bytes.buffer);
    this.#start = start;
    this.#at = 0;
  }

  #end(length: number): never {
    const { path, size } = this.file;
    throw damaged(path, `a GGUF header of at least ${this.position + length} bytes`, `a file of ${size}`);
  }
}
