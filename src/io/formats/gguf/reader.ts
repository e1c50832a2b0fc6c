import type { BinaryFile } from "../../files/binary_file.ts";
import { damaged, quote } from "../../files/errors.ts";

const WINDOW = 2 ** 20; // bytes read at once
const MAX_STRING = 2 ** 24; // bytes; templates of chats are the longest, at some 10,000

/** Reads a GGUF header from front to end, a window at a time. */
export class GgufReader {
  #view = new DataView(new ArrayBuffer(0));
  #start = 0; // of the window in the file
  #at = 0; // in the window

  /** Starts at the first byte. */
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

  /** An unsigned number of 64 bits that counts `what`, at most `limit`. */
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

  /** A number of `bytes` bytes, read by a method of DataView. */
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

/** The metadata of a GGUF file, without long lists, such as vocabularies. */
export type Metadata = ReadonlyMap<string, string | number | bigint | boolean | number[]>;

type Value = string | number | bigint | boolean;

const MAX_KEYS = 100_000;
const MAX_LIST = 2 ** 24; // elements
const KEPT = 8; // elements: longer lists of numbers are skipped

/** Types of numbers in metadata. */
const numbers: Record<number, [bytes: number, read: (view: DataView, at: number) => number | bigint]> = {
  0: [1, (view, at) => view.getUint8(at)],
  1: [1, (view, at) => view.getInt8(at)],
  2: [2, (view, at) => view.getUint16(at, true)],
  3: [2, (view, at) => view.getInt16(at, true)],
  4: [4, (view, at) => view.getUint32(at, true)],
  5: [4, (view, at) => view.getInt32(at, true)],
  6: [4, (view, at) => view.getFloat32(at, true)],
  7: [1, (view, at) => view.getUint8(at)], // a boolean
  10: [8, (view, at) => view.getBigUint64(at, true)],
  11: [8, (view, at) => view.getBigInt64(at, true)],
  12: [8, (view, at) => view.getFloat64(at, true)],
};
const BOOL = 7;
const STRING = 8;
const LIST = 9;

/** Reads the count of keys, then the keys with their values. */
export async function readMetadata(reader: GgufReader): Promise<Metadata> {
  const count = await reader.count("keys", MAX_KEYS);
  const metadata = new Map<string, Value | number[]>();
  for (let i = 0; i < count; i++) {
    const key = await reader.string("a key");
    if (metadata.has(key)) throw damaged(reader.file.path, `the key ${quote(key)} once`, "it twice");
    const type = await reader.u32();
    const value = type === LIST ? await readList(reader, key) : await readValue(reader, type, key);
    if (value !== undefined) metadata.set(key, value);
  }
  return metadata;
}

async function readValue(reader: GgufReader, type: number, key: string): Promise<Value> {
  if (type === STRING) return await reader.string(`the value of ${quote(key)}`);
  if (!Object.hasOwn(numbers, type)) {
    throw damaged(reader.file.path, `a type of GGUF's for ${quote(key)}`, `${type}`);
  }
  const value = await reader.number(...numbers[type]!);
  return type === BOOL ? value !== 0 : value;
}

/** A short list of numbers. Any other list is skipped, and undefined. */
async function readList(reader: GgufReader, key: string): Promise<number[] | undefined> {
  const type = await reader.u32();
  const count = await reader.count(`elements of ${quote(key)}`, MAX_LIST);
  if (type === LIST) {
    throw damaged(reader.file.path, `no list of lists in ${quote(key)}`, "one");
  }
  if (Object.hasOwn(numbers, type) && (count > KEPT || type === BOOL)) {
    reader.skip(count * numbers[type]![0]);
    return undefined;
  }
  const values: Value[] = [];
  for (let i = 0; i < count; i++) {
    const value = await readValue(reader, type, key);
    if (type !== STRING) values.push(value);
  }
  return type === STRING ? undefined : values.map(Number);
}
