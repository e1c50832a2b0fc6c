import type { Shape } from "../../core/shape.ts";
import type { BinaryFile } from "../files/binary_file.ts";
import { parseJson } from "../files/json.ts";
import { damaged, quote } from "../files/errors.ts";
import { isElementDType, listElementDTypes, tensorBytes } from "./stored_dtype.ts";
import { type Contents, expectName, isCountList, storedAt, type StoredTensor } from "./stored_tensor.ts";

const maxHeader = 100_000_000; // bytes, as in the reference library

/**
 * Reads and checks the header of a safetensors file (https://github.com/huggingface/safetensors#format):
 * eight bytes of length, JSON, then the tensors without a hole. No tensor is read.
 */
export async function readSafetensors(file: BinaryFile): Promise<Contents> {
  const { text, end } = await readHeader(file);
  const header = parseJson(text, `the header of ${file.path}`, { unique: true }) as Record<string, unknown>;
  const entries = Object.entries(header).filter(([name]) => name !== "__metadata__");
  const tensors = entries.map(([name, entry]) => parseEntry(file, name, entry, end));
  checkCover(file, tensors, end);
  return {
    tensors: new Map(tensors.map((tensor) => [tensor.name, tensor])),
    metadata: parseMetadata(file, header["__metadata__"] ?? {}),
  };
}

async function readHeader(file: BinaryFile): Promise<{ text: string; end: number }> {
  const { path, size } = file;
  if (size < 8) throw damaged(path, "a safetensors file of at least 8 bytes", `${size}`);
  const length = new DataView((await file.read(0, 8)).buffer).getBigUint64(0, true);
  if (length > maxHeader) {
    throw damaged(path, `a safetensors header of at most ${maxHeader} bytes`, `${length}`);
  }
  const end = 8 + Number(length);
  if (end > size) {
    throw damaged(path, `a header of ${length} bytes and its tensors`, `a file of ${size} bytes`);
  }
  const bytes = await file.read(8, Number(length));
  if (bytes[0] !== 0x7b) {
    throw damaged(
      path,
      "a safetensors header that begins with {",
      quote(String.fromCharCode(...bytes.slice(0, 1))),
    );
  }
  try {
    return { text: new TextDecoder("utf-8", { fatal: true }).decode(bytes), end };
  } catch {
    throw damaged(path, "a safetensors header in UTF-8", "other bytes");
  }
}

function parseEntry(file: BinaryFile, name: string, entry: unknown, dataStart: number): StoredTensor {
  const { path } = file;
  const { dtype, shape, data_offsets: range } = (entry ?? {}) as Record<string, unknown>;
  const of = `of ${quote(name)}`;
  expectName(name, path);
  if (typeof dtype !== "string") throw damaged(path, `dtype ${of} to be a text`, quote(dtype));
  if (!isElementDType(dtype)) {
    throw new TypeError(
      `Cannot load ${path}: expected dtype ${of} to be one of ${listElementDTypes()}, got ${quote(dtype)}; ` +
        "take a file in one of these",
    );
  }
  if (!isCountList(shape)) throw damaged(path, `shape ${of} to be whole numbers from 0`, quote(shape));
  if (!isCountList(range) || range.length !== 2) {
    throw damaged(path, `data_offsets ${of} to be its first and last byte`, quote(range));
  }
  const bytes = tensorBytes(shape, dtype);
  if (bytes === undefined) {
    throw damaged(path, `the bytes ${of} to be less than 2^53`, `shape ${quote(shape)}`);
  }
  const [begin, end] = range as Shape<2>;
  if (end - begin !== bytes) {
    throw damaged(path, `${bytes} bytes for ${quote(name)}, ${dtype} ${quote(shape)}`, `${end - begin}`);
  }
  return storedAt(file, dataStart + begin, { name, dtype, shape, bytes });
}

/** Checks that the tensors fill the file to its end without hole or overlap. */
function checkCover(file: BinaryFile, tensors: StoredTensor[], dataStart: number): void {
  let end = dataStart;
  const begin = (tensor: StoredTensor) => tensor.places[0]!.offset;
  for (const tensor of tensors.toSorted((a, b) => begin(a) - begin(b) || a.bytes - b.bytes)) {
    if (begin(tensor) !== end) {
      throw damaged(
        file.path,
        `${quote(tensor.name)} to begin at byte ${end}, where the one before it ends`,
        `${begin(tensor)}`,
      );
    }
    end += tensor.bytes;
  }
  if (end !== file.size) throw damaged(file.path, `a file of ${end} bytes`, `${file.size}`);
}

function parseMetadata(file: BinaryFile, metadata: unknown): Map<string, string> {
  const entries = Object.entries(metadata as object);
  const wrong = entries.find(([, value]) => typeof value !== "string");
  if (typeof metadata !== "object" || Array.isArray(metadata) || wrong) {
    throw damaged(file.path, "strings in __metadata__", quote(wrong?.[1] ?? metadata));
  }
  return new Map(entries);
}
