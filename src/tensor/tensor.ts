import { bytesOf, type DType, type HostArray, isPacked, type PlainDType, viewBytes } from "../core/dtype.ts";
import { expectOptions } from "../core/error.ts";
import { channelsLastStrides, contiguousStrides, sameStrides, type Shape, size } from "../core/shape.ts";
import { streamOf } from "../graph/run/stream.ts";
import { remember, shown } from "./display.ts";
import { operatorsAbove } from "./operators.ts";
import { TensorOrder } from "./tensor_order.ts";
import { recordPointwise } from "./record.ts";
import { keepdimOf, reduce, type ReduceOptions } from "./reduce.ts";
import type { Selected } from "./sort.ts";
import { anyOrAll, deviation, logSoftmax, logsumexp, norm, variance } from "./statistics.ts";

/** Options of var() and std(). */
export interface VarianceOptions extends ReduceOptions {
  /** Taken from the number of elements: 1 (the default) estimates from a sample. */
  correction?: number | undefined;
}

/**
 * An immutable array on the GPU. Operations are recorded and run when something waits for a result. Shapes
 * are as in torch; 4-D activations may lie channels-last in memory, which only kernels see.
 */
export class Tensor extends TensorOrder {
  /** Sum over some axes, or over all; of bools their count in i32. */
  sum(axes?: number | readonly number[], options?: ReduceOptions): Tensor {
    return reduce("sum", this, axes, keepdimOf(options));
  }

  /** Mean over some axes, or over all; of integers in f32. */
  mean(axes?: number | readonly number[], options?: ReduceOptions): Tensor {
    return reduce("mean", this, axes, keepdimOf(options));
  }

  /** Product over some axes, or over all. */
  prod(axes?: number | readonly number[], options?: ReduceOptions): Tensor {
    return reduce("prod", this, axes, keepdimOf(options));
  }

  /** Smallest element over some axes, or over all. */
  min(axes?: number | readonly number[], options?: ReduceOptions): Tensor;
  /** Smallest element along an axis, and where it is, as argmin. */
  min(axis: number, options: ReduceOptions & { indices: true }): Selected;
  min(
    axes?: number | readonly number[],
    options: ReduceOptions & { indices?: true } = {},
  ): Tensor | Selected {
    expectOptions("reduce", options, ["keepdim", "indices"]);
    const { keepdim } = options;
    const values = reduce("min", this, axes, keepdim);
    return options.indices ? { values, indices: this.argmin(axes as number, { keepdim }) } : values;
  }

  /** Largest element over some axes, or over all. */
  max(axes?: number | readonly number[], options?: ReduceOptions): Tensor;
  /** Largest element along an axis, and where it is, as argmax. */
  max(axis: number, options: ReduceOptions & { indices: true }): Selected;
  max(
    axes?: number | readonly number[],
    options: ReduceOptions & { indices?: true } = {},
  ): Tensor | Selected {
    expectOptions("reduce", options, ["keepdim", "indices"]);
    const { keepdim } = options;
    const values = reduce("max", this, axes, keepdim);
    return options.indices ? { values, indices: this.argmax(axes as number, { keepdim }) } : values;
  }

  /** The same as min. */
  amin(axes?: number | readonly number[], options?: ReduceOptions): Tensor {
    return this.min(axes, options);
  }

  /** The same as max. */
  amax(axes?: number | readonly number[], options?: ReduceOptions): Tensor {
    return this.max(axes, options);
  }

  /** True where any element is not 0, over some axes or over all. */
  any(axes?: number | readonly number[], options?: ReduceOptions): Tensor {
    return anyOrAll("any", this, axes, keepdimOf(options));
  }

  /** True where every element is not 0, over some axes or over all. */
  all(axes?: number | readonly number[], options?: ReduceOptions): Tensor {
    return anyOrAll("all", this, axes, keepdimOf(options));
  }

  /** The mean squared distance from the mean over some axes, or over all: Σ (x − mean)² / (n − correction). */
  var(axes?: number | readonly number[], options: VarianceOptions = {}): Tensor {
    expectOptions("reduce", options, ["correction", "keepdim"]);
    const { correction, keepdim } = options;
    return variance(this, axes, correction, keepdim);
  }

  /** The square root of var(). */
  std(axes?: number | readonly number[], options: VarianceOptions = {}): Tensor {
    expectOptions("reduce", options, ["correction", "keepdim"]);
    const { correction, keepdim } = options;
    return deviation(this, axes, correction, keepdim);
  }

  /** (Σ |x|ᵖ)^(1 / p) over some axes, or over all; for p = ±∞ the largest or smallest |x|, for 0 how many are not 0. */
  norm(p: number | "fro" = 2, axes?: number | readonly number[], options?: ReduceOptions): Tensor {
    return norm(this, p, axes, keepdimOf(options));
  }

  /** log Σ eˣ over some axes, or over all, without overflow. */
  logsumexp(axes?: number | readonly number[], options?: ReduceOptions): Tensor {
    return logsumexp(this, axes, keepdimOf(options));
  }

  /** Matrix product over the last two axes, others broadcast. this [.., M, K], other [.., K, N] → [.., M, N]. */
  matmul(other: Tensor): Tensor {
    return operatorsAbove().matmul(this, other);
  }

  /** eˣ / Σ eˣ along an axis. */
  softmax(axis: number): Tensor {
    return operatorsAbove().softmax(this, axis);
  }

  /** The logarithm of softmax(), without loss. */
  logSoftmax(axis: number): Tensor {
    return logSoftmax(this, axis);
  }

  /**
   * The elements as another type: f16 rounds to nearest even where it is stored, integers drop the fraction,
   * bools are true for what is not 0.
   */
  cast(dtype: DType): Tensor {
    return dtype === this.dtype ? this : recordPointwise({ op: "operand", index: 0 }, [this], { dtype });
  }

  /** The same as `cast`, by torch's name. */
  to(dtype: PlainDType): Tensor {
    return this.cast(dtype);
  }

  /** The same as to("f32"). */
  float(): Tensor {
    return this.to("f32");
  }

  /** The same as to("f16"). */
  half(): Tensor {
    return this.to("f16");
  }

  /** The same as to("i32"). */
  int(): Tensor {
    return this.to("i32");
  }

  /** The same as to("bool"). */
  bool(): Tensor {
    return this.to("bool");
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
    const values = viewBytes(dtype, buffer, this.size);
    remember(this, values);
    return values;
  }

  /** The elements in lists nested as the axes are; bools as booleans. A tensor without axes is its one element. */
  async tolist(): Promise<NestedList> {
    const values = await this.data();
    const each = this.dtype === "bool" ? Array.from(values, Boolean) : Array.from(values);
    return nested(each, this.shape);
  }

  /** Reads the tensor and writes it to the console: shape, type and values, of large ones the edges. */
  async print(): Promise<void> {
    await this.data();
    console.log(shown(this));
  }

  /** The text that a notebook shows; the tensor is read for it. */
  async [Symbol.for("Jupyter.display")](): Promise<{ "text/plain": string }> {
    await this.data();
    return { "text/plain": shown(this) };
  }

  /** The value of a tensor of one element; of a bool 0 or 1. */
  async item(): Promise<number> {
    if (this.size !== 1) {
      throw new RangeError(`Cannot read one item of ${this}: expected one element, got ${this.size}`);
    }
    return (await this.data())[0]!;
  }
}

/** Elements in lists of lists. */
export type NestedList = number | boolean | NestedList[];

function nested(values: readonly (number | boolean)[], shape: Shape): NestedList {
  const [n, ...rest] = shape;
  if (n === undefined) return values[0]!;
  const each = size(rest);
  return Array.from({ length: n }, (_, i) => nested(values.slice(i * each, (i + 1) * each), rest));
}
