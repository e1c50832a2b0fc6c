import columnsKn from "../../../shaders/gemm/operands/columns_kn.wgsl" with { type: "text" };
import columnsNk from "../../../shaders/gemm/operands/columns_nk.wgsl" with { type: "text" };
import stage from "../../../shaders/gemm/lib/stage.wgsl" with { type: "text" };
import w8Any from "../../../shaders/gemm/operands/w8_any.wgsl" with { type: "text" };
import w8Int4 from "../../../shaders/gemm/operands/w8_int4.wgsl" with { type: "text" };
import w8Int8 from "../../../shaders/gemm/operands/w8_int8.wgsl" with { type: "text" };
import w8Three from "../../../shaders/gemm/operands/w8_three.wgsl" with { type: "text" };
import w8Vec8 from "../../../shaders/gemm/operands/w8_vec8.wgsl" with { type: "text" };
import x8Any from "../../../shaders/gemm/operands/x8_any.wgsl" with { type: "text" };
import x8TwoVec8 from "../../../shaders/gemm/operands/x8_two_vec8.wgsl" with { type: "text" };
import x8Vec8 from "../../../shaders/gemm/operands/x8_vec8.wgsl" with { type: "text" };
import { type Snippet, snippet } from "../../tensor/mod.ts";
import { multiplesOf, rowsPart } from "./operands.ts";
import type { ConvRows, Gemm } from "./problem.ts";

const X = {
  any: snippet("gemm/operands/x8_any", x8Any),
  vec8: snippet("gemm/operands/x8_vec8", x8Vec8),
  two: snippet("gemm/operands/x8_two_vec8", x8TwoVec8),
};
const COLUMNS = {
  nk: snippet("gemm/operands/columns_nk", columnsNk),
  kn: snippet("gemm/operands/columns_kn", columnsKn),
};
const W = {
  any: snippet("gemm/operands/w8_any", w8Any),
  vec8: snippet("gemm/operands/w8_vec8", w8Vec8),
  three: snippet("gemm/operands/w8_three", w8Three),
  int8: snippet("gemm/operands/w8_int8", w8Int8),
  int4: snippet("gemm/operands/w8_int4", w8Int4),
};
const STAGE = snippet("gemm/lib/stage", stage);

/**
 * The snippets through which the forms in f16 read both operands, `depth` channels at a time, and what to set in them;
 * undefined where an operand is no f16, or laid out otherwise than these read it.
 */
export function eightsOf(
  g: Gemm,
  depth: number,
): { code: Snippet[]; set: Record<string, string | number> } | undefined {
  const { x, k, taps = 1, order, conv, second, xLayout: { z0, z1, row } } = g;
  const weights = weightsPart(g);
  if (x.dtype !== "f16" || !weights) return undefined;
  const whole = multiplesOf(8, k, x.offset, z0, z1, row, conv?.x_image ?? 0);
  return {
    code: [rowsPart(g), COLUMNS[order], X[second ? "two" : whole ? "vec8" : "any"], weights, STAGE],
    set: {
      ...(conv && !second ? { UPSAMPLED: String(conv.upsample > 0) } : {}),
      TILE_K: depth,
      TAPPED: String(taps > 1),
      PADDED: String(conv !== undefined && isPadded(conv, taps / piecesOf(g))),
      RAGGED: String(k % depth > 0),
    },
  };
}

/** The number of pieces into which the channels of a tap are cut. */
function piecesOf({ second }: Gemm): number {
  return second ? second.pieces[0] + second.pieces[1] : 1;
}

/** True where a convolution reads beyond its picture. */
function isPadded(conv: ConvRows, taps: number): boolean {
  const { kernel_w: width, upsample, pad_top, pad_left } = conv;
  const lastY = (conv.out_h - 1) * conv.stride_y + (taps / width - 1) * conv.dilation_y - pad_top;
  const lastX = (conv.out_w - 1) * conv.stride_x + (width - 1) * conv.dilation_x - pad_left;
  return pad_top > 0 || pad_left > 0 || lastY >= conv.in_h << upsample || lastX >= conv.in_w << upsample;
}

function weightsPart({ w, others, k, order, gate, wLayout: { z0, z1, row } }: Gemm): Snippet | undefined {
  const whole = (unit: number) =>
    order === "nk" && multiplesOf(unit, k, w.offset, gate?.step ?? 0, z0, z1, row);
  if (w.dtype === "int8" || w.dtype === "int4") return whole(32) ? W[w.dtype] : undefined;
  if (w.dtype !== "f16") return undefined;
  if (others) return whole(8) ? W.three : undefined;
  return W[whole(8) ? "vec8" : "any"];
}
