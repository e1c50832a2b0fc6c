import type { BinaryFile } from "../../files/binary_file.ts";
import { damaged, quote } from "../../files/errors.ts";
import { blockOf, type CheckpointDType, tensorBytes } from "../stored_dtype.ts";
import { type Contents, expectName, storedAt, type StoredTensor } from "../stored_tensor.ts";
import { GgufReader, type Metadata, readMetadata } from "./reader.ts";

const MAX_TENSORS = 100_000;
const MAX_AXES = 4;

/** Types by their numbers in ggml; those that are missing are for language models on small machines. */
const types: ReadonlyMap<number, CheckpointDType> = new Map<number, CheckpointDType>([
  [0, "F32"],
  [1, "F16"],
  [2, "Q4_0"],
  [3, "Q4_1"],
  [6, "Q5_0"],
  [7, "Q5_1"],
  [8, "Q8_0"],
  [10, "Q2_K"],
  [11, "Q3_K"],
  [12, "Q4_K"],
  [13, "Q5_K"],
  [14, "Q6_K"],
  [24, "I8"],
  [25, "I16"],
  [26, "I32"],
  [27, "I64"],
  [28, "F64"],
  [30, "BF16"],
]);

/** A tensor in the header. */
interface Entry {
  readonly name: string;
  readonly dtype: CheckpointDType;
  readonly shape: readonly number[];
  readonly bytes: number;
  /** Position of its first byte, counted from the end of the header. */
  readonly offset: number;
}

/**
 * Reads and checks the header of a GGUF file, versions 2 and 3
 * (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md): counts, metadata, then a name, a shape, a type
 * and a position for each tensor. No tensor is read. The package @huggingface/gguf is not used: it reads a
 * file that ends within its header as if zeros followed, opens the file by itself, and does not check
 * positions.
 */
export async function readGguf(file: BinaryFile): Promise<Contents> {
  const { path } = file;
  const reader = new GgufReader(file);
  await reader.u32(); // "GGUF"
  const version = await reader.u32();
  if (version !== 2 && version !== 3) {
    throw new TypeError(
      `Cannot load ${path}: expected GGUF version 2 or 3 in little-endian order, got ${version}; ` +
        "convert it again with today's tools",
    );
  }
  const tensorCount = await reader.count("tensors", MAX_TENSORS);
  const metadata = await readMetadata(reader);
  const entries: Entry[] = [];
  for (let i = 0; i < tensorCount; i++) entries.push(await readEntry(reader, metadata));

  const alignment = alignmentOf(metadata, path);
  const begin = Math.ceil(reader.position / alignment) * alignment;
  checkPlaces(file, entries, { begin, alignment });
  const tensors = new Map<string, StoredTensor>();
  for (const { offset, ...info } of entries) {
    if (tensors.has(info.name)) throw damaged(path, `one tensor named ${quote(info.name)}`, "two");
    tensors.set(info.name, storedAt(file, begin + offset, info));
  }
  const strings = [...metadata].filter(([, value]) => !Array.isArray(value));
  return { tensors, metadata: new Map(strings.map(([key, value]) => [key, `${value}`])) };
}

async function readEntry(reader: GgufReader, metadata: Metadata): Promise<Entry> {
  const { path } = reader.file;
  const name = await reader.string("the name of a tensor");
  expectName(name, path);
  const of = `of ${quote(name)}`;
  const axes = await reader.u32();
  if (axes > MAX_AXES) throw damaged(path, `at most ${MAX_AXES} axes ${of}`, `${axes}`);
  const reversed: number[] = [];
  for (let i = 0; i < axes; i++) {
    reversed.push(await reader.count(`elements along an axis ${of}`, Number.MAX_SAFE_INTEGER));
  }
  const type = await reader.u32();
  const dtype = types.get(type);
  if (!dtype) {
    throw new TypeError(
      `Cannot load ${path}: expected the type ${of} to be one of ${[...types.values()].join(", ")}, ` +
        `got ggml's type ${type}; take a file in one of these`,
    );
  }
  const offset = await reader.count(`bytes before ${quote(name)}`, Number.MAX_SAFE_INTEGER);
  const stored = reversed.reverse();
  const bytes = tensorBytes(stored, dtype);
  const { elements } = blockOf(dtype);
  if (bytes === undefined || (stored.at(-1) ?? 1) % elements !== 0) {
    throw damaged(path, `rows of whole ${dtype} blocks ${of}, less than 2^53 bytes`, quote(stored));
  }
  return { name, dtype, shape: originalShape(name, stored, metadata, path), bytes, offset };
}

/** The shape before ComfyUI-GGUF flattened a convolution whose rows are no whole blocks. */
function originalShape(
  name: string,
  stored: readonly number[],
  metadata: Metadata,
  path: string,
): readonly number[] {
  const shape = metadata.get(`comfy.gguf.orig_shape.${name}`);
  if (!Array.isArray(shape)) return stored;
  const count = (axes: readonly number[]) => axes.reduce((product, n) => product * n, 1);
  if (count(shape) === count(stored)) return shape;
  throw damaged(path, `the shape of ${quote(name)} to hold the elements of ${quote(stored)}`, quote(shape));
}

function alignmentOf(metadata: Metadata, path: string): number {
  const alignment = metadata.get("general.alignment") ?? 32;
  if (typeof alignment === "number" && alignment >= 8 && alignment <= 2 ** 20 && alignment % 8 === 0) {
    return alignment;
  }
  throw damaged(path, "an alignment that is a multiple of 8", quote(alignment));
}

/** Checks that tensors are aligned, lie in the file and do not overlap. */
function checkPlaces(
  file: BinaryFile,
  entries: readonly Entry[],
  { begin, alignment }: { begin: number; alignment: number },
): void {
  let end = 0;
  for (
    const { name, offset, bytes } of entries.toSorted((a, b) => a.offset - b.offset || a.bytes - b.bytes)
  ) {
    if (offset % alignment !== 0) {
      throw damaged(file.path, `${quote(name)} at a multiple of ${alignment} bytes`, `${offset}`);
    }
    if (offset < end) {
      throw damaged(
        file.path,
        `${quote(name)} behind byte ${end}, where the one before it ends`,
        `${offset}`,
      );
    }
    end = offset + bytes;
    if (begin + end > file.size) {
      throw damaged(
        file.path,
        `${quote(name)} within the file's ${file.size} bytes`,
        `its end at ${begin + end}`,
      );
    }
  }
}
