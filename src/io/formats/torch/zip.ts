import type { BinaryFile } from "../../files/binary_file.ts";
import { damaged, quote } from "../../files/errors.ts";

const maxDirectory = 4 * 2 ** 20; // bytes: tens of thousands of entries
const tailLength = 20 + 22 + 0xffff; // zip64 locator, end record, longest comment

/** A file inside a zip. */
export interface ZipEntry {
  /** Position of its first byte in the zip. */
  readonly offset: number;
  /** Bytes. */
  readonly size: number;
}

/**
 * Reads the directory of a zip file (APPNOTE 6.3.10, sections 4.3 and 4.5.3), with zip64 for files from 4
 * GiB. Entries must be stored: torch never compresses, and a compressed entry may be a bomb.
 */
export async function readZip(file: BinaryFile): Promise<Map<string, ZipEntry>> {
  const { path } = file;
  const { offset, length, count } = await findDirectory(file);
  if (length > maxDirectory) {
    throw damaged(path, `a zip directory of at most ${maxDirectory} bytes`, `${length}`);
  }
  const view = new DataView((await file.read(offset, length)).buffer);
  const records = new Map<string, DirectoryRecord>();
  let at = 0;
  while (at < length) {
    const record = readRecord(view, at, path);
    if (records.has(record.name)) throw damaged(path, `${quote(record.name)} once in the zip`, "it twice");
    records.set(record.name, record);
    at = record.end;
  }
  expectTorch([...records.keys()], path);
  const entries = new Map<string, ZipEntry>();
  for (const [name, record] of records) entries.set(name, await locate(file, record, offset));
  if (entries.size !== count) throw damaged(path, `${count} entries in the zip`, `${entries.size}`);
  return entries;
}

/** Refuses zips that torch did not write, such as a packed folder. */
function expectTorch(names: readonly string[], path: string): void {
  if (names.length === 0 || names.some((name) => name.split("/").at(-1) === "data.pkl")) return;
  const shown = names.slice(0, 3).join(", ");
  throw new TypeError(`Cannot load ${path}: expected a zip of torch, got one of ${shown}; unpack it first`);
}

/** Finds the central directory by the end record at the end of the file. */
async function findDirectory(file: BinaryFile): Promise<{ offset: number; length: number; count: number }> {
  const start = Math.max(0, file.size - tailLength);
  const tail = new DataView((await file.read(start, file.size - start)).buffer);
  let end = tail.byteLength - 22;
  while (end >= 0 && !(tail.getUint32(end, true) === 0x06054b50 && endsWithComment(tail, end))) end--;
  if (end < 0) throw damaged(file.path, "a zip with its directory at the end", "none");
  if (end >= 20 && tail.getUint32(end - 20, true) === 0x07064b50) {
    const record = new DataView((await file.read(u64(tail, end - 12), 56)).buffer);
    if (record.getUint32(0, true) !== 0x06064b50) throw damaged(file.path, "a zip64 end record", "none");
    return { count: u64(record, 32), length: u64(record, 40), offset: u64(record, 48) };
  }
  return {
    count: tail.getUint16(end + 10, true),
    length: tail.getUint32(end + 12, true),
    offset: tail.getUint32(end + 16, true),
  };
}

function endsWithComment(tail: DataView, end: number): boolean {
  return end + 22 + tail.getUint16(end + 20, true) === tail.byteLength;
}

/** An entry of the central directory. */
interface DirectoryRecord extends ZipEntry {
  readonly name: string;
  /** Position of the next record in the directory. */
  readonly end: number;
  /** Neither compressed nor encrypted. */
  readonly isStored: boolean;
}

function readRecord(view: DataView, at: number, path: string): DirectoryRecord {
  const left = view.byteLength - at;
  if (left < 46 || view.getUint32(at, true) !== 0x02014b50) {
    throw damaged(path, "an entry in the zip directory", "none");
  }
  const [nameLength, extraLength, commentLength] = [28, 30, 32].map((field) =>
    view.getUint16(at + field, true)
  ) as [number, number, number];
  const extra = at + 46 + nameLength;
  const end = extra + extraLength + commentLength;
  if (end > view.byteLength) throw damaged(path, "a whole entry in the zip directory", "a part");
  const name = new TextDecoder().decode(new Uint8Array(view.buffer, at + 46, nameLength));
  if (name.split(/[/\\]/).includes("..") || /^[/\\]/.test(name)) {
    throw damaged(path, "zip entries inside its folder", quote(name));
  }
  const [flags, method] = [8, 10].map((field) => view.getUint16(at + field, true)) as [number, number];
  const [packed, size, offset] = widen(
    view,
    extra,
    extraLength,
    [20, 24, 42].map((field) => view.getUint32(at + field, true)),
  );
  const isStored = !(flags & 1) && method === 0 && packed === size;
  return { name, size: size!, offset: offset!, end, isStored };
}

/** Takes the sizes and the offset that do not fit in 32 bits from the zip64 field, which holds only those. */
function widen(view: DataView, extra: number, length: number, [packed, size, offset]: number[]): number[] {
  const values = [size, packed, offset]; // in the order of the zip64 field
  for (let at = extra; at + 4 <= extra + length;) {
    const [id, fieldLength] = [view.getUint16(at, true), view.getUint16(at + 2, true)];
    const end = Math.min(at + 4 + fieldLength, extra + length);
    if (id === 1) {
      let next = at + 4;
      for (let i = 0; i < 3; i++) {
        if (values[i] !== 0xffffffff || next + 8 > end) continue;
        values[i] = u64(view, next);
        next += 8;
      }
    }
    at = end;
  }
  return [values[1]!, values[0]!, values[2]!];
}

/** Finds the bytes of an entry, which lie behind its local header. */
async function locate(file: BinaryFile, record: DirectoryRecord, directory: number): Promise<ZipEntry> {
  const { name, size, offset, isStored } = record;
  if (!isStored) {
    throw damaged(file.path, `${quote(name)} stored as torch stores it`, "it compressed or encrypted");
  }
  const inside = `${quote(name)} to lie inside the zip`;
  if (offset + 30 + size > directory) throw damaged(file.path, inside, `${size} bytes from ${offset}`);
  const header = new DataView((await file.read(offset, 30)).buffer);
  if (header.getUint32(0, true) !== 0x04034b50) {
    throw damaged(file.path, `${quote(name)} at byte ${offset}`, "no entry");
  }
  const start = offset + 30 + header.getUint16(26, true) + header.getUint16(28, true);
  if (start + size > directory) throw damaged(file.path, inside, `${size} bytes from ${start}`);
  return { offset: start, size };
}

function u64(view: DataView, at: number): number {
  return Number(view.getBigUint64(at, true));
}
