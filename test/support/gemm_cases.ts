import type { Shape } from "../../src/core/shape.ts";
import { conv2d, type Conv2dOptions, linear, matmul } from "../../src/ops/mod.ts";
import { cat, type Tensor, tensor } from "../../src/tensor/mod.ts";
import { Dice } from "./dice.ts";
import { Nd } from "./nd.ts";
import { assertTensor } from "./tensors.ts";

/** A type of operands, and how far results may be from plain loops over the same operands, of the largest. */
export interface Operands {
  readonly dtype: "f32" | "f16";
  readonly bound: number;
}

/** Sums in f32, in any order. */
export const F32: Operands = { dtype: "f32", bound: 2e-6 };
/**
 * Sums in f32, rounded to f16 by 2^-11 at most; where a bias, at most 2 in size, is added behind a change of layout, rounded
 * before and after. As all cases have results beyond 2, that is at most 2^-11 · (1 + (largest + 2) / largest).
 */
export const F16: Operands = { dtype: "f16", bound: 3 * 2 ** -11 + F32.bound };

/** a [.., M, K] times b [.., K, N], batches broadcast. */
export function product(a: Nd, b: Nd): Nd {
  const [M, K] = a.shape.slice(-2) as [number, number];
  const N = b.shape.at(-1)!;
  const batch = a.shape.length > b.shape.length ? a.shape.slice(0, -2) : b.shape.slice(0, -2);
  const full = batch.map((n, i) => Math.max(n, a.shape[i - batch.length + a.shape.length - 2] ?? 1));
  return Nd.from([...full, M, N], (place) => {
    const [m, n] = place.slice(-2) as [number, number];
    let sum = 0;
    for (let k = 0; k < K; k++) {
      sum += a.at([...place.slice(0, -2), m, k]) * b.at([...place.slice(0, -2), k, n]);
    }
    return sum;
  });
}

/** conv2d of x [B, C, H, W] by plain loops. */
export function convolution(
  x: Nd,
  weight: Nd,
  bias: Nd,
  { stride = 1, padding = 0, dilation = 1, groups = 1, upsample = 1 }: Conv2dOptions,
): Nd {
  const [left, right, top, bottom] =
    (typeof padding === "number" ? Array(4).fill(padding) : padding) as number[];
  const pair = (value: number | readonly number[]) => [value, value].flat() as [number, number];
  const [[sy, sx], [dy, dx]] = [pair(stride), pair(dilation)];
  const [B, H, W] = [x.shape[0], x.shape[2]! * upsample, x.shape[3]! * upsample] as [
    number,
    number,
    number,
  ];
  const [O, inputs, kh, kw] = weight.shape as Shape<4>;
  const outH = Math.floor((H + top! + bottom! - dy * (kh - 1) - 1) / sy) + 1;
  const outW = Math.floor((W + left! + right! - dx * (kw - 1) - 1) / sx) + 1;
  return Nd.from([B, O, outH, outW], ([b, o, y, z]) => {
    let sum = bias.at([o!]);
    for (let i = 0; i < kh; i++) {
      for (let j = 0; j < kw; j++) {
        const [row, column] = [y! * sy + i * dy - top!, z! * sx + j * dx - left!];
        if (row < 0 || column < 0 || row >= H || column >= W) continue;
        const [r, s] = [Math.floor(row / upsample), Math.floor(column / upsample)];
        const first = Math.floor(o! / (O / groups)) * inputs;
        for (let c = 0; c < inputs; c++) sum += x.at([b!, first + c, r, s]) * weight.at([o!, c, i, j]);
      }
    }
    return sum;
  });
}

async function products(operands: Operands, sizes: [M: number, K: number, N: number][]): Promise<void> {
  const dice = new Dice(50);
  for (const [M, K, N] of sizes) {
    const [a, ta] = both(Nd.random(dice, [M, K]), operands);
    const [b, tb] = both(Nd.random(dice, [K, N]), operands);
    await assertTensor(matmul(ta, tb), product(a, b), operands.bound, `[${M}, ${K}] × [${K}, ${N}]`);
  }
}

/** Values that a type holds, on the host and on the GPU. */
function both(nd: Nd, { dtype }: Operands): [Nd, Tensor] {
  const held = dtype === "f16" ? new Nd(nd.shape, Float16Array.from(nd.data)) : nd;
  return [held, tensor(Float32Array.from(held.data), held.shape, { dtype })];
}

function largest({ data }: Nd): number {
  return Math.max(...Array.from(data, Math.abs));
}

/** Products and convolutions of odd sizes against plain loops: they meet every tile and every loader. */
export const GEMM_CASES: Record<string, (operands?: Operands) => Promise<void>> = {
  "matmul() of odd sizes beyond a tile": (operands = F32) =>
    products(operands, [[17, 12, 33], [25, 6, 36], [70, 5, 67]]),
  "matmul() of odd sizes within a tile": (operands = F32) =>
    products(operands, [[1, 3, 5], [7, 1, 9], [13, 8, 4]]),
  "matmul() of batches that broadcast, transposed and sliced": async (operands = F32) => {
    const dice = new Dice(51);
    const [a, ta] = both(Nd.random(dice, [2, 1, 5, 6]), operands);
    const [b, tb] = both(Nd.random(dice, [3, 7, 6]), operands);
    const turned = b.permute([0, 2, 1]);
    await assertTensor(
      matmul(ta, tb.permute([0, 2, 1])),
      product(a.expand([2, 3, 5, 6]), turned),
      operands.bound,
      "transposed b",
    );
    const [c, tc] = both(Nd.random(dice, [6, 9]), operands);
    const [left, tleft] = [c.permute([1, 0]).slice(0, 1, 8), tc.permute([1, 0]).slice(0, 1, 8)];
    const part = c.slice(1, 2, 9);
    await assertTensor(
      matmul(tleft, tc.slice(1, 2, 9)),
      product(left, part),
      operands.bound,
      "transposed and sliced",
    );
    await assertTensor(matmul(ta, tc), product(a, c), operands.bound, "one b for a whole batch");
  },
  "linear() on rows with strides, and with a transposed weight": async (operands = F32) => {
    const dice = new Dice(52);
    const [x, tx] = both(Nd.random(dice, [3, 4, 10]), operands);
    const [w, tw] = both(Nd.random(dice, [7, 5]), operands);
    const [bias, tbias] = both(Nd.random(dice, [7]), operands);
    const want = (x: Nd, w: Nd) => product(x, w.permute([1, 0])).zip(bias, (a, b) => a + b);
    const weights = { weight: tw, bias: tbias };
    await assertTensor(
      linear(tx.slice(2, 3, 8), weights),
      want(x.slice(2, 3, 8), w),
      operands.bound,
      "sliced",
    );
    const turned = tx.slice(2, 0, 5).permute([1, 0, 2]);
    await assertTensor(
      linear(turned, weights),
      want(x.slice(2, 0, 5).permute([1, 0, 2]), w),
      operands.bound,
      "permuted",
    );
    const [v, tv] = both(Nd.random(dice, [5, 7]), operands);
    const flipped = { weight: tv.permute([1, 0]), bias: tbias };
    await assertTensor(
      linear(tx.slice(2, 0, 5), flipped),
      want(x.slice(2, 0, 5), v.permute([1, 0])),
      operands.bound,
      "weight",
    );
  },
  "conv2d() of several kernels, strides, paddings and sizes": async (operands = F32) => {
    const dice = new Dice(53);
    const cases: [number[], number[], Conv2dOptions][] = [
      [[1, 3, 7, 5], [5, 3, 5, 5], { padding: 2 }],
      [[2, 4, 6, 7], [6, 4, 3, 3], { padding: [0, 1, 0, 1], stride: 2 }],
      [[1, 3, 4, 6], [2, 3, 1, 3], { padding: [2, 0, 1, 3] }],
      [[2, 5, 9, 8], [3, 5, 2, 3], { stride: 3 }],
      [[1, 4, 3, 5], [9, 4, 3, 3], { padding: 1, upsample: 2 }],
      [[2, 8, 5, 6], [33, 8, 1, 1], {}],
      [[1, 3, 9, 7], [4, 3, 3, 2], { stride: [2, 1], dilation: [1, 3], padding: [1, 0, 2, 1] }],
      [[2, 8, 6, 5], [12, 4, 3, 3], { groups: 2, padding: 2, dilation: 2 }],
      [[1, 12, 5, 5], [12, 1, 3, 3], { groups: 12, padding: 1 }],
      [[1, 40, 5, 4], [10, 40, 3, 3], { padding: 1 }],
      [[1, 32, 5, 4], [7, 32, 3, 3], {}],
      [[1, 32, 4, 5], [7, 32, 3, 3], { padding: [0, 1, 0, 1], stride: 2 }],
    ];
    for (const [shape, kernel, options] of cases) {
      const [x, tx] = both(Nd.random(dice, shape), operands);
      const [w, tw] = both(Nd.random(dice, kernel), operands);
      const [bias, tbias] = both(Nd.random(dice, [kernel[0]!]), operands);
      const y = conv2d(tx, { weight: tw, bias: tbias }, options);
      await assertTensor(
        y,
        convolution(x, w, bias, options),
        operands.bound,
        `[${shape}] by [${kernel}] ${JSON.stringify(options)}`,
      );
    }
  },
  "conv2d() of two pictures side by side, which are read where they lie": async (operands = F32) => {
    const dice = new Dice(56);
    const cases: [first: number[], channels: number, kernel: number[], Conv2dOptions][] = [
      [[2, 32, 5, 6], 64, [7, 96, 1, 1], {}],
      [[1, 64, 4, 5], 32, [9, 96, 3, 3], { padding: 1 }],
      [[2, 96, 7, 4], 32, [4, 128, 3, 2], { padding: [2, 0, 1, 1], stride: [2, 1], dilation: [1, 2] }],
      [[1, 32, 3, 4], 32, [6, 64, 3, 3], { padding: 1, upsample: 2 }],
      [[1, 64, 1, 1], 64, [40, 128, 1, 1], {}],
      [[1, 6, 3, 4], 10, [5, 16, 3, 3], { padding: 1 }], // no whole pieces: joined first
    ];
    for (const [shape, channels, kernel, options] of cases) {
      const [x, tx] = both(Nd.random(dice, shape), operands);
      const [x1, tx1] = both(Nd.random(dice, shape.with(1, channels)), operands);
      const [w, tw] = both(Nd.random(dice, kernel), operands);
      const [bias, tbias] = both(Nd.random(dice, [kernel[0]!]), operands);
      const y = conv2d(cat([tx, tx1], 1), { weight: tw, bias: tbias }, options);
      const joined = Nd.from(
        shape.with(1, kernel[1]!),
        ([b, c, ...place]) =>
          c! < shape[1]! ? x.at([b!, c!, ...place]) : x1.at([b!, c! - shape[1]!, ...place]),
      );
      const want = convolution(joined, w, bias, options);
      await assertTensor(y, want, operands.bound, `[${shape}] and ${channels} channels by [${kernel}]`);
    }
  },
  "conv2d() of single rows and columns that a convolution made": async (operands = F32) => {
    const dice = new Dice(55);
    const [w, weight] = both(Nd.random(dice, [5, 5, 3, 3]), operands);
    const none = new Nd([5], [0, 0, 0, 0, 0]);
    for (const sides of [[3, 1], [1, 3], [1, 1]]) {
      const [x, tx] = both(Nd.random(dice, [2, 5, ...sides]), operands);
      const y = conv2d(conv2d(tx, { weight }, { padding: 1 }), { weight }, { padding: 1 });
      const once = convolution(x, w, none, { padding: 1 });
      const want = convolution(once, w, none, { padding: 1 });
      // In f16 what lies between is rounded too, and each sum is off by what its terms are.
      const spread = convolution(once.map(() => largest(once)), w.map(Math.abs), none, { padding: 1 });
      const carried = operands.dtype === "f16" ? largest(spread) / largest(want) : 0;
      await assertTensor(y, want, operands.bound * (1 + carried), `[${sides}]`);
    }
  },
  "conv2d() of a part of a batch, with a shift of its own for each picture": async (operands = F32) => {
    const dice = new Dice(54);
    const [x, tx] = both(Nd.random(dice, [4, 3, 5, 6]), operands);
    const [w, tw] = both(Nd.random(dice, [4, 3, 3, 3]), operands);
    const [shift, tshift] = both(Nd.random(dice, [2, 4]), operands);
    const [part, tpart] = [x.slice(0, 1, 3).slice(3, 1, 6), tx.channelsLast().slice(0, 1, 3).slice(3, 1, 6)];
    const y = conv2d(tpart, { weight: tw }, { padding: 1 }).add(tshift.reshape([2, 4, 1, 1]));
    const want = convolution(part, w, new Nd([4], [0, 0, 0, 0]), { padding: 1 });
    await assertTensor(y, want.zip(shift.reshape([2, 4, 1, 1]), (a, b) => a + b), operands.bound, "shifted");
  },
};
