import broadcast from "../../shaders/gemm_broadcast.wgsl" with { type: "text" };
import rowsConv from "../../shaders/lib/gemm_rows_conv.wgsl" with { type: "text" };
import rowsLinear from "../../shaders/lib/gemm_rows_linear.wgsl" with { type: "text" };
import wKnAny from "../../shaders/lib/gemm_w_kn_any.wgsl" with { type: "text" };
import wKnVec4 from "../../shaders/lib/gemm_w_kn_vec4.wgsl" with { type: "text" };
import wNkAny from "../../shaders/lib/gemm_w_nk_any.wgsl" with { type: "text" };
import wNkHalf from "../../shaders/lib/gemm_w_nk_half.wgsl" with { type: "text" };
import wNkVec4 from "../../shaders/lib/gemm_w_nk_vec4.wgsl" with { type: "text" };
import xAny from "../../shaders/lib/gemm_x_any.wgsl" with { type: "text" };
import xVec4 from "../../shaders/lib/gemm_x_vec4.wgsl" with { type: "text" };
import tiled from "../../shaders/gemm_tiled.wgsl" with { type: "text" };
import type { DType } from "../core/dtype.ts";
import type { Shape } from "../core/shape.ts";
import type { SourcePart } from "../gpu/pipelines.ts";
import type { Traits } from "../gpu/device.ts";
import { recordKernel, type Tensor } from "../tensor/mod.ts";

/** Where an operand's elements lie: strides of both batch axes and of its rows, in elements. */
export interface Layout {
  readonly z0: number;
  readonly z1: number;
  readonly row: number;
}

/** How rows of x belong to pixels of a convolution; see lib/gemm_rows_conv.wgsl. */
export interface ConvRows {
  readonly x_image: number;
  readonly in_h: number;
  readonly in_w: number;
  readonly out_h: number;
  readonly out_w: number;
  readonly kernel_w: number;
  readonly stride: number;
  readonly pad_top: number;
  readonly pad_left: number;
  readonly upsample: number;
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
  readonly taps?: number;
  readonly xLayout: Layout;
  readonly wLayout: Layout;
  /** Which axis of w is contiguous: "nk" for weights, "kn" for the second operand of matmul. */
  readonly order: "nk" | "kn";
  readonly conv?: ConvRows;
  readonly shape: Shape;
  readonly dtype?: DType;
  /** Memory order of the result and strides of [outer, inner, m, n] in it, where it is not dense in that order. */
  readonly layout?: readonly number[];
  readonly strides?: readonly [number, number, number, number];
}

const part = (name: string, text: string): SourcePart => ({ name: `shaders/${name}.wgsl`, text });

const X = { any: part("lib/gemm_x_any", xAny), vec4: part("lib/gemm_x_vec4", xVec4) };
const W = {
  nk: { any: part("lib/gemm_w_nk_any", wNkAny), vec4: part("lib/gemm_w_nk_vec4", wNkVec4) },
  half: { any: part("lib/gemm_w_nk_any", wNkAny), vec4: part("lib/gemm_w_nk_half", wNkHalf) }, // f16 weights, f32 work
  kn: { any: part("lib/gemm_w_kn_any", wKnAny), vec4: part("lib/gemm_w_kn_vec4", wKnVec4) },
};
const ROWS = { linear: part("lib/gemm_rows_linear", rowsLinear), conv: part("lib/gemm_rows_conv", rowsConv) };

/** The kernel body for an adapter, its tile of rows and columns, and what to set in its text. */
function bodyOf({ software, lanes }: Traits, m: number): {
  name: string;
  body: SourcePart;
  tile: [number, number];
  set: Record<string, number>;
} {
  // Mesa's software adapter can be made to report 32 lanes, but then runs 16: broadcasts from the others read 0.
  if (software && (lanes === 8 || lanes === 16)) {
    const rows = m <= 16 ? 8 : lanes === 8 ? 32 : 16; // the fastest measured; sizes of pictures are multiples of both
    const set = { SG: lanes, ROWS: rows };
    return { name: "gemm_broadcast", body: part("gemm_broadcast", broadcast), tile: [rows, 4 * lanes], set };
  }
  return { name: "gemm_tiled", body: part("gemm_tiled", tiled), tile: [64, 64], set: {} };
}

/** Records a matrix product or, with `conv`, a convolution as one. */
export function gemm(g: Gemm): Tensor {
  const { x, w, m, n, k, taps = 1, batch, xLayout, wLayout, conv } = g;
  const [z0, z1] = batch;
  const whole = (...numbers: number[]) => numbers.every((number) => number % 4 === 0);
  const xWhole = whole(k, x.offset, xLayout.z0, xLayout.z1, xLayout.row, conv?.x_image ?? 0);
  const wInner = g.order === "nk" ? k : n;
  const wWhole = whole(wInner, w.offset, wLayout.z0, wLayout.z1, wLayout.row);
  const halves = g.order === "nk" && w.dtype === "f16" && x.dtype === "f32";
  const { name, body, tile, set } = bodyOf(x.device.traits, m);
  const tiles = Math.ceil(m / tile[0]) * Math.ceil(n / tile[1]) * z0 * z1;
  return recordKernel(name, {
    inputs: [x, w],
    shape: g.shape,
    dtype: g.dtype ?? x.dtype,
    layout: g.layout,
    strides: g.strides,
    code: [
      ROWS[conv ? "conv" : "linear"],
      X[xWhole ? "vec4" : "any"],
      W[halves ? "half" : g.order][wWhole ? "vec4" : "any"],
      body,
    ],
    set: { X: x.dtype, W: w.dtype, ...set },
    params: {
      z: z0 * z1,
      z1,
      m,
      n,
      k,
      taps,
      x_offset: x.offset,
      x_z0: xLayout.z0,
      x_z1: xLayout.z1,
      x_row: xLayout.row,
      w_offset: w.offset,
      w_z0: wLayout.z0,
      w_z1: wLayout.z1,
      w_row: wLayout.row,
      ...conv,
    },
    axes: [z0, z1, m, n],
    workgroups: tiles,
    flops: 2 * z0 * z1 * m * n * k * taps,
  });
}
