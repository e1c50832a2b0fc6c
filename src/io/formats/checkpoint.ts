import { size } from "../../core/shape.ts";
import { basename } from "node:path";
import { BinaryFile } from "../files/binary_file.ts";
import { HEAD, kindOf, otherFile } from "../files/file_kinds.ts";
import { readGguf } from "./gguf/file.ts";
import { toFloats } from "./numbers.ts";
import { damaged, quote } from "../files/errors.ts";
import { readSafetensors } from "./safetensors.ts";
import { attachScales } from "./scales.ts";
import { readShardIndex } from "./shard_index.ts";
import {
  type Contents,
  expectPiece,
  readElements,
  type StoredTensor,
  type TensorInfo,
} from "./stored_tensor.ts";
import { bytesFor, elementsIn } from "./stored_dtype.ts";
import { readTorchLegacy, readTorchZip } from "./torch/file.ts";

export { READ_LIMIT } from "../files/binary_file.ts";

export type { BlockDType, CheckpointDType, ElementDType } from "./stored_dtype.ts";
export type { TensorInfo } from "./stored_tensor.ts";

/** The tensors of one or several open files of weights. */
export class Checkpoint implements Disposable {
  readonly #files: DisposableStack;
  readonly #stored: ReadonlyMap<string, StoredTensor>;
  /** What there is, by name. */
  readonly tensors: ReadonlyMap<string, TensorInfo>;
  /** The strings beside them, such as "format" of safetensors and "general.architecture" of GGUF. */
  readonly metadata: ReadonlyMap<string, string>;

  /** For openCheckpoint(), which has checked the contents. */
  constructor(files: DisposableStack, { tensors, metadata }: Contents) {
    this.#files = files;
    this.#stored = tensors;
    this.tensors = tensors;
    this.metadata = metadata;
  }

  /**
   * Reads `count` elements from element `first` in row-major order, as little-endian bytes, at most
   * READ_LIMIT of them: large tensors are read in pieces. Elements of a torch view are gathered; those of
   * blocks come as whole blocks. The bytes begin their buffer, so that typed arrays can view it.
   */
  read(info: TensorInfo, first: number, count: number): Promise<Uint8Array<ArrayBuffer>> {
    const tensor = this.#find(info);
    expectPiece(tensor, first, count);
    const bytes = new Uint8Array(bytesFor(tensor.dtype, count));
    return readElements(tensor, first, bytes).then(() => bytes);
  }

  /** Reads the elements from `first` on into `target`, which may lie in a GPU's buffer, as many as it has room for. */
  async fill(info: TensorInfo, first: number, target: Uint8Array<ArrayBuffer>): Promise<void> {
    const tensor = this.#find(info);
    expectPiece(tensor, first, elementsIn(tensor.dtype, target.length));
    await readElements(tensor, first, target);
  }

  /**
   * What a tensor's elements are multiplied by, where its file has that:
   * one number, or one for each of its rows.
   */
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

/** Other names, and views, for the tensors of files: a single file's tensors under the names of a model. */
export type TensorView = (tensors: ReadonlyMap<string, StoredTensor>) => Map<string, StoredTensor>;

/**
 * Opens weights: a safetensors or GGUF file, a torch file (zip, or the stream before torch 1.6), the index of
 * shards, or a list of files. All headers are read and checked; no tensor is.
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

/** The tensors of a shard that its index points to: what else it holds, such as copies of others', is not looked at. */
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

/** Names the index of a shard that is not there. */
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

/** Tells the format by the first bytes: old repositories name their files as they like. */
async function readContents(file: BinaryFile): Promise<Contents> {
  const head = await file.read(0, Math.min(file.size, HEAD));
  const kind = kindOf(head)?.kind;
  if (kind === "a safetensors file") return await readSafetensors(file);
  if (kind === "a zip file") return await readTorchZip(file);
  if (kind === "a GGUF file") return await readGguf(file);
  if (!kind && file.path.endsWith(".safetensors")) return await readSafetensors(file); // which says what is damaged
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
