import { bytesOf, type DType, type HostArray, isPacked, viewBytes } from "../core/dtype.ts";
import {
  axisIndex,
  channelsLastStrides,
  checkShape,
  contiguousStrides,
  formatShape,
  reshapeStrides,
  sameStrides,
  type Shape,
  size,
  type Tuple,
} from "../core/shape.ts";
import type { Device } from "../gpu/device.ts";
import type { Operation } from "../graph/expr.ts";
import { Leaf, type Node, type View } from "../graph/node.ts";
import { streamOf } from "../graph/stream.ts";
import { recordPointwise } from "./record.ts";
import { reduce } from "./reduce.ts";

/** Options of reductions. */
export interface ReduceOptions {
  /** Keeps reduced axes with size 1. */
  keepdim?: boolean | undefined;
}

/**
 * An immutable array on the GPU. Operations are recorded and run when something waits for a result. Shapes
 * are as in torch; 4-D activations may lie channels-last in memory, which only kernels see.
 */
export class Tensor implements View {
  /** A view of a recorded value; scripts make tensors with `tensor`, `zeros`, `randn`. */
  constructor(
    readonly device: Device,
    /** The recorded value that this tensor views. */
    readonly node: Node,
    readonly shape: Shape,
    readonly strides: readonly number[],
    readonly offset: number,
  ) {}

  /** Element type. */
  get dtype(): DType {
    return this.node.dtype;
  }

  /** Number of axes. */
  get rank(): number {
    return this.shape.length;
  }

  /** Number of elements. */
  get size(): number {
    return size(this.shape);
  }

  /** A weight's key in its checkpoint, else "tensor". */
  get label(): string {
    return this.node instanceof Leaf && this.node.label ? this.node.label : "tensor";
  }

  /** e.g. `tensor [1, 3, 32, 32] f32`. */
  toString(): string {
    return `${this.label} ${formatShape(this.shape)} ${this.dtype}`;
  }

  #binary(op: Operation, other: Tensor | number): Tensor {
    const args = [{ op: "operand", index: 0 }, {
      op: typeof other === "number" ? "scalar" : "operand",
      index: 1,
    }] as const;
    if (typeof other === "number") {
      return recordPointwise({ op, args: [args[0], { op: "scalar", index: 0 }] }, [this], {
        scalars: [other],
      });
    }
    if (other === this) return recordPointwise({ op, args: [args[0], args[0]] }, [this]);
    return recordPointwise({ op, args }, [this, other]);
  }

  /** Applies a pointwise operation of one argument. */
  unary(op: Operation): Tensor {
    return recordPointwise({ op, args: [{ op: "operand", index: 0 }] }, [this]);
  }

  /** Sum, broadcast as in numpy. */
  add(other: Tensor | number): Tensor {
    return this.#binary("add", other);
  }
  /** Difference. */
  sub(other: Tensor | number): Tensor {
    return this.#binary("sub", other);
  }
  /** Product. */
  mul(other: Tensor | number): Tensor {
    return this.#binary("mul", other);
  }
  /** Quotient. */
  div(other: Tensor | number): Tensor {
    return this.#binary("div", other);
  }
  /** Power; a negative base takes whole exponents only. */
  pow(exponent: Tensor | number): Tensor {
    return this.#binary("pow", exponent);
  }
  /** The smaller of each pair. */
  minimum(other: Tensor | number): Tensor {
    return this.#binary("min", other);
  }
  /** The larger of each pair. */
  maximum(other: Tensor | number): Tensor {
    return this.#binary("max", other);
  }
  /** −x. */
  neg(): Tensor {
    return this.unary("neg");
  }
  /** |x|. */
  abs(): Tensor {
    return this.unary("abs");
  }
  /** √x. */
  sqrt(): Tensor {
    return this.unary("sqrt");
  }
  /** 1 / √x. */
  rsqrt(): Tensor {
    return this.unary("rsqrt");
  }
  /** eˣ. */
  exp(): Tensor {
    return this.unary("exp");
  }
  /** Natural logarithm. */
  log(): Tensor {
    return this.unary("log");
  }
  /** Sine; exact to 1e-6 only for |x| up to about 10. */
  sin(): Tensor {
    return this.unary("sin");
  }
  /** Cosine; exact to 1e-6 only for |x| up to about 10. */
  cos(): Tensor {
    return this.unary("cos");
  }
  /** Hyperbolic tangent. */
  tanh(): Tensor {
    return this.unary("tanh");
  }
  /** Nearest whole number, halves to even. */
  round(): Tensor {
    return this.unary("round");
  }
  /** Largest whole number not above x. */
  floor(): Tensor {
    return this.unary("floor");
  }

  /** Limits values to [low, high]. */
  clamp(low: number, high: number): Tensor {
    const raised = { op: "max", args: [{ op: "operand", index: 0 }, { op: "scalar", index: 0 }] } as const;
    return recordPointwise({ op: "min", args: [raised, { op: "scalar", index: 1 }] }, [this], {
      scalars: [low, high],
    });
  }

  /**
   * this + weight · (end − this), as torch.lerp: with weight = guidance scale it is classifier-free guidance.
   */
  lerp(end: Tensor, weight: Tensor | number): Tensor {
    return this.add(end.sub(this).mul(weight));
  }

  /** Sum over some axes, or over all. */
  sum(axes?: number | readonly number[], options?: ReduceOptions): Tensor {
    return reduce("sum", this, axes, options?.keepdim);
  }
  /** Mean over some axes, or over all. */
  mean(axes?: number | readonly number[], options?: ReduceOptions): Tensor {
    return reduce("mean", this, axes, options?.keepdim);
  }
  /** Smallest element over some axes, or over all. */
  min(axes?: number | readonly number[], options?: ReduceOptions): Tensor {
    return reduce("min", this, axes, options?.keepdim);
  }
  /** Largest element over some axes, or over all. */
  max(axes?: number | readonly number[], options?: ReduceOptions): Tensor {
    return reduce("max", this, axes, options?.keepdim);
  }

  #view(shape: Shape, strides: readonly number[], offset = this.offset): Tensor {
    checkShape(shape);
    return new Tensor(this.device, this.node, shape, strides, offset);
  }

  /** The elements from `start` up to `end` along an axis; negative bounds count from the end. */
  slice(axis: number, start: number, end: number = this.shape[axisIndex(axis, this.rank)]!): Tensor {
    const at = axisIndex(axis, this.rank);
    const n = this.shape[at]!;
    const bound = (i: number) => Math.min(n, Math.max(0, i < 0 ? i + n : i));
    const first = bound(start);
    const length = Math.max(0, bound(end) - first);
    return this.#view(this.shape.with(at, length), this.strides, this.offset + first * this.strides[at]!);
  }

  /** Pieces of the given sizes along an axis. */
  split(sizes: readonly number[], axis = 0): Tensor[] {
    const n = this.shape[axisIndex(axis, this.rank)];
    const total = size([sizes.reduce((sum, part) => sum + part, 0)]);
    if (total !== n) {
      throw new RangeError(
        `Cannot split ${this} along axis ${axis}: expected sizes that sum to ${n}, got ${total}`,
      );
    }
    let start = 0;
    return sizes.map((part) => this.slice(axis, start, start += part));
  }

  /**
   * `count` equal pieces along an axis; the last is smaller where the size does not divide, as in torch. Like
   * torch it gives fewer pieces than asked for where there are not enough elements.
   */
  chunk<N extends number>(count: N, axis = 0): Tuple<Tensor, N> {
    const n = this.shape[axisIndex(axis, this.rank)]!;
    const part = Math.ceil(n / count);
    const sizes = n === 0
      ? Array(count).fill(0)
      : Array.from({ length: Math.ceil(n / part) }, (_, i) => Math.min(part, n - i * part));
    return this.split(sizes, axis) as Tuple<Tensor, N>;
  }

  /** The same elements in another shape; one size may be -1. Copies only where memory order demands it. */
  reshape(shape: readonly number[]): Tensor {
    const known = shape.reduce((product, n) => n === -1 ? product : product * n, 1);
    const full = shape.map((n) => n === -1 ? this.size / known : n);
    if (
      size(full) !== this.size || shape.filter((n) => n === -1).length > 1 || !full.every(Number.isInteger)
    ) {
      throw new RangeError(`Cannot reshape ${this} to ${formatShape(shape)}: expected ${this.size} elements`);
    }
    const strides = reshapeStrides(this.shape, this.strides, full);
    return strides ? this.#view(full, strides) : this.contiguous().reshape(full);
  }

  /** Axes in another order. */
  permute(axes: readonly number[]): Tensor {
    const order = axes.map((axis) => axisIndex(axis, this.rank));
    if (new Set(order).size !== this.rank || order.length !== this.rank) {
      throw new RangeError(
        `Cannot permute ${this}: expected each of ${this.rank} axes once, got ${formatShape(axes)}`,
      );
    }
    return this.#view(order.map((axis) => this.shape[axis]!), order.map((axis) => this.strides[axis]!));
  }

  /** A new axis of size 1. */
  unsqueeze(axis: number): Tensor {
    const at = axisIndex(axis, this.rank + 1);
    return this.#view(this.shape.toSpliced(at, 0, 1), this.strides.toSpliced(at, 0, 1));
  }

  /** Without one axis, or without all axes, of size 1. */
  squeeze(axis?: number): Tensor {
    const at = axis === undefined ? undefined : axisIndex(axis, this.rank);
    const stays = (_: number, i: number) => this.shape[i] !== 1 || (at !== undefined && i !== at);
    return this.#view(this.shape.filter(stays), this.strides.filter(stays));
  }

  /** Repeats axes of size 1 without copying; -1 keeps a size. */
  expand(shape: readonly number[]): Tensor {
    const missing = shape.length - this.rank;
    const full = shape.map((n, axis) => n === -1 ? this.shape[axis - missing]! : n);
    const fits = full.every((n, axis) => axis < missing || [1, n].includes(this.shape[axis - missing]!));
    if (missing < 0 || !fits) {
      throw new RangeError(`Cannot expand ${this} to ${formatShape(shape)}: only axes of size 1 repeat`);
    }
    const strides = full.map((n, axis) =>
      axis < missing || (this.shape[axis - missing]! === 1 && n !== 1) ? 0 : this.strides[axis - missing]!
    );
    return this.#view(full, strides);
  }

  /**
   * The elements as another type: f16 rounds to nearest even where it is stored, integers drop the fraction.
   */
  cast(dtype: DType): Tensor {
    return dtype === this.dtype ? this : recordPointwise({ op: "operand", index: 0 }, [this], { dtype });
  }

  /** True where the elements lie in memory one after the other in the order of `strides`. */
  isDense(strides: readonly number[]): boolean {
    return this.offset === 0 && this.node.count === this.size &&
      sameStrides(this.shape, this.strides, strides);
  }

  /** The same tensor, dense in row-major order (or with the given strides) in memory of its own. */
  contiguous(strides: readonly number[] = contiguousStrides(this.shape)): Tensor {
    if (this.isDense(strides)) return this;
    return recordPointwise({ op: "operand", index: 0 }, [this], { strides });
  }

  /** The same [B, C, H, W] tensor with channels innermost in memory, as kernels take it. */
  channelsLast(): Tensor {
    return this.contiguous(channelsLastStrides(this.shape));
  }

  /** Runs what was recorded, waits, and returns the elements in row-major order. */
  async data(): Promise<HostArray> {
    const { dtype } = this;
    if (isPacked(dtype)) throw new TypeError(`Cannot read ${this}: expected plain numbers, got ${dtype}`);
    const dense = this.contiguous();
    const stream = streamOf(this.device);
    while (!dense.node.storage) { // again where the failure of other work made a flush forget this one
      stream.want(dense.node);
      await stream.flush();
    }
    const { storage } = dense.node;
    if (storage.released) throw new Error(`Cannot read ${this}: it was disposed; keep it with scope.keep()`);
    const bytes = this.size * bytesOf(dtype);
    const buffer = await this.device.read(storage.buffer, storage.offset, Math.ceil(bytes / 4) * 4);
    if (dense !== this) storage.release(); // a copy in row-major order, which nobody else has
    return viewBytes(dtype, buffer, this.size);
  }

  /** The value of a tensor of one element. */
  async item(): Promise<number> {
    if (this.size !== 1) {
      throw new RangeError(`Cannot read one item of ${this}: it has ${this.size} elements`);
    }
    return (await this.data())[0]!;
  }
}
