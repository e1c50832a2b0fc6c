import {
  axisIndex,
  checkShape,
  formatShape,
  reshapeStrides,
  type Shape,
  size,
  type Tuple,
} from "../core/shape.ts";
import { TensorArithmetic } from "./arithmetic.ts";
import { Tensor } from "./tensor.ts";

/** The methods of tensors that only look at the same elements otherwise. */
export abstract class TensorViews extends TensorArithmetic {
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
  reshape(this: Tensor, shape: readonly number[]): Tensor {
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
}
