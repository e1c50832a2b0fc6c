import pixelsText from "../../../shaders/gemm/winograd_pixels.wgsl" with { type: "text" };
import sumsText from "../../../shaders/gemm/winograd_sums.wgsl" with { type: "text" };
import weightsText from "../../../shaders/gemm/winograd_weights.wgsl" with { type: "text" };
import { ELEMENT_MAIN, snippet, type Tensor } from "../../tensor/mod.ts";
import type { Form } from "../cost.ts";
import { broadcast } from "./broadcast.ts";
import { paramsOf, rowsPart, weightsCode, xCode } from "./operands.ts";
import type { Gemm } from "./problem.ts";

const WEIGHTS = snippet("gemm/winograd_weights", weightsText, [ELEMENT_MAIN]);
const PIXELS = snippet("gemm/winograd_pixels", pixelsText, [ELEMENT_MAIN]);
const SUMS = snippet("gemm/winograd_sums", sumsText, [ELEMENT_MAIN]);
/** A stand-in for tensors that passes hand on: all that a form asks of an operand. */
const NUMBERS = { dtype: "f32", offset: 0 } as Tensor;
/** Numbers of what passes read: the kernel's inputs, then the results of passes in front. */
const [X, W, U, V, M] = [0, 1, 2, 3, 4];
/** Numbers for each pair of channels, or each channel of a tile of 2 × 2 pixels. */
const POINTS = 16;
/** The cost of each number of U, V and M, in multiply-adds: measured, and some more, as caches may be busy otherwise. */
const COST = { u: 20, v: 25, m: 12 };
/**
 * Factor on the expected time, so that it is taken only for a clear gain: it takes memory, and its last bits
 * are others.
 */
const MARGIN = 1.2;
/** Bytes of the largest of them: what every adapter binds at once, and more would be missing elsewhere. */
const MOST = 2 ** 27;

/**
 * For convolutions of 3 × 3 with a stride of 1 on software adapters: Winograd's F(2×2, 3×3), which multiplies 16 numbers
 * where the plain sum has 36 (Lavin & Gray 2015, https://arxiv.org/abs/1509.09308). Weights are transformed in every run,
 * as they would take 16/9 of their memory, of f16 twice that, for good.
 */
export const winograd: Form<Gemm> = (traits, g) => {
  const { n, k, batch: [z0], conv } = g;
  if (!traits.software || !conv || !isFit(g)) return [];
  const [quadsIn, quadsOut] = [Math.ceil(k / 4), Math.ceil(n / 4)];
  const [inputs, outputs] = [4 * quadsIn, 4 * quadsOut];
  const tiles = z0 * Math.ceil(conv.out_h / 2) * Math.ceil(conv.out_w / 2);
  const counts = { u: POINTS * inputs * outputs, v: POINTS * tiles * inputs, m: POINTS * tiles * outputs };
  if (4 * Math.max(counts.u, counts.v, counts.m) > MOST) return [];
  const [product] = broadcast(traits, {
    x: NUMBERS,
    w: NUMBERS,
    batch: [POINTS, 1],
    m: tiles,
    n: outputs,
    k: inputs,
    xLayout: { z0: tiles * inputs, z1: 0, row: inputs },
    wLayout: { z0: inputs * outputs, z1: 0, row: inputs },
    order: "nk",
    shape: [POINTS, tiles, outputs],
  });
  if (!product) return [];
  const [rows, pixels, weights] = [rowsPart(g), xCode(g), weightsCode(g)];
  const first = { dtype: "f32", width: 4, params: paramsOf(g) } as const;
  return [{
    candidate: {
      name: "winograd",
      code: [SUMS],
      set: {},
      params: { z: z0, quads: quadsOut, out_h: conv.out_h, out_w: conv.out_w },
      width: 4,
      workgroups: Math.ceil(tiles * quadsOut / 64),
      reads: [M],
      before: [{
        ...first,
        name: "winograd_weights",
        code: [rows, ...weights.code, WEIGHTS],
        set: weights.set,
        workgroups: Math.ceil(quadsIn * quadsOut / 64),
        reads: [W],
        axes: [POINTS, 1, outputs, inputs],
      }, {
        ...first,
        name: "winograd_pixels",
        code: [rows, ...pixels.code, PIXELS],
        set: pixels.set,
        workgroups: Math.ceil(tiles * quadsIn / 64),
        reads: [X],
        axes: [POINTS, 1, tiles, inputs],
      }, {
        ...product.candidate,
        reads: [V, U],
        dtype: "f32",
        axes: [POINTS, 1, tiles, outputs],
        flops: 2 * 9 * z0 * g.m * n * k, // of the plain sum, so that speeds can be compared
      }],
    },
    cost: MARGIN *
      (product.cost +
        (COST.u * counts.u + COST.v * counts.v + COST.m * counts.m) / traits.multiprocessors),
  }];
};

function isFit({ taps, conv, batch: [z0, z1], m, order, second, wLayout }: Gemm): boolean {
  return conv !== undefined && taps === 9 && conv.kernel_w === 3 && !second && order === "nk" &&
    conv.stride_y === 1 && conv.stride_x === 1 && conv.dilation_y === 1 && conv.dilation_x === 1 &&
    m === conv.out_h * conv.out_w && z1 === 1 && (z0 === 1 || wLayout.z0 === 0);
}
