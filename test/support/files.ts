import { dirname } from "node:path";
import { crc32 } from "node:zlib";

/** A folder for one test, removed at its end. */
export class TestFolder implements Disposable {
  readonly path = Deno.makeTempDirSync();

  /** Writes a file and returns its path. */
  write(name: string, bytes: Uint8Array | string): string {
    const path = `${this.path}/${name}`;
    Deno.mkdirSync(dirname(path), { recursive: true });
    Deno.writeFileSync(path, typeof bytes === "string" ? new TextEncoder().encode(bytes) : bytes);
    return path;
  }

  [Symbol.dispose](): void {
    Deno.removeSync(this.path, { recursive: true });
  }
}

/** Path of a malformed file. */
export function badFile(name: string): string {
  return `${import.meta.dirname}/../fixtures/bad/${name}`;
}

/** Bytes one after the other. */
export function join(...parts: ArrayLike<number>[]): Uint8Array {
  return Uint8Array.from(parts.flatMap((part) => Array.from(part)));
}

/** Characters up to U+00FF as bytes. */
export function latin1(text: string): Uint8Array {
  return Uint8Array.from(text, (character) => character.charCodeAt(0));
}

/** A number in little-endian order. */
export function little(value: number | bigint, bytes: 2 | 4 | 8): Uint8Array {
  const all = new Uint8Array(8);
  new DataView(all.buffer).setBigUint64(0, BigInt(value), true);
  return all.slice(0, bytes);
}

/** A safetensors file from its header, as JSON or as an object, and its data. */
export function safetensors(header: unknown, data: ArrayLike<number> = []): Uint8Array {
  const text = new TextEncoder().encode(typeof header === "string" ? header : JSON.stringify(header));
  return join(little(text.length, 8), text, data);
}

/** An entry to put in a zip; `size` and `offset` may lie. */
export interface ZipPart {
  name: string;
  data: Uint8Array;
  method?: number | undefined;
}

/** A zip of stored entries; all fields that can be are in the zip64 form if `zip64`. */
export function zip(parts: ZipPart[], { zip64 = false } = {}): Uint8Array {
  const chunks: Uint8Array[] = [];
  const directory: Uint8Array[] = [];
  let at = 0;
  for (const { name, data, method = 0 } of parts) {
    const crc = little(crc32(data), 4);
    const local = join(
      ...[little(0x04034b50, 4), little(45, 2), little(0, 2), little(method, 2), little(0, 4), crc],
      ...[little(data.length, 4), little(data.length, 4), little(name.length, 2), little(0, 2), latin1(name)],
    );
    directory.push(directoryRecord({ name, size: data.length, offset: at, crc, method, zip64 }));
    chunks.push(local, data);
    at += local.length + data.length;
  }
  return join(...chunks, ...directory, zipEnd(at, directory, zip64));
}

/** An entry of the central directory. */
export function directoryRecord(
  { name, size, offset, crc = little(0, 4), method = 0, zip64 = false }: {
    name: string;
    size: number;
    offset: number;
    crc?: Uint8Array | undefined;
    method?: number | undefined;
    zip64?: boolean | undefined;
  },
): Uint8Array {
  const short = (value: number) => little(zip64 ? 0xffffffff : value, 4);
  const extra = zip64
    ? join(little(1, 2), little(24, 2), little(size, 8), little(size, 8), little(offset, 8))
    : [];
  return join(
    ...[
      little(0x02014b50, 4),
      little(45, 2),
      little(45, 2),
      little(0, 2),
      little(method, 2),
      little(0, 4),
      crc,
    ],
    ...[
      short(size),
      short(size),
      little(name.length, 2),
      little(extra.length, 2),
      little(0, 2),
      little(0, 8),
    ],
    ...[short(offset), latin1(name), extra],
  );
}

/** What stands behind the central directory. */
export function zipEnd(offset: number, directory: Uint8Array[], zip64: boolean): Uint8Array {
  const length = directory.reduce((sum, record) => sum + record.length, 0);
  const count = little(directory.length, 8);
  const end = join(
    ...[little(0x06054b50, 4), little(0, 4), little(zip64 ? 0xffff : directory.length, 2)],
    ...[little(zip64 ? 0xffff : directory.length, 2), little(zip64 ? 0xffffffff : length, 4)],
    ...[little(zip64 ? 0xffffffff : offset, 4), little(0, 2)],
  );
  if (!zip64) return end;
  const record = join(
    ...[little(0x06064b50, 4), little(44, 8), little(45, 2), little(45, 2), little(0, 8), count, count],
    ...[little(length, 8), little(offset, 8)],
  );
  return join(record, little(0x07064b50, 4), little(0, 4), little(offset + length, 8), little(1, 4), end);
}

/** Numbers in [0, 1) that a seed repeats: mulberry32. */
export function seeded(seed: number): () => number {
  return () => {
    seed = seed + 0x6d2b79f5 | 0;
    let t = Math.imul(seed ^ seed >>> 15, 1 | seed);
    t = t + Math.imul(t ^ t >>> 7, 61 | t) ^ t;
    return ((t ^ t >>> 14) >>> 0) / 2 ** 32;
  };
}

/** The message of the error that a promise ends with; it must be one line. */
export async function refusalOf(promise: Promise<unknown>): Promise<string> {
  const error = await promise.then(() => undefined, (error) => error);
  if (!(error instanceof Error)) throw new Error(`expected an error, got ${error}`);
  if (!/^Cannot [^\n]+$/.test(error.message)) throw new Error(`expected one line, got ${error.stack}`);
  return error.message;
}
