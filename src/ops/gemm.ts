import broadcast from "../../shaders/gemm_broadcast.wgsl" with { type: "text" };
import activations from "../../shaders/lib/activations.wgsl" with { type: "text" };
import joinGelu from "../../shaders/lib/gemm_join_gelu.wgsl" with { type: "text" };
import joinNone from "../../shaders/lib/gemm_join_none.wgsl" with { type: "text" };
import rowsConv from "../../shaders/lib/gemm_rows_conv.wgsl" with { type: "text" };
import rowsLinear from "../../shaders/lib/gemm_rows_linear.wgsl" with { type: "text" };
import wKnAny from "../../shaders/lib/gemm_w_kn_any.wgsl" with { type: "text" };
import wKnVec4 from "../../shaders/lib/gemm_w_kn_vec4.wgsl" with { type: "text" };
import wNkAny from "../../shaders/lib/gemm_w_nk_any.wgsl" with { type: "text" };
import wNkHalf from "../../shaders/lib/gemm_w_nk_half.wgsl" with { type: "text" };
import wNkPacked from "../../shaders/lib/gemm_w_nk_packed.wgsl" with { type: "text" };
import wNkThree from "../../shaders/lib/gemm_w_nk_three.wgsl" with { type: "text" };
import wNkVec4 from "../../shaders/lib/gemm_w_nk_vec4.wgsl" with { type: "text" };
import xAny from "../../shaders/lib/gemm_x_any.wgsl" with { type: "text" };
import xVec4 from "../../shaders/lib/gemm_x_vec4.wgsl" with { type: "text" };
import unpackInt4 from "../../shaders/lib/unpack_int4.wgsl" with { type: "text" };
import unpackInt8 from "../../shaders/lib/unpack_int8.wgsl" with { type: "text" };
import tiled from "../../shaders/gemm_tiled.wgsl" with { type: "text" };
import { type DType, isPacked } from "../core/dtype.ts";
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
  readonly stride_y: number;
  readonly stride_x: number;
  readonly dilation_y: number;
  readonly dilation_x: number;
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
  readonly taps?: number | undefined;
  readonly xLayout: Layout;
  readonly wLayout: Layout;
  /** Which axis of w is contiguous: "nk" for weights, "kn" for the second operand of matmul. */
  readonly order: "nk" | "kn";
  readonly conv?: ConvRows | undefined;
  /**
   * Makes (y + bias) · gelu(gate + bias) of two products at once, in the form for GPUs: the gates' weights begin `step`
   * elements behind those of y, their biases behind the n of y.
   */
  readonly gate?: { readonly step: number; readonly bias: Tensor };
  /** Weights of a second and a third product with the same x, in the form for GPUs; the inner batch counts them. */
  readonly others?: readonly Tensor[] | undefined;
  readonly shape: Shape;
  readonly dtype?: DType | undefined;
  /** Memory order of the result and strides of [outer, inner, m, n] in it, where it is not dense in that order. */
  readonly layout?: readonly number[] | undefined;
  readonly strides?: readonly [number, number, number, number] | undefined;
}

const part = (name: string, text: string): SourcePart => ({ name: `shaders/${name}.wgsl`, text });

const X = { any: part("lib/gemm_x_any", xAny), vec4: part("lib/gemm_x_vec4", xVec4) };
const W = {
  nk: { any: part("lib/gemm_w_nk_any", wNkAny), vec4: part("lib/gemm_w_nk_vec4", wNkVec4) },
  half: part("lib/gemm_w_nk_half", wNkHalf), // f16 weights, f32 work
  kn: { any: part("lib/gemm_w_kn_any", wKnAny), vec4: part("lib/gemm_w_kn_vec4", wKnVec4) },
};
const PACKED = part("lib/gemm_w_nk_packed", wNkPacked);
const UNPACK = { int8: part("lib/unpack_int8", unpackInt8), int4: part("lib/unpack_int4", unpackInt4) };
const THREE = part("lib/gemm_w_nk_three", wNkThree);
const ROWS = { linear: part("lib/gemm_rows_linear", rowsLinear), conv: part("lib/gemm_rows_conv", rowsConv) };
/** What gemm_tiled does with its sums: nothing, or the gate of two products. */
const JOIN = {
  none: [part("lib/gemm_join_none", joinNone)],
  gelu: [part("lib/activations", activations), part("lib/gemm_join_gelu", joinGelu)],
};

/** The kernel body for an adapter, its tile of rows and columns, and what to set in its text. */
function bodyOf({ software, lanes }: Traits, { m, gate, others }: Gemm): {
  name: string;
  body: SourcePart[];
  tile: [number, number];
  set: Record<string, number>;
} {
  // Mesa's software adapter can be made to report 32 lanes, but then runs 16: broadcasts from the others read 0.
  if (software && (lanes === 8 || lanes === 16) && !gate && !others) {
    const rows = m <= 16 ? 8 : lanes === 8 ? 32 : 16; // the fastest measured; sizes of pictures are multiples of both
    const set = { SG: lanes, ROWS: rows };
    return {
      name: "gemm_broadcast",
      body: [part("gemm_broadcast", broadcast)],
      tile: [rows, 4 * lanes],
      set,
    };
  }
  const body = [...JOIN[gate ? "gelu" : "none"], part("gemm_tiled", tiled)];
  const set = { SETS: gate ? 2 : 1, PARAMS: 3 + (gate ? 1 : 0) + (others?.length ?? 0) };
  return { name: "gemm_tiled", body, tile: [64, 64], set };
}

/** How an operand w is read, and what to set in the text. Throws where a packed one is cut within a group of 32. */
function weightsCode({ x, w, others, n, k, order, wLayout: { z0, z1, row } }: Gemm): {
  code: SourcePart[];
  set: Record<string, string>;
} {
  const set = { W: w.dtype };
  if (isPacked(w.dtype)) {
    if (order === "nk" && multiplesOf(32, k, w.offset, z0, z1, row)) {
      return { code: [PACKED, UNPACK[w.dtype]], set: {} };
    }
    throw new RangeError(`Cannot multiply by ${w}: expected rows of whole groups of 32 elements, got ${k}`);
  }
  if (others) return { code: [THREE], set };
  const halves = order === "nk" && w.dtype === "f16" && x.dtype === "f32";
  const whole = multiplesOf(4, order === "nk" ? k : n, w.offset, z0, z1, row);
  if (halves && whole) return { code: [W.half], set: {} };
  return { code: [W[order][whole ? "vec4" : "any"]], set };
}

function multiplesOf(unit: number, ...numbers: number[]): boolean {
  return numbers.every((number) => number % unit === 0);
}

/** Records a matrix product or, with `conv`, a convolution as one. */
export function gemm(g: Gemm): Tensor {
  const { x, w, m, n, k, taps = 1, batch, xLayout, wLayout, conv, gate, others = [] } = g;
  const [z0, z1] = batch;
  const xWhole = multiplesOf(4, k, x.offset, xLayout.z0, xLayout.z1, xLayout.row, conv?.x_image ?? 0);
  const { name, body, tile, set } = bodyOf(x.device.traits, g);
  const weights = weightsCode(g);
  const tiles = Math.ceil(m / tile[0]) * Math.ceil(n / tile[1]) * z0 * z1;
  return recordKernel(name, {
    inputs: [x, w, ...others, ...(gate ? [gate.bias] : [])],
    shape: g.shape,
    dtype: g.dtype ?? x.dtype,
    layout: g.layout,
    strides: g.strides,
    code: [
      ROWS[conv ? "conv" : "linear"],
      X[xWhole ? "vec4" : "any"],
      ...weights.code,
      ...body,
    ],
    set: { X: x.dtype, ...weights.set, ...(gate ? { B: gate.bias.dtype } : {}), ...set },
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
      w_z0: gate?.step ?? wLayout.z0,
      w_z1: wLayout.z1,
      w_row: wLayout.row,
      ...conv,
    },
    axes: [z0, z1, m, n],
    workgroups: tiles,
    flops: (gate ? 4 : 2) * z0 * z1 * m * n * k * taps,
  });
}
