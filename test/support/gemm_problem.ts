import type { DType } from "../../src/core/dtype.ts";
import type { Device } from "../../src/gpu/device.ts";
import type { ConvRows, Gemm, Layout } from "../../src/ops/gemm/problem.ts";
import { Tensor, tensor } from "../../src/tensor/mod.ts";
import { Dice } from "./dice.ts";
import { pack } from "./pack.ts";

/** A product to be checked: sizes as in `Gemm`, and where its operands lie. */
export interface GemmCase {
  readonly m: number;
  readonly n: number;
  readonly k: number;
  readonly batch?: readonly [number, number];
  readonly order?: "nk" | "kn";
  readonly x?: "f32" | "f16";
  readonly w?: DType;
  /** Elements between rows and behind each batch, and in front of the first; none by default. */
  readonly gap?: number;
  readonly offset?: number;
  /** Of one image: m follows from it. */
  readonly conv?: ConvRows & { readonly taps: number };
  readonly gate?: true;
  readonly three?: true;
}

/** How an operand's values are drawn: whole numbers are summed without rounding, in whatever order and type. */
export type Draw = "whole" | "real";

/** A product on the device, and what it gives by plain loops. */
export interface Problem {
  readonly gemm: Gemm;
  /** y by [z, m, n] in double precision. */
  readonly want: Float64Array;
  /** The sum of all terms' magnitudes for each, and for gated products what errors of it are multiplied by. */
  readonly scale: Float64Array;
  /** Numbers that are summed for each. */
  readonly terms: number;
  readonly release: () => void;
}

/** An operand: values wherever the product may look, NaN everywhere else. */
interface Memory {
  readonly tensor: Tensor;
  readonly values: ArrayLike<number>;
  readonly layout: Layout;
  readonly offset: number;
  readonly release?: () => void;
}

/** Makes a problem of a case. */
export async function gemmProblem(device: Device, c: GemmCase, draw: Draw): Promise<Problem> {
  const { m, n, k, batch = [1, 1], order = "nk", conv, gap = 0, offset = 0 } = c;
  const dice = new Dice(m * 7919 + n * 104729 + k);
  const taps = conv?.taps ?? 1;
  const [z0, z1] = c.three ? [1, 3] : batch;
  const rowsOfX = conv ? conv.in_h * conv.in_w : m;
  const x = plain(dice, draw, c.x ?? "f32", {
    z0,
    z1: c.three ? 1 : z1,
    rows: rowsOfX,
    width: k,
    gap,
    offset,
  });
  const wide = order === "kn"
    ? { rows: k * taps, width: n }
    : { rows: n * (c.gate ? 2 : 1), width: k * taps };
  const type = c.w ?? c.x ?? "f32";
  const weights = c.three ? 3 : 1;
  const w: Memory[] = [];
  for (let i = 0; i < weights; i++) {
    const place = {
      z0: conv ? 1 : z0,
      z1: c.three ? 1 : z1,
      ...wide,
      gap: order === "nk" && conv ? 0 : gap,
      offset,
    };
    w.push(
      type === "int8" || type === "int4"
        ? await packed(device, type, place)
        : plain(dice, draw, type as "f32" | "f16", place),
    );
  }
  const bias = Float32Array.from(dice.numbers(2 * n), (v) => draw === "whole" ? Math.round(v) : v);
  const gemm: Gemm = {
    x: x.tensor,
    w: w[0]!.tensor,
    batch: [z0, z1],
    m,
    n,
    k,
    taps,
    xLayout: c.three ? { ...x.layout, z1: 0 } : x.layout,
    wLayout: { ...w[0]!.layout, ...(conv ? { z0: 0 } : {}), ...(c.three ? { z1: 0 } : {}) },
    order,
    conv,
    gate: c.gate && { step: n * w[0]!.layout.row, bias: tensor(bias) },
    others: c.three && w.slice(1).map(({ tensor }) => tensor),
    shape: [z0, z1, m, n],
    layout: [z1 * m * n, m * n, n, 1],
    dtype: "f32",
  };
  const { want, scale } = byLoops(gemm, x, w, c.gate && bias);
  return { gemm, want, scale, terms: k * taps, release: () => w.forEach(({ release }) => release?.()) };
}

interface Place {
  z0: number;
  z1: number;
  rows: number;
  width: number;
  gap: number;
  offset: number;
}

function layoutOf({ z1, rows, width, gap }: Place): Layout {
  const row = width + gap;
  return { row, z1: rows * row + gap, z0: z1 * (rows * row + gap) };
}

function plain(dice: Dice, draw: Draw, dtype: "f32" | "f16", place: Place): Memory {
  const { z0, z1, rows, width, offset } = place;
  const layout = layoutOf(place);
  const memory = new (dtype === "f16" ? Float16Array : Float32Array)(offset + z0 * layout.z0 + 8).fill(NaN);
  for (let z = 0; z < z0 * z1; z++) {
    for (let i = 0; i < rows * width; i++) {
      const at = offset + Math.floor(z / z1) * layout.z0 + z % z1 * layout.z1;
      memory[at + Math.floor(i / width) * layout.row + i % width] = draw === "whole"
        ? dice.int(-2, 2)
        : 2 * dice.next() - 1;
    }
  }
  const whole = tensor(memory);
  const view = new Tensor(whole.device, whole.node, [1], [1], offset);
  return { tensor: view, values: memory, layout, offset };
}

const HALVES = 2; // scales of a block of 64 elements

/** A packed operand: what its words stand for is told by shaders/convert/quantize.wgsl. */
async function packed(device: Device, dtype: "int8" | "int4", place: Place): Promise<Memory> {
  const { z0, z1, rows, width } = place;
  const count = z0 * z1 * rows * width;
  const { weight, [Symbol.dispose]: release } = await pack(device, dtype, [z0 * z1 * rows, width]);
  const { buffer, offset } = weight.node.storage!;
  const perWord = dtype === "int8" ? 4 : 8;
  const blockWords = 64 / perWord + 1;
  const words = new Uint32Array(await device.read(buffer, offset, Math.ceil(count / 64) * blockWords * 4));
  const scales = new Float16Array(words.buffer);
  const values = Float64Array.from({ length: count }, (_, i) => {
    const block = Math.floor(i / 64) * blockWords;
    const scale = scales[(block + blockWords - 1) * HALVES + Math.floor(i % 64 / 32)]!;
    const word = words[block + Math.floor(i % 64 / perWord)]!;
    return dtype === "int8"
      ? (word >>> (i % 4 * 8) << 24 >> 24) / 127 * scale
      : (((word >>> (i % 8 * 4)) & 15) - 8) * scale;
  });
  return { tensor: weight, values, layout: layoutOf({ ...place, gap: 0 }), offset: 0, release };
}

function byLoops(g: Gemm, x: Memory, w: readonly Memory[], bias?: Float32Array) {
  const { batch: [z0, z1], m, n, k, taps = 1, order, conv, xLayout, wLayout } = g;
  const want = new Float64Array(z0 * z1 * m * n);
  const scale = new Float64Array(want.length);
  const sum = (z: number, row: number, column: number): [sum: number, magnitudes: number] => {
    let [total, magnitudes] = [0, 0];
    const [outer, inner] = [Math.floor(z / z1), z % z1];
    const weight = w.length > 1 ? w[z]! : w[0]!;
    for (let tap = 0; tap < taps; tap++) {
      const pixel = conv ? pixelOf(conv, row, tap) : row;
      if (pixel < 0) continue;
      for (let c = 0; c < k; c++) {
        const at = x.offset + outer * xLayout.z0 + inner * xLayout.z1 + pixel * xLayout.row + c;
        const from = weight.offset + outer * wLayout.z0 + inner * wLayout.z1;
        const place = order === "nk"
          ? column * wLayout.row + tap * k + c
          : (tap * k + c) * wLayout.row + column;
        const term = x.values[at]! * weight.values[from + place]!;
        total += term;
        magnitudes += Math.abs(term);
      }
    }
    return [total, magnitudes];
  };
  for (let i = 0; i < want.length; i++) {
    const [z, row, column] = [Math.floor(i / (m * n)), Math.floor(i / n) % m, i % n];
    const [y, size] = sum(z, row, column);
    if (bias) {
      const [gate, gateSize] = sum(z, row, n + column);
      const [hidden, turned] = [y + bias[column]!, gate + bias[n + column]!];
      want[i] = hidden * gelu(turned);
      // d(h · gelu(g)) = gelu(g) dh + h gelu'(g) dg, with |gelu'| below 1.13; and gelu's own error
      scale[i] = Math.abs(turned) * size + 1.13 * Math.abs(hidden) * gateSize + Math.abs(hidden * turned);
    } else {
      want[i] = y;
      scale[i] = size;
    }
  }
  return { want, scale };
}

/** Number of the pixel of the picture that an output pixel sees through a tap; -1 in the padding. */
function pixelOf(conv: ConvRows, row: number, tap: number): number {
  const [up, across] = [Math.floor(row / conv.out_w), row % conv.out_w];
  const y = up * conv.stride_y + Math.floor(tap / conv.kernel_w) * conv.dilation_y - conv.pad_top;
  const x = across * conv.stride_x + tap % conv.kernel_w * conv.dilation_x - conv.pad_left;
  const factor = 1 << conv.upsample;
  if (y < 0 || x < 0 || y >= conv.in_h * factor || x >= conv.in_w * factor) return -1;
  return Math.floor(y / factor) * conv.in_w + Math.floor(x / factor);
}

/** x · Φ(x), by the integral of the normal density from 0 (Simpson's rule). */
export function gelu(x: number): number {
  const steps = 2000;
  let sum = 0;
  for (let i = 0; i <= steps; i++) {
    const t = x * i / steps;
    sum += Math.exp(-t * t / 2) * (i === 0 || i === steps ? 1 : i % 2 ? 4 : 2);
  }
  return x * (0.5 + sum * x / steps / 3 / Math.sqrt(2 * Math.PI));
}
