import { damaged, quote } from "../../files/errors.ts";
import type { GgufReader } from "./reader.ts";

/** What a GGUF file says of itself; of long lists, such as vocabularies, nothing is kept. */
export type Metadata = ReadonlyMap<string, string | number | bigint | boolean | number[]>;

type Value = string | number | bigint | boolean;

const MAX_KEYS = 100_000;
const MAX_LIST = 2 ** 24; // elements
const KEPT = 8; // elements of a list of numbers that is kept

/** Types of numbers: their bytes, and how DataView reads them. */
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

/** A short list of numbers; of any other list undefined, once it is read past. */
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
