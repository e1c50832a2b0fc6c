import { bytesOf, type PackedDType } from "../../core/dtype.ts";
import { nearest } from "../../core/error.ts";
import { type Shape, size, usualStrides } from "../../core/shape.ts";
import type { Device } from "../../gpu/device.ts";
import type { Leaf } from "../../graph/node.ts";
import type { TensorInfo } from "../../io/formats/checkpoint.ts";
import { HostTable } from "../../io/upload/host_table.ts";
import type { Filling } from "../../io/upload/upload.ts";
import { expectShape } from "../../nn/layers.ts";
import { Parameter } from "../../ops/low_rank.ts";
import { Tensor } from "../../tensor/mod.ts";
import { storedDType, type WeightFormat } from "./dtype.ts";
import { divideWeights, type Division, type StreamOptions } from "./weight_stream.ts";

/** A branch of a checkpoint: its keys up to the next dot. */
interface Branch {
  [key: string]: Branch | Tensor;
}

/** A tensor of the checkpoint, and the leaf that stands for it in traces. */
interface Weight extends Filling {
  readonly tensor: Tensor;
}

/** A model's weights: a checkpoint nested by the dots of its keys, which knows the tensors that were read. */
export class Weights {
  /** Error of each tensor in fewer bits, once they were loaded; see `Model.packingErrors`. */
  errors: ReadonlyMap<string, number> | undefined;
  readonly #device: Device;
  readonly #where: string;
  readonly #infos: ReadonlyMap<string, TensorInfo>;
  #format: WeightFormat;
  #tree: unknown;
  readonly #weights = new Map<string, Weight>();
  /** Keys that were read. */
  readonly #read = new Set<string>();
  /** Keys that each entry point reads. */
  readonly #reads = new Map<string, Set<string>>();
  /** Those of the entry point that is being traced. */
  #reading: Set<string> | undefined;
  readonly #tables = new Map<string, HostTable>();
  readonly #copies = new Set<string>();

  /**
   * Empty leaves for the tensors of `infos`; `where` is the path that errors name, `prefix` is taken off keys that
   * begin with it.
   */
  constructor(device: Device, where: string, infos: Iterable<TensorInfo>, format: WeightFormat, prefix = "") {
    this.#device = device;
    this.#where = where;
    this.#format = { ...format, readsHalves: device.traits.f16 };
    this.#infos = new Map(
      Iterator.from(infos).map((info) => [
        modernKey(info.name.startsWith(prefix) ? info.name.slice(prefix.length) : info.name),
        info,
      ]),
    );
    this.#plant();
  }

  /** The nested tree. Keys that are read are noted; one that is not there throws. */
  get tree(): unknown {
    return this.#tree;
  }

  /** Takes other leaves for another format. None of them may be in memory. */
  reformat(format: Pick<WeightFormat, "quantize" | "stream">): void {
    this.#format = { ...this.#format, ...format };
    this.errors = undefined;
    this.#plant();
  }

  /** In how few bits matrices are stored, where they are stored in fewer than the others. */
  get quantize(): PackedDType | undefined {
    return this.#format.quantize;
  }

  /** All tensors by their keys, whether they were read or not. */
  get tensors(): ReadonlyMap<string, Tensor> {
    return new Map([...this.#weights].map(([key, { tensor }]) => [key, tensor]));
  }

  /** The weight of a key. */
  tensor(key: string): Tensor | undefined {
    return this.#weights.get(key)?.tensor;
  }

  /**
   * The tensor of a key, with the leaf to fill.
   * @internal
   */
  filling(key: string): Filling | undefined {
    return this.#weights.get(key);
  }

  /** Shapes of the tensors that were read, by their keys. */
  get shapes(): ReadonlyMap<string, Shape> {
    return new Map([...this.#read].map((key) => [key, this.#weights.get(key)!.tensor.shape]));
  }

  /** The tensors that were read, with the leaves to fill. */
  get fillings(): { info: TensorInfo; leaf: Leaf }[] {
    return this.#fillings(this.#read);
  }

  /**
   * Notes what an entry point reads while it is traced.
   * @internal
   */
  noteReads<T>(entry: string, trace: () => T): T {
    const outer = this.#reading;
    this.#reads.set(entry, this.#reading = this.#reads.get(entry) ?? new Set());
    try {
      return trace();
    } finally {
      this.#reading = outer;
    }
  }

  /**
   * Takes all tensors as not read, before other traces tell which ones are. None of them may be in memory.
   * @internal
   */
  forgetReads(): void {
    this.#read.clear();
    this.#reads.clear();
  }

  /**
   * Divides the tensors that were read, or that one entry point reads, into those in memory and those streamed
   * from the disk.
   * @internal
   */
  divided(
    { only, stream = this.#format.stream }: { only?: string | undefined; stream?: StreamOptions } = {},
  ): Division {
    return divideWeights(this.#fillings(this.#keys(only)), stream);
  }

  /**
   * The same for those that are still to be loaded: neither in memory nor streamed yet.
   * @internal
   */
  absent(only?: string): Division {
    const { resident, streamed, ...rest } = this.divided({ only });
    const isAbsent = ({ leaf: { storage, pager } }: Filling) => !pager && (!storage || storage.released);
    return { ...rest, resident: resident.filter(isAbsent), streamed: streamed.filter(isAbsent) };
  }

  /** Bytes that those that were read, or that one entry point reads, take in GPU memory: as they are, or in another format. */
  bytes(format?: Partial<WeightFormat>, only?: string): number {
    if (!format) return this.divided({ only }).bytes;
    const wanted = { ...this.#format, ...format };
    return [...this.#keys(only)].reduce((sum, key) => {
      const { info } = this.#weights.get(key)!;
      return sum + size(info.shape) * bytesOf(storedDType(key, info, wanted));
    }, 0);
  }

  /**
   * A matrix that stays on the host, as only a few of its rows are wanted at a time. It has one of `keys`; files that tie
   * weights may hold it under all of them.
   * @internal
   */
  table(keys: string | readonly string[], shape: readonly number[]): HostTable {
    const [key, ...copies] = [keys].flat().filter((key) => this.#weights.has(key));
    if (!key) throw this.#unknown([keys].flat()[0]!);
    const { info, tensor } = this.#weights.get(key)!;
    expectShape(tensor, shape);
    const table = new HostTable(info);
    this.#tables.set(key, table);
    copies.forEach((copy) => this.#copies.add(copy));
    return table;
  }

  /**
   * The tables that were asked for.
   * @internal
   */
  get tables(): HostTable[] {
    return [...this.#tables.values()];
  }

  /** Keys that nothing read. */
  get surplus(): string[] {
    return [...this.#weights.keys()].filter((key) =>
      !this.#read.has(key) && !this.#tables.has(key) && !this.#copies.has(key) && !COUNTS.test(key)
    );
  }

  /** Makes leaves in the format, none of which is in memory. */
  #plant(): void {
    const root: Branch = Object.create(null);
    for (const [key, info] of this.#infos) {
      const { shape } = info;
      const strides = usualStrides(shape);
      const dtype = storedDType(key, info, this.#format);
      const leaf = new Parameter(dtype, size(shape), key, undefined, { shape, strides });
      const tensor = new Tensor(this.#device, leaf, shape, strides, 0);
      this.#weights.set(key, { info, leaf, tensor });
      insert(root, key.split("."), tensor);
    }
    this.#tree = this.#guard(root, "");
  }

  #fillings(keys: ReadonlySet<string>): Filling[] {
    return [...keys].map((key) => this.#weights.get(key)!);
  }

  /** Keys that an entry point reads, or all of them together. */
  #keys(only: string | undefined): ReadonlySet<string> {
    const keys = only === undefined ? this.#read : this.#reads.get(only);
    if (keys) return keys;
    const known = [...this.#reads.keys()].join(", ");
    throw new RangeError(`Cannot load only what "${only}" reads: expected one of ${known}`);
  }

  /** A branch whose keys are noted when they are read. */
  #guard(branch: Branch, path: string): Branch {
    const guarded = new Map<string, Branch>();
    return new Proxy(branch, {
      get: (target, key) => {
        if (typeof key === "symbol" || key === "then") return undefined; // asked by await and by printing
        const name = path ? `${path}.${key}` : key;
        const value = target[key];
        if (value instanceof Tensor) {
          this.#read.add(name);
          this.#reading?.add(name);
          return value;
        }
        if (!value) throw this.#unknown(name);
        if (!guarded.has(key)) guarded.set(key, this.#guard(value, name));
        return guarded.get(key);
      },
    });
  }

  #unknown(name: string): Error {
    const near = nearest(name, this.#weights.keys());
    const hint = near ? `nearest is "${near}"` : "the checkpoint is empty";
    return new ReferenceError(`Cannot load "${name}" from ${this.#where}: no such key; ${hint}`);
  }
}

/** Tensors 0, 1, 2, …, which old files hold besides weights. */
const COUNTS = /(^|\.)(position_ids|num_batches_tracked)$/;

function insert(root: Branch, path: string[], tensor: Tensor): void {
  let branch = root;
  for (const key of path.slice(0, -1)) {
    const next = branch[key];
    if (next instanceof Tensor) return; // no model has a key below a tensor
    branch = branch[key] = next ?? Object.create(null);
  }
  branch[path.at(-1)!] = tensor;
}

/** Names that diffusers gave to attention before version 0.15. */
const OLD_NAMES: Record<string, string> = {
  query: "to_q",
  key: "to_k",
  value: "to_v",
  proj_attn: "to_out.0",
};

/** A key under today's names: files of 2022 call the layers of attention blocks otherwise. */
function modernKey(key: string): string {
  return key.replace(
    /(\.attentions\.\d+\.)(query|key|value|proj_attn)\./,
    (_, front, name) => `${front}${OLD_NAMES[name]}.`,
  );
}
