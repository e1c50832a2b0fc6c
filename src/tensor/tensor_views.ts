import {
  axisIndex,
  checkShape,
  expectList,
  formatShape,
  reshapeStrides,
  type Shape,
  size,
  type Tuple,
} from "../core/shape.ts";
import { TensorFunctions } from "./tensor_functions.ts";
import { Tensor } from "./tensor.ts";

/** The methods of tensors that look at the same elements otherwise, without a copy but where reshape says so. */
export abstract class TensorViews extends TensorFunctions {
  #view(shape: Shape, strides: readonly number[], offset = this.offset): Tensor {
    checkShape(shape);
    return new Tensor(this.device, this.node, shape, strides, offset);
  }

  /** Number of axes. */
  dim(): number {
    return this.rank;
  }

  /** Number of elements. */
  numel(): number {
    return this.size;
  }

  /**
   * The elements from `start` up to `end` along an axis, every `step`-th of them; negative bounds count from the end. As
   * in torch a step is positive: flip() turns an axis round.
   */
  slice(
    axis: number,
    start = 0,
    end: number = this.shape[axisIndex(axis, this.rank)]!,
    step = 1,
  ): Tensor {
    const at = axisIndex(axis, this.rank);
    if (!Number.isInteger(step) || step < 1) {
      throw new RangeError(
        `Cannot slice ${this} by steps of ${step}: expected a whole step from 1; flip() turns round`,
      );
    }
    if (!Number.isInteger(start) || !(Number.isInteger(end) || end === Infinity)) {
      throw new RangeError(`Cannot slice ${this} from ${start} to ${end}: expected whole bounds`);
    }
    const n = this.shape[at]!;
    const bound = (i: number) => Math.min(n, Math.max(0, i < 0 ? i + n : i));
    const first = bound(start);
    const length = Math.max(0, Math.ceil((bound(end) - first) / step));
    const stride = this.strides[at]!;
    return this.#view(
      this.shape.with(at, length),
      this.strides.with(at, stride * step),
      this.offset + first * stride,
    );
  }

  /** `length` elements from `start` along an axis. */
  narrow(axis: number, start: number, length: number): Tensor {
    const n = this.shape[axisIndex(axis, this.rank)]!;
    const first = start < 0 ? start + n : start;
    if (!(first >= 0 && length >= 0 && first + length <= n)) {
      throw new RangeError(
        `Cannot narrow ${this} to ${length} from ${start} along axis ${axis}: expected to stay within its ${n}`,
      );
    }
    return this.slice(axis, first, first + length);
  }

  /** One slice along an axis, without the axis; a negative index counts from the end. */
  select(axis: number, index: number): Tensor {
    const at = axisIndex(axis, this.rank);
    const n = this.shape[at]!;
    const i = index < 0 ? index + n : index;
    if (!Number.isInteger(i) || i < 0 || i >= n) {
      throw new RangeError(
        `Cannot select ${index} of ${this} along axis ${axis}: expected ${-n} to ${n - 1}`,
      );
    }
    return this.slice(at, i, i + 1).squeeze(at);
  }

  /** All slices along an axis, without the axis. */
  unbind(axis = 0): Tensor[] {
    const n = this.shape[axisIndex(axis, this.rank)]!;
    return Array.from({ length: n }, (_, i) => this.select(axis, i));
  }

  /** Pieces of the given sizes along an axis; with one number, of that size, the last smaller where it does not divide. */
  split(sizes: number | readonly number[], axis = 0): Tensor[] {
    const n = this.shape[axisIndex(axis, this.rank)]!;
    if (typeof sizes === "number") {
      if (!(sizes > 0)) {
        throw new RangeError(`Cannot split ${this} into pieces of ${sizes}: expected a size from 1`);
      }
      const pieces = Math.max(1, Math.ceil(n / sizes));
      return this.split(Array.from({ length: pieces }, (_, i) => Math.min(sizes, n - i * sizes)), axis);
    }
    const total = sizes.reduce((sum, part) => sum + part, 0);
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
    expectList(shape, "reshape");
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

  /** The same as reshape: tensors do not change, so a view cannot be told from a copy. */
  view(this: Tensor, shape: readonly number[]): Tensor {
    return this.reshape(shape);
  }

  /** Axes from `start` to `end` joined into one. */
  flatten(this: Tensor, start = 0, end = -1): Tensor {
    if (this.rank === 0) return this.reshape([1]);
    const [first, last] = [axisIndex(start, this.rank), axisIndex(end, this.rank)];
    if (first > last) {
      throw new RangeError(`Cannot flatten ${this} from axis ${start} to ${end}: expected an order`);
    }
    const joined = size(this.shape.slice(first, last + 1));
    return this.reshape(this.shape.toSpliced(first, last - first + 1, joined));
  }

  /** One axis divided into several; one size may be -1. */
  unflatten(this: Tensor, axis: number, sizes: readonly number[]): Tensor {
    expectList(sizes, "unflatten");
    const at = axisIndex(axis, this.rank);
    const known = sizes.reduce((product, n) => n === -1 ? product : product * n, 1);
    const full = sizes.map((n) => n === -1 ? this.shape[at]! / known : n);
    if (size(full) !== this.shape[at]! || !full.every(Number.isInteger)) {
      throw new RangeError(
        `Cannot unflatten axis ${axis} of ${this} to ${formatShape(sizes)}: expected ${
          this.shape[at]
        } elements`,
      );
    }
    return this.reshape(this.shape.toSpliced(at, 1, ...full));
  }

  /** Axes in another order. */
  permute(axes: readonly number[]): Tensor {
    expectList(axes, "permute");
    const order = axes.map((axis) => axisIndex(axis, this.rank));
    if (new Set(order).size !== this.rank || order.length !== this.rank) {
      throw new RangeError(
        `Cannot permute ${this}: expected each of ${this.rank} axes once, got ${formatShape(axes)}`,
      );
    }
    return this.#view(order.map((axis) => this.shape[axis]!), order.map((axis) => this.strides[axis]!));
  }

  /** Two axes swapped. */
  transpose(a: number, b: number): Tensor {
    const [i, j] = [axisIndex(a, this.rank), axisIndex(b, this.rank)];
    return this.permute(this.shape.map((_, axis) => axis === i ? j : axis === j ? i : axis));
  }

  /** Two axes swapped. */
  swapaxes(a: number, b: number): Tensor {
    return this.transpose(a, b);
  }

  /** A matrix transposed; a tensor of fewer axes as it is. */
  t(this: Tensor): Tensor {
    if (this.rank > 2) {
      throw new RangeError(`Cannot transpose ${this}: expected two axes; use transpose() or mT`);
    }
    return this.rank < 2 ? this : this.transpose(0, 1);
  }

  /** A matrix transposed; of more axes all in reverse order, as in numpy. */
  get T(): Tensor {
    return this.permute(this.shape.map((_, axis) => this.rank - 1 - axis));
  }

  /** The last two axes swapped. */
  get mT(): Tensor {
    return this.transpose(-2, -1);
  }

  /** Axes moved to other places, the rest in their order. */
  movedim(from: number | readonly number[], to: number | readonly number[]): Tensor {
    const places = (axes: number | readonly number[]) =>
      [axes].flat().map((axis) => axisIndex(axis, this.rank));
    const [sources, targets] = [places(from), places(to)];
    if (
      sources.length !== targets.length || [sources, targets].some((axes) => new Set(axes).size < axes.length)
    ) {
      throw new RangeError(`Cannot move axes ${from} of ${this} to ${to}: expected as many, each once`);
    }
    const rest = this.shape.map((_, axis) => axis).filter((axis) => !sources.includes(axis));
    const order = this.shape.map((_, axis) =>
      targets.includes(axis) ? sources[targets.indexOf(axis)]! : rest.shift()!
    );
    return this.permute(order);
  }

  /** A new axis of size 1. */
  unsqueeze(axis: number): Tensor {
    const at = axisIndex(axis, this.rank + 1);
    return this.#view(this.shape.toSpliced(at, 0, 1), this.strides.toSpliced(at, 0, 1));
  }

  /** Without all axes, or without those given, where they have size 1. */
  squeeze(axes?: number | readonly number[]): Tensor {
    const gone = axes === undefined ? undefined : [axes].flat().map((axis) => axisIndex(axis, this.rank));
    const stays = (_: number, i: number) => this.shape[i] !== 1 || (gone !== undefined && !gone.includes(i));
    return this.#view(this.shape.filter(stays), this.strides.filter(stays));
  }

  /** Repeats axes of size 1 without copying; -1 keeps a size. */
  expand(shape: readonly number[]): Tensor {
    expectList(shape, "expand");
    const missing = shape.length - this.rank;
    const full = shape.map((n, axis) => n === -1 && axis >= missing ? this.shape[axis - missing]! : n);
    const fits = full.every((n, axis) => axis < missing || [1, n].includes(this.shape[axis - missing]!));
    if (missing < 0 || !fits) {
      throw new RangeError(`Cannot expand ${this} to ${formatShape(shape)}: only axes of size 1 repeat`);
    }
    const strides = full.map((n, axis) =>
      axis < missing || (this.shape[axis - missing]! === 1 && n !== 1) ? 0 : this.strides[axis - missing]!
    );
    return this.#view(full, strides);
  }

  /** The same as expand. */
  broadcastTo(shape: readonly number[]): Tensor {
    return this.expand(shape);
  }

  /** Repeats axes of size 1 until the shape is another tensor's. */
  expandAs(other: { readonly shape: Shape }): Tensor {
    return this.expand(other.shape);
  }

  /** The elements whose places on two axes differ by `offset`, along a new last axis. */
  diagonal(offset = 0, axis1 = 0, axis2 = 1): Tensor {
    const [i, j] = [axisIndex(axis1, this.rank), axisIndex(axis2, this.rank)];
    if (i === j) {
      throw new RangeError(`Cannot take a diagonal of ${this}: expected two axes, got ${axis1} twice`);
    }
    const [down, right] = [Math.max(0, -offset), Math.max(0, offset)];
    const length = Math.max(0, Math.min(this.shape[i]! - down, this.shape[j]! - right));
    const [si, sj] = [this.strides[i]!, this.strides[j]!];
    const rest = (_: number, axis: number) => axis !== i && axis !== j;
    return this.#view(
      [...this.shape.filter(rest), length],
      [...this.strides.filter(rest), si + sj],
      length > 0 ? this.offset + down * si + right * sj : this.offset,
    );
  }
}
