import convParams from "../../../shaders/gemm/operands/conv_params.wgsl" with { type: "text" };
import rowsConv from "../../../shaders/gemm/operands/rows_conv.wgsl" with { type: "text" };
import rowsConvTwo from "../../../shaders/gemm/operands/rows_conv_two.wgsl" with { type: "text" };
import rowsLinear from "../../../shaders/gemm/operands/rows_linear.wgsl" with { type: "text" };
import wKnAny from "../../../shaders/gemm/operands/w_kn_any.wgsl" with { type: "text" };
import wKnVec4 from "../../../shaders/gemm/operands/w_kn_vec4.wgsl" with { type: "text" };
import wNkAny from "../../../shaders/gemm/operands/w_nk_any.wgsl" with { type: "text" };
import wNkHalf from "../../../shaders/gemm/operands/w_nk_half.wgsl" with { type: "text" };
import wNkPacked from "../../../shaders/gemm/operands/w_nk_packed.wgsl" with { type: "text" };
import wNkThree from "../../../shaders/gemm/operands/w_nk_three.wgsl" with { type: "text" };
import wNkVec4 from "../../../shaders/gemm/operands/w_nk_vec4.wgsl" with { type: "text" };
import xAny from "../../../shaders/gemm/operands/x_any.wgsl" with { type: "text" };
import xTwoVec4 from "../../../shaders/gemm/operands/x_two_vec4.wgsl" with { type: "text" };
import xVec4 from "../../../shaders/gemm/operands/x_vec4.wgsl" with { type: "text" };
import unpackInt4 from "../../../shaders/gemm/operands/unpack_int4.wgsl" with { type: "text" };
import unpackInt8 from "../../../shaders/gemm/operands/unpack_int8.wgsl" with { type: "text" };
import { bytesOf, isPacked } from "../../core/dtype.ts";
import { type Snippet, snippet, type Tensor } from "../../tensor/mod.ts";
import type { Gemm, Second } from "./problem.ts";

const X = {
  any: snippet("gemm/operands/x_any", xAny),
  vec4: snippet("gemm/operands/x_vec4", xVec4),
  two: snippet("gemm/operands/x_two_vec4", xTwoVec4),
};
const W = {
  nk: { any: snippet("gemm/operands/w_nk_any", wNkAny), vec4: snippet("gemm/operands/w_nk_vec4", wNkVec4) },
  half: snippet("gemm/operands/w_nk_half", wNkHalf), // f16 weights, f32 work
  kn: { any: snippet("gemm/operands/w_kn_any", wKnAny), vec4: snippet("gemm/operands/w_kn_vec4", wKnVec4) },
};
const PACKED = snippet("gemm/operands/w_nk_packed", wNkPacked);
const UNPACK = {
  int8: snippet("gemm/operands/unpack_int8", unpackInt8),
  int4: snippet("gemm/operands/unpack_int4", unpackInt4),
};
const THREE = snippet("gemm/operands/w_nk_three", wNkThree);
const CONV_PARAMS = snippet("gemm/operands/conv_params", convParams);
const ROWS = {
  linear: snippet("gemm/operands/rows_linear", rowsLinear),
  conv: snippet("gemm/operands/rows_conv", rowsConv, [CONV_PARAMS]),
  two: snippet("gemm/operands/rows_conv_two", rowsConvTwo, [CONV_PARAMS]),
};

/** The snippet that finds rows of x. */
export const rowsPart = ({ conv, second }: Gemm): Snippet => ROWS[second ? "two" : conv ? "conv" : "linear"];

/** The tensors that a product's kernels read, in order. */
export function inputsOf({ x, second, w, others = [], gate }: Gemm): Tensor[] {
  return [x, ...(second ? [second.x] : []), w, ...others, ...(gate ? [gate.bias] : [])];
}

/** Snippets that read an operand, and what to set in them. */
export interface OperandCode {
  /** In the order in which what they read is bound. */
  readonly code: readonly Snippet[];
  /** Types of elements. */
  readonly set: Readonly<Record<string, string>>;
}

/**
 * The snippets through which the forms in f32 read both operands (row_start, fetch_x, fetch_w, …), and what
 * to set in them.
 */
export function operandsOf(g: Gemm): OperandCode {
  const [pixels, weights] = [xCode(g), weightsCode(g)];
  return {
    code: [rowsPart(g), ...pixels.code, ...weights.code],
    set: { ...pixels.set, ...weights.set },
  };
}

/** The snippet that reads the operand x, to stand behind that of its rows, and its settings. */
export function xCode({ x, k, xLayout: { z0, z1, row }, conv, second }: Gemm): OperandCode {
  const whole = multiplesOf(4, k, x.offset, z0, z1, row, conv?.x_image ?? 0);
  return { code: [X[second ? "two" : whole ? "vec4" : "any"]], set: { X: x.dtype } };
}

/** The snippets that read the operand w, and their settings. Throws where a packed one is cut within a group of 32. */
export function weightsCode({ x, w, others, n, k, order, wLayout: { z0, z1, row } }: Gemm): OperandCode {
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

/** True where all numbers are multiples of `unit`. */
export function multiplesOf(unit: number, ...numbers: number[]): boolean {
  return numbers.every((number) => number % unit === 0);
}

/** Bytes of a product's weights, which every form reads at least once. */
export function weightBytes({ w, batch: [z0, z1], n, k, taps = 1, wLayout }: Gemm): number {
  return (wLayout.z0 ? z0 : 1) * z1 * n * k * taps * bytesOf(w.dtype);
}

/** The members of `struct Params` that all forms have: see gemm/operands/rows_*. */
export function paramsOf(
  { x, w, batch: [z0, z1], m, n, k, taps = 1, xLayout, wLayout, conv, second, gate }: Gemm,
): Record<string, number> {
  return {
    z: z0 * z1,
    z1,
    m,
    n,
    k,
    taps,
    parts: 1,
    x_offset: x.offset,
    x_z0: xLayout.z0,
    x_z1: xLayout.z1,
    x_row: xLayout.row,
    w_offset: w.offset,
    w_z0: gate?.step ?? wLayout.z0,
    w_z1: wLayout.z1,
    w_row: wLayout.row,
    ...conv && { ...conv, ...second ? secondParams(x, second) : ONE_PICTURE },
  };
}

/** The same members as those of `secondParams`, for one picture: shaders read none of them. */
const ONE_PICTURE = { pieces: 1, pieces_x: 1, seam: 0, x1_offset: 0, x1_z0: 0, x1_row: 0 };

function secondParams(x: Tensor, second: Second): Record<string, number> {
  const seam = seamOf(x);
  return {
    pieces: second.pieces[0] + second.pieces[1],
    pieces_x: second.pieces[0],
    seam,
    x1_offset: seam + second.x.offset,
    x1_z0: second.z0,
    x1_row: second.row,
  };
}

/** The index at which a second picture begins, where one space of indices spans both: behind the first. */
export function seamOf(x: Tensor): number {
  return Math.ceil(x.node.count / 8) * 8;
}
