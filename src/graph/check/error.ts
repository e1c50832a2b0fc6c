import type { DType } from "../../core/dtype.ts";
import type { Shape } from "../../core/shape.ts";

/** The numbers of a tensor in short. */
export interface ValueRange {
  /** The smallest finite one; NaN where none is. */
  readonly min: number;
  /** The largest finite one; NaN where none is. */
  readonly max: number;
  /** Number of NaN. */
  readonly nan: number;
  /** Number of +infinity. */
  readonly inf: number;
  /** Number of -infinity. */
  readonly negativeInf: number;
  /** Place in memory of the first that is not finite, in elements; -1 where all are. */
  readonly first: number;
}

/** A tensor that a dispatch reads. */
export interface CheckedInput extends ValueRange {
  /** Variable of the shader that reads it, e.g. "x", "w"; operands of what is fused are x0, x1, …. */
  readonly name: string;
  /**
   * A weight of a model; an input of a model's call; a tensor of the script; a result of an earlier dispatch.
   */
  readonly kind: "weight" | "input" | "tensor" | "result";
  /**
   * A weight's key, an input's name, of results the module path or kernel that made it; "" for tensors of the
   * script.
   */
  readonly source: string;
  /** Element type. */
  readonly dtype: DType;
  /** Its own shape, or where that is not known the shape as which the dispatch reads it. */
  readonly shape: Shape;
  /** The first element that is not finite: one coordinate for each axis of `shape`. */
  readonly index: readonly number[] | undefined;
}

/** Origin of a number that is not finite. */
export interface NonFiniteCause {
  /**
   * "f16 overflow": all is finite, but the result is beyond 65504, the largest f16. "made here": of finite
   * inputs, as 0 / 0 or beyond the largest f32. "came in": an input has it.
   */
  readonly kind: "f16 overflow" | "made here" | "came in";
  /** The same in words, e.g. "0 / 0". */
  readonly text: string;
  /** A way out, in words. */
  readonly advice: string;
  /** For an overflow of f16: the largest magnitude in the result before it was rounded. */
  readonly largest?: number | undefined;
}

/** All that is known of the first dispatch whose result is not finite. */
export interface NonFiniteReport {
  /** Class of the model; "" outside models. */
  readonly model: string;
  /** Module path. */
  readonly path: string;
  /** Kernel name. */
  readonly kernel: string;
  /** Module paths of all that the dispatch computes, the kernel's and those of what is fused into it. */
  readonly paths: readonly string[];
  /** Fused operations, as a formula of v, the kernel's own value, and x0, x1, …; "" where there are none. */
  readonly fused: string;
  /** Element type of the result. */
  readonly dtype: DType;
  /** Shape of the result. */
  readonly shape: Shape;
  /** The first element that is not finite. */
  readonly index: readonly number[];
  /** Its value: NaN, Infinity or -Infinity. */
  readonly value: number;
  /** The numbers of the result. */
  readonly result: ValueRange;
  /** Inputs of the dispatch, in the order of its bindings. */
  readonly inputs: readonly CheckedInput[];
  /** Origin of the number. */
  readonly cause: NonFiniteCause;
  /** Name of the stretch in which it was recorded, see `device.mark`; "" outside stretches. */
  readonly mark: string;
  /** Number of that stretch, from 1 for the device's first; 0 outside. */
  readonly turn: number;
  /** Number of the dispatch, from 1, in its model's run or among those that a flush submits. */
  readonly dispatch: number;
  /** Number of these. */
  readonly dispatches: number;
}

/** A dispatch computed NaN or infinity, on a device that was opened with `check: "finite"`. */
export class NonFiniteError extends Error {
  /** Stands before the message where the error is printed. */
  override name = "NonFiniteError";

  /** All that is known, in numbers. */
  constructor(message: string, readonly report: NonFiniteReport) {
    super(message);
  }
}
