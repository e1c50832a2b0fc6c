import type { DType } from "../../core/dtype.ts";
import type { Shape } from "../../core/shape.ts";
import type { Tensor } from "../../tensor/mod.ts";

/** Strides of an operand's batch axes and of its rows, in elements. */
export interface Layout {
  readonly z0: number;
  readonly z1: number;
  readonly row: number;
}

/** The geometry of a convolution, by which rows of x are found for its pixels; see gemm/operands/rows_conv.wgsl. */
export interface ConvRows {
  readonly x_image: number;
  readonly in_h: number;
  readonly in_w: number;
  readonly out_h: number;
  readonly out_w: number;
  readonly kernel_w: number;
  readonly stride_y: number;
  readonly stride_x: number;
  readonly dilation_y: number;
  readonly dilation_x: number;
  readonly pad_top: number;
  readonly pad_left: number;
  readonly upsample: number;
}

/** A picture whose channels stand behind those of x; see gemm/operands/rows_conv_two.wgsl. */
export interface Second {
  readonly x: Tensor;
  /** Strides of its images and pixels, in elements. */
  readonly z0: number;
  readonly row: number;
  /** Pieces of k channels of x, and of this one. */
  readonly pieces: readonly [number, number];
}

/** A product y[z, m, n] = Σ x[z, row(m, tap), k] · w[z, n, tap, k]. */
export interface Gemm {
  readonly x: Tensor;
  readonly w: Tensor;
  /** Outer and inner batch. */
  readonly batch: readonly [number, number];
  readonly m: number;
  readonly n: number;
  readonly k: number;
  readonly taps?: number | undefined;
  readonly xLayout: Layout;
  readonly wLayout: Layout;
  /** Which axis of w is contiguous: "nk" for weights, "kn" for the second operand of matmul. */
  readonly order: "nk" | "kn";
  readonly conv?: ConvRows | undefined;
  /** The second of two pictures that are convolved as one; `taps` then counts the pieces of all taps of the kernel. */
  readonly second?: Second | undefined;
  /**
   * Makes (y + bias) · gelu(gate + bias) of two products at once, in the form for GPUs: the gates' weights begin `step`
   * elements behind those of y, their biases behind the n of y.
   */
  readonly gate?: { readonly step: number; readonly bias: Tensor } | undefined;
  /** Weights of a second and a third product with the same x, in the form for GPUs; the inner batch counts them. */
  readonly others?: readonly Tensor[] | undefined;
  readonly shape: Shape;
  readonly dtype?: DType | undefined;
  /** Memory order of the result and strides of [outer, inner, m, n] in it, where it is not dense in that order. */
  readonly layout?: readonly number[] | undefined;
  readonly strides?: readonly [number, number, number, number] | undefined;
}
