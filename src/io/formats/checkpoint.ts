import { basename } from "node:path";
import { size } from "../../core/shape.ts";
import { BinaryFile } from "../files/binary_file.ts";
import { damaged, quote } from "../files/errors.ts";
import { HEAD, kindOf, otherFile } from "../files/file_kinds.ts";
import { readGguf } from "./gguf/file.ts";
import { toFloats } from "./numbers.ts";
import { readSafetensors } from "./safetensors.ts";
import { readShardIndex } from "./shard_index.ts";
import { bytesFor, elementsIn } from "./stored_dtype.ts";
import {
  type Contents,
  expectPiece,
  readElements,
  type StoredTensor,
  type TensorInfo,
} from "./stored_tensor.ts";
import { readTorchLegacy, readTorchZip } from "./torch/file.ts";

export type { BlockDType, CheckpointDType, ElementDType } from "./stored_dtype.ts";
export type { TensorInfo } from "./stored_tensor.ts";

/** The tensors of one or several open files of weights. */
export class Checkpoint implements Disposable {
  readonly #files: DisposableStack;
  readonly #stored: ReadonlyMap<string, StoredTensor>;
  /** All tensors by name. */
  readonly tensors: ReadonlyMap<string, TensorInfo>;
  /** Metadata of the files, such as "format" of safetensors and "general.architecture" of GGUF. */
  readonly metadata: ReadonlyMap<string, string>;

  /** Takes contents that openCheckpoint() has checked. */
  constructor(files: DisposableStack, { tensors, metadata }: Contents) {
    this.#files = files;
    this.#stored = tensors;
    this.tensors = tensors;
    this.metadata = metadata;
  }

  /**
   * Reads `count` elements from element `first` on in row-major order, as little-endian bytes. At most
   * READ_LIMIT bytes are read at once: large tensors are read in pieces. Elements of a strided torch view are
   * gathered; types of blocks give whole blocks. The bytes begin at offset 0 of their buffer, so that typed
   * arrays can view it.
   */
  read(info: TensorInfo, first: number, count: number): Promise<Uint8Array<ArrayBuffer>> {
    const tensor = this.#find(info);
    expectPiece(tensor, first, count);
    const bytes = new Uint8Array(bytesFor(tensor.dtype, count));
    return readElements(tensor, first, bytes).then(() => bytes);
  }

  /** Reads elements from `first` on until `target` is full; it may be mapped memory of a GPU's buffer. */
  async fill(info: TensorInfo, first: number, target: Uint8Array<ArrayBuffer>): Promise<void> {
    const tensor = this.#find(info);
    expectPiece(tensor, first, elementsIn(tensor.dtype, target.length));
    await readElements(tensor, first, target);
  }

  /** The scale by which a tensor's elements are multiplied, if its file has one: one number, or one a row. */
  async scaleOf(info: TensorInfo): Promise<Float32Array<ArrayBuffer> | undefined> {
    const { scale } = this.#find(info);
    if (!scale) return undefined;
    const bytes = new Uint8Array(bytesFor(scale.dtype, size(scale.shape)));
    await readElements(scale, 0, bytes);
    return toFloats(bytes, scale.dtype);
  }

  #find({ name }: TensorInfo): StoredTensor {
    const stored = this.#stored.get(name);
    if (!stored) throw new RangeError(`Cannot read ${quote(name)}: no such key in the checkpoint`);
    return stored;
  }

  /** Closes the files. */
  close(): void {
    this.#files.dispose();
  }

  /** Closes the files, at the end of `using`. */
  [Symbol.dispose](): void {
    this.close();
  }
}

/** Gives the tensors of files other names, or views of them: those of a single file get a model's names. */
export type TensorView = (tensors: ReadonlyMap<string, StoredTensor>) => Map<string, StoredTensor>;

/**
 * Opens weights: a safetensors or GGUF file, a torch file (a zip, or the stream of torch before 1.6), the
 * index of shards, or a list of files. All headers are read and checked, but no tensors.
 */
export async function openCheckpoint(
  paths: string | readonly string[],
  view?: TensorView,
  open: (path: string) => Promise<BinaryFile> = BinaryFile.open,
): Promise<Checkpoint> {
  using opened = new DisposableStack(); // closes the files where one of them is refused
  const all: Contents = { tensors: new Map(), metadata: new Map() };
  const read = async (path: string) => await readContents(opened.use(await open(path)));
  for (const path of [paths].flat()) {
    if (!path.endsWith(".json")) {
      merge(all, await read(path), path);
      continue;
    }
    for (const [shard, names] of await readShardIndex(path)) {
      const contents = await read(shard).catch((error) => throwLost(error, shard, path));
      merge(all, promised(contents, names, shard, path), shard);
    }
  }
  attachScales(all.tensors, [paths].flat()[0]!);
  return new Checkpoint(opened.move(), view ? { ...all, tensors: view(all.tensors) } : all);
}

/** The tensors of a shard that its index names; others, such as copies, are left out. */
function promised(
  { tensors, metadata }: Contents,
  names: readonly string[],
  shard: string,
  index: string,
): Contents {
  const missing = names.find((name) => !tensors.has(name));
  if (missing === undefined) {
    return { tensors: new Map(names.map((name) => [name, tensors.get(name)!])), metadata };
  }
  throw damaged(shard, `${quote(missing)}, as ${basename(index)} promises`, "no such key");
}

/** Rethrows the error; for a shard that is missing, one that names its index. */
function throwLost(error: unknown, shard: string, index: string): never {
  const isLost = error instanceof Error && error.cause instanceof Deno.errors.NotFound;
  throw isLost ? damaged(index, `its shard ${shard}`, "no such file") : error;
}

function merge(all: Contents, { tensors, metadata }: Contents, path: string): void {
  for (const [name, tensor] of tensors) {
    const other = all.tensors.get(name);
    if (other) {
      throw damaged(path, "each tensor in one file", `${quote(name)} in ${other.places[0]!.file.path} too`);
    }
    all.tensors.set(name, tensor);
  }
  for (const [key, value] of metadata) all.metadata.set(key, value);
}

/** Reads a file by the format of its first bytes, as old repositories name their files in any way. */
async function readContents(file: BinaryFile): Promise<Contents> {
  const head = await file.read(0, Math.min(file.size, HEAD));
  const kind = kindOf(head)?.kind;
  if (kind === "a safetensors file") return await readSafetensors(file);
  if (kind === "a zip file") return await readTorchZip(file);
  if (kind === "a GGUF file") return await readGguf(file);
  if (!kind && file.path.endsWith(".safetensors")) return await readSafetensors(file); // whose error says what is damaged
  if (kind === "a pickle of Python" || (!kind && (head[0] === 0x80 || head[0] === 0x4c))) {
    return await readTorchLegacy(file);
  }
  throw otherFile(
    head,
    file.path,
    "weights (safetensors, GGUF or torch)",
    "download it again, or name a file of weights",
  );
}

/** Names of the scale of "x.weight": by ComfyUI, and by most others. */
const SCALES = [".scale_weight", ".weight_scale"];

/** Further tensors of scaled weights: scales of activations, and a mark that there are scales. */
const COMPANIONS = /(^|\.)(scale_input|input_scale|comfy_quant|scaled_fp8)$/;

/**
 * Attaches the scales beside weights of eight bits to these weights: one number, or one a row, by which the
 * elements are multiplied. The scales are removed from `tensors`.
 */
function attachScales(tensors: Map<string, StoredTensor>, path: string): void {
  let found = false;
  for (const [name, scale] of [...tensors]) {
    const suffix = SCALES.find((suffix) => name.endsWith(suffix));
    if (!suffix) continue;
    const key = `${name.slice(0, -suffix.length)}.weight`;
    const weight = tensors.get(key);
    if (!weight || !/^(F8_|I8$)/.test(weight.dtype)) continue;
    const count = size(scale.shape);
    if (count !== 1 && count !== weight.shape[0]) {
      throw new TypeError(
        `Cannot load ${path}: expected one scale or one a row for ${quote(key)}, got ${
          quote(scale.shape)
        }; take the weights in another precision`,
      );
    }
    tensors.set(key, { ...weight, scale });
    tensors.delete(name);
    found = true;
  }
  if (!found && ![...tensors.keys()].some((name) => name.endsWith("scaled_fp8"))) return;
  for (const name of [...tensors.keys()]) if (COMPANIONS.test(name)) tensors.delete(name);
}
