import { expectOptions } from "../core/error.ts";
import { axisIndex } from "../core/shape.ts";
import { argReduce } from "./arg_reduce.ts";
import { quantile, type QuantileOptions } from "./quantile.ts";
import { keepdimOf, type ReduceOptions } from "./reduce.ts";
import { scan } from "./scan.ts";
import { type Selected, sorted, sortedIndices } from "./sort.ts";
import type { Tensor } from "./tensor.ts";
import { TensorMoves } from "./tensor_moves.ts";

/** Options of sorts. */
export interface SortOptions {
  /** Largest first. */
  descending?: boolean | undefined;
}

/** Options of `topk`. */
export interface TopkOptions {
  /** False for the smallest. */
  largest?: boolean | undefined;
}

/** The methods of tensors that compare or add up along an axis. NaN is the largest of all numbers, as in torch. */
export abstract class TensorOrder extends TensorMoves {
  /** The elements along an axis in order, with their `indices`; equal ones keep their order. */
  sort(this: Tensor, axis = -1, options: SortOptions = {}): Selected {
    return sorted(this, axis, isDescending(options));
  }

  /** The indices that sort an axis, i32; equal elements keep their order. */
  argsort(this: Tensor, axis = -1, options: SortOptions = {}): Tensor {
    return sortedIndices(this, axis, isDescending(options));
  }

  /** The k largest (or smallest) elements along an axis in order, with their `indices`. */
  topk(this: Tensor, k: number, axis = -1, options: TopkOptions = {}): Selected {
    expectOptions("take the top", options, ["largest"]);
    const n = this.rank === 0 ? 1 : this.shape[axisIndex(axis, this.rank)]!;
    if (!Number.isInteger(k) || k < 0 || k > n) {
      throw new RangeError(`Cannot take the top ${k} of ${this}: expected 0 to ${n} along axis ${axis}`);
    }
    return sorted(this, axis, options.largest ?? true, k);
  }

  /** The index, i32, of the first largest element along an axis, or in row-major order of all. */
  argmax(this: Tensor, axis?: number, options?: ReduceOptions): Tensor {
    return argReduce("argmax", this, axis, keepdimOf(options));
  }

  /** The index, i32, of the first smallest element along an axis, or in row-major order of all; NaN is the smallest here. */
  argmin(this: Tensor, axis?: number, options?: ReduceOptions): Tensor {
    return argReduce("argmin", this, axis, keepdimOf(options));
  }

  /** The sum of the elements up to each along an axis; of bools in i32. */
  cumsum(this: Tensor, axis: number): Tensor {
    return scan("sum", this, axis);
  }

  /** The product of the elements up to each along an axis; of bools in i32. */
  cumprod(this: Tensor, axis: number): Tensor {
    return scan("product", this, axis);
  }

  /**
   * The value below which a share q of the elements lies, along an axis or of all, as torch.quantile: several q make a
   * new first axis, NaN among the elements gives NaN.
   */
  quantile(
    this: Tensor,
    q: number | readonly number[],
    axis?: number,
    options: QuantileOptions = {},
  ): Tensor {
    expectOptions("take a quantile", options, ["keepdim", "interpolation"]);
    return quantile(this, q, axis, options);
  }
}

function isDescending(options: SortOptions): boolean {
  expectOptions("sort", options, ["descending"]);
  return options.descending ?? false;
}
