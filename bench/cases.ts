import type { Tensor } from "denoise";
import { attention, conv2d, groupNorm, layerNorm, linear, matmul } from "denoise/ops";
import { fluxCases } from "./flux.ts";
import { noiseImage, noiseTensor } from "./random.ts";
import { t5Case } from "./t5.ts";

/** What is computed, in words that the peers read too. Every layer's output has the shape of the next one's input. */
export type Problem =
  | { op: "matmul"; size: number }
  | { op: "linear"; rows: number; widths: [number, number] }
  | { op: "conv2d"; channels: number; side: number }
  | { op: "attention"; heads: number; queries: number; keys: number; width: number }
  | { op: "groupNorm"; channels: number; side: number }
  | { op: "layerNorm"; rows: number; width: number }
  | {
    op: "flux";
    kind: "dual" | "single";
    image: number;
    text: number;
    width: number;
    heads: number;
    axes: number[];
  }
  | { op: "t5"; tokens: number; width: number; hidden: number; heads: number; headWidth: number }
  | { op: "unet"; config: object; batch: number; side: number }
  | { op: "decoder"; config: object; side: number };

/** The groups that `--only` names. */
export const GROUPS = ["matmul", "conv", "attention", "norm", "flux", "t5"] as const;

/** One row of the table. */
export interface Case {
  group: typeof GROUPS[number];
  name: string;
  problem: Problem;
  /** Of one layer. */
  flops: number;
  /** Bytes that a layer must move at least: inputs and weights read once, the output written once. */
  bytes: number;
  /** Layers in a chain, so that what happens once a run weighs little. */
  layers: number;
  /** Uploads inputs and weights; what it returns records the chain. */
  prepare(): () => Tensor;
}

/** The sizes of Stable Diffusion 1.x at 512² and of DDPM at 256²; on a software adapter attention is over fewer tokens. */
export function casesFor({ software, quick }: { software: boolean; quick: boolean }): Case[] {
  const tokens = software ? 1024 : 4096;
  const all = [
    matmulCase(512),
    linearCase(4096, 320, 320),
    linearCase(4096, 320, 2560),
    linearCase(1024, 640, 640),
    linearCase(256, 1280, 1280),
    convCase(320, 64),
    convCase(640, 32),
    convCase(1280, 16),
    convCase(128, 256),
    attentionCase(8, tokens, tokens, 40),
    attentionCase(8, tokens, 77, 40),
    attentionCase(1, 256, 256, 512),
    groupNormCase(320, 64),
    layerNormCase(4096, 320),
    ...fluxCases({ software }),
    t5Case({ software }),
  ];
  const small = [
    matmulCase(512),
    linearCase(1024, 640, 640),
    convCase(320, 32),
    attentionCase(8, 256, 77, 80),
    attentionCase(1, 256, 256, 512),
    groupNormCase(320, 64),
    layerNormCase(4096, 320),
  ];
  const perChain = software ? 2e9 : 4e11; // flops
  return (quick ? small : all).map((c) => {
    const layers = Math.min(64, Math.round(perChain / c.flops));
    return { ...c, layers: Math.max(c.layers, layers - layers % c.layers) };
  });
}

/** y = chain(… chain(x)), the functions in turn. */
function chain(x: Tensor, layers: number, steps: ((x: Tensor) => Tensor)[]): Tensor {
  for (let i = 0; i < layers; i++) x = steps[i % steps.length]!(x);
  return x;
}

function matmulCase(size: number): Case {
  return {
    group: "matmul",
    name: `matmul ${size}³`,
    problem: { op: "matmul", size },
    flops: 2 * size ** 3,
    bytes: 12 * size ** 2,
    layers: 1,
    prepare() {
      const [x, b] = [noiseTensor([size, size]), noiseTensor([size, size], size ** -0.5)];
      return () => chain(x, this.layers, [(x) => matmul(x, b)]);
    },
  };
}

/** Two widths alternate: there and back. */
function linearCase(rows: number, from: number, to: number): Case {
  return {
    group: "matmul",
    name: `linear ${rows}×${from} → ${to}${from === to ? "" : " → " + from}`,
    problem: { op: "linear", rows, widths: [from, to] },
    flops: 2 * rows * from * to,
    bytes: 4 * (rows * (from + to) + from * to),
    layers: from === to ? 1 : 2,
    prepare() {
      const x = noiseTensor([rows, from]);
      const there = noiseTensor([to, from], from ** -0.5);
      const back = noiseTensor([from, to], to ** -0.5);
      return () => chain(x, this.layers, [there, back].map((weight) => (x) => linear(x, { weight })));
    },
  };
}

function convCase(channels: number, side: number): Case {
  return {
    group: "conv",
    name: `conv 3×3 ${side}², ${channels} → ${channels}`,
    problem: { op: "conv2d", channels, side },
    flops: 18 * side ** 2 * channels ** 2,
    bytes: 4 * (2 * side ** 2 * channels + 9 * channels ** 2),
    layers: 1,
    prepare() {
      const x = noiseImage([1, channels, side, side]);
      const weight = noiseImage([channels, channels, 3, 3], (9 * channels) ** -0.5);
      return () => chain(x, this.layers, [(x) => conv2d(x, { weight }, { padding: 1 })]);
    },
  };
}

function attentionCase(heads: number, queries: number, keys: number, width: number): Case {
  return {
    group: "attention",
    name: `attention ${heads} × ${queries}×${width}, ${keys} keys`,
    problem: { op: "attention", heads, queries, keys, width },
    flops: 4 * heads * queries * keys * width,
    bytes: 8 * heads * (queries + keys) * width,
    layers: 1,
    prepare() {
      const split = (N: number) => noiseTensor([1, N, heads, width]).permute([0, 2, 1, 3]); // as layers leave them
      const [q, k, v] = [split(queries), split(keys), split(keys)];
      return () => chain(q, this.layers, [(q) => attention(q, k, v)]);
    },
  };
}

function groupNormCase(channels: number, side: number): Case {
  return {
    group: "norm",
    name: `group norm ${side}², ${channels} in 32 groups`,
    problem: { op: "groupNorm", channels, side },
    flops: 8 * channels * side ** 2,
    bytes: 8 * channels * side ** 2,
    layers: 1,
    prepare() {
      const x = noiseImage([1, channels, side, side]);
      const w = { weight: noiseTensor([channels]), bias: noiseTensor([channels]) };
      return () => chain(x, this.layers, [(x) => groupNorm(x, w, { groups: 32 })]);
    },
  };
}

function layerNormCase(rows: number, width: number): Case {
  return {
    group: "norm",
    name: `layer norm ${rows}×${width}`,
    problem: { op: "layerNorm", rows, width },
    flops: 8 * rows * width,
    bytes: 8 * rows * width,
    layers: 1,
    prepare() {
      const x = noiseTensor([rows, width]);
      const w = { weight: noiseTensor([width]), bias: noiseTensor([width]) };
      return () => chain(x, this.layers, [(x) => layerNorm(x, w, { eps: 1e-5 })]);
    },
  };
}
