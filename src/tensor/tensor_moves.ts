import { expectOptions } from "../core/error.ts";
import { expectList } from "../core/shape.ts";
import { gatherAlong, selectAlong } from "./gather.ts";
import * as moves from "./moves.ts";
import { recordPointwise } from "./record.ts";
import { scatterAlong, scatterSlices } from "./scatter.ts";
import type { Tensor } from "./tensor.ts";
import { TensorViews } from "./tensor_views.ts";

/** The methods of tensors that move elements to other places. */
export abstract class TensorMoves extends TensorViews {
  /** A copy in memory of its own. */
  clone(): Tensor {
    return recordPointwise({ op: "operand", index: 0 }, [this]);
  }

  /** Axes in the other direction. */
  flip(this: Tensor, axes: number | readonly number[]): Tensor {
    return moves.flip(this, axes);
  }

  /** Elements moved along axes, those at the end to the front; without axes along the flattened tensor. */
  roll(this: Tensor, shifts: number | readonly number[], axes?: number | readonly number[]): Tensor {
    return moves.roll(this, shifts, axes);
  }

  /**
   * Elements added at the ends of axes as torch's F.pad: `sizes` are before and after the last axis, then
   * those of the one before it, and so on; negative ones cut off. Where it mirrors, less than an axis has;
   * where it repeats the other end, at most as much.
   */
  pad(this: Tensor, sizes: readonly number[], options?: moves.PadOptions): Tensor {
    return moves.pad(this, sizes, options);
  }

  /** Copies of the tensor side by side, `repeats` times along each axis; more repeats than axes add axes in front. */
  repeat(this: Tensor, repeats: readonly number[]): Tensor {
    return moves.repeat(this, repeats);
  }

  /** The same as repeat, where the first axes may be left out. */
  tile(this: Tensor, repeats: readonly number[]): Tensor {
    expectList(repeats, "tile");
    return moves.repeat(this, [...Array(Math.max(0, this.rank - repeats.length)).fill(1), ...repeats]);
  }

  /** Each element `times` times in a row along an axis, or along the flattened tensor. */
  repeatInterleave(this: Tensor, times: number, axis?: number): Tensor {
    return moves.repeatInterleave(this, times, axis);
  }

  /**
   * The elements along an axis by the numbers in `index`, as torch: y[i][j] = x[index[i][j]][j] for axis 0. Negative
   * numbers count from the end; others out of range take the nearest element.
   */
  gather(this: Tensor, axis: number, index: Tensor): Tensor {
    return gatherAlong(this, axis, index);
  }

  /** gather() of tensors that are broadcast but along the axis; without an axis, of the flattened tensor. */
  takeAlongDim(this: Tensor, indices: Tensor, axis?: number): Tensor {
    return moves.takeAlongDim(this, indices, axis);
  }

  /** The slices along an axis by their numbers, which gather() explains. index [M]. */
  indexSelect(this: Tensor, axis: number, index: Tensor): Tensor {
    return selectAlong(this, axis, index);
  }

  /**
   * `src` put in the places along an axis that `index` names, as torch: y[index[i][j]][j] = src[i][j] for axis 0; of
   * several for one place the last. Numbers out of range, and negative ones, are put nowhere.
   */
  scatter(this: Tensor, axis: number, index: Tensor, src: Tensor | number): Tensor {
    return scatterAlong(this, axis, index, src, false);
  }

  /** The same as scatter(), but added to what is there. */
  scatterAdd(this: Tensor, axis: number, index: Tensor, src: Tensor): Tensor {
    return scatterAlong(this, axis, index, src, true);
  }

  /** Slices of `src` put in the places along an axis that `index` names. index [M]. */
  indexCopy(this: Tensor, axis: number, index: Tensor, src: Tensor): Tensor {
    return scatterSlices(this, axis, index, src, false);
  }

  /** Slices of `src`, times alpha, added in the places along an axis that `index` names. index [M]. */
  indexAdd(
    this: Tensor,
    axis: number,
    index: Tensor,
    src: Tensor,
    options: { alpha?: number | undefined } = {},
  ): Tensor {
    expectOptions("add slices", options, ["alpha"]);
    const { alpha = 1 } = options;
    return scatterSlices(this, axis, index, alpha === 1 ? src : src.mul(alpha), true);
  }

  /** A value put in all slices along an axis that `index` names. index [M]. */
  indexFill(this: Tensor, axis: number, index: Tensor, value: number): Tensor {
    return scatterSlices(this, axis, index, value, false);
  }

  /** A copy with `src` in place of what slice() gives; in torch `x[.., start:end:step] = src`. */
  sliceScatter(this: Tensor, src: Tensor, axis = 0, start = 0, end?: number, step = 1): Tensor {
    return moves.sliceScatter(this, src, axis, start, end, step);
  }

  /** A copy with `src` in place of what select() gives; in torch `x[.., index] = src`. */
  selectScatter(this: Tensor, src: Tensor, axis: number, index: number): Tensor {
    return moves.selectScatter(this, src, axis, index);
  }

  /** The tensor with `src` in place of diagonal(). */
  diagonalScatter(this: Tensor, src: Tensor, offset = 0, axis1 = 0, axis2 = 1): Tensor {
    return moves.diagonalScatter(this, src, offset, axis1, axis2);
  }

  /** The elements of matrices up to a diagonal, else 0. */
  tril(this: Tensor, diagonal = 0): Tensor {
    return moves.tril(this, diagonal);
  }

  /** The elements of matrices from a diagonal on, else 0. */
  triu(this: Tensor, diagonal = 0): Tensor {
    return moves.triu(this, diagonal);
  }

  /** A matrix with this vector on a diagonal, else 0; or a matrix's diagonal. */
  diag(this: Tensor, diagonal = 0): Tensor {
    return moves.diag(this, diagonal);
  }

  /** aᵢ · bⱼ. this [N], b [M] → [N, M]. */
  outer(this: Tensor, b: Tensor): Tensor {
    return moves.outer(this, b);
  }
}
