import { activation } from "../../nn/activations.ts";
import { conv3x3, expectShape, groupNorm, type Layer, type Projection } from "../../nn/layers.ts";
import { conv2d, type Conv2dOptions, relu } from "../../ops/mod.ts";
import { named, type Tensor } from "../../tensor/mod.ts";
import type { AutoencoderTinyConfig } from "./config.ts";

/**
 * Weights of a block: three convolutions, with activations, which have none, between them. Those of TAEF2's smallest
 * pictures have in front a layer that sees the whole picture, by its group norm.
 */
interface TinyBlock {
  conv: { 0: Layer; 2: Layer; 4: Layer };
  pool?: Pool;
}

interface Pool {
  0: Projection;
  1: Layer;
  3: Projection;
}

/** Weights of an AutoencoderTiny; each coder is one sequence of layers. */
export interface AutoencoderTinyWeights {
  encoder: { layers: readonly unknown[] };
  decoder: { layers: readonly unknown[] };
}

/** One layer of a sequence; null is a place whose layer the next one does too, or has no weights. */
type SequenceLayer = ((x: Tensor, w: unknown) => Tensor) | null;

/** The latents of a picture in [-1, 1]. image [B, C, H, W] → [B, latent_channels, H / f, W / f]. */
export function encodeTiny(image: Tensor, w: AutoencoderTinyWeights, config: AutoencoderTinyConfig): Tensor {
  const { num_encoder_blocks: counts, latent_channels } = config;
  const width = config.encoder_block_out_channels[0]!;
  const layers = counts.flatMap((count, i): SequenceLayer[] => [
    i === 0
      ? (x, w) => conv3x3(x, w as Layer, width)
      : (x, w) => convolve(x, w as Projection, { padding: 1, stride: 2 }),
    ...blocks(count, config),
  ]);
  layers.push((x, w) => conv3x3(x, w as Layer, latent_channels));
  return named("encoder", () => sequence(image.add(1).div(2), w.encoder.layers, layers), [image]);
}

/** The picture of latents, in [-1, 1] but for overshoots. z [B, latent_channels, h, w] → [B, C, f h, f w]. */
export function decodeTiny(z: Tensor, w: AutoencoderTinyWeights, config: AutoencoderTinyConfig): Tensor {
  const { num_decoder_blocks: counts, out_channels, act_fn } = config;
  const width = config.decoder_block_out_channels[0]!;
  const layers: SequenceLayer[] = [
    (x, w) => activation(act_fn)(conv3x3(x, w as Layer, width)),
    null, // the activation
    ...counts.flatMap((count, i): SequenceLayer[] => [
      ...blocks(count, config),
      ...i === counts.length - 1 ? [] : [
        null, // twice the size
        (x: Tensor, w: unknown) => convolve(x, w as Projection, { padding: 1, upsample: 2 }),
      ],
    ]),
    (x, w) => conv3x3(x, w as Layer, out_channels),
  ];
  return named("decoder", () => {
    const bounded = z.div(3).tanh().mul(3);
    return sequence(bounded, w.decoder.layers, layers).mul(2).sub(1);
  }, [z]);
}

/**
 * Elements of a coder's input that an element of its result sees to each side: the sum of what its convolutions
 * add, each at the size of its picture.
 */
export function reach(coder: "encode" | "decode", config: AutoencoderTinyConfig): number {
  const counts = coder === "encode" ? config.num_encoder_blocks : config.num_decoder_blocks;
  const size = (stage: number) => coder === "encode" ? 2 ** stage : 2 ** -stage; // of an element there, in the input's
  const inside = counts.reduce((sum, count, i) => sum + 3 * count * size(i), 0);
  const between = counts.slice(1).reduce((sum, _, i) => sum + size(coder === "encode" ? i : i + 1), 0);
  return Math.ceil(inside + between + size(0) + size(counts.length - 1)) + 1; // and one, as sizes change by rounding
}

function sequence(x: Tensor, weights: readonly unknown[], layers: readonly SequenceLayer[]): Tensor {
  for (const [i, layer] of layers.entries()) {
    if (layer) x = named(`layers.${i}`, () => layer(x, weights[i]), [x]);
  }
  return x;
}

function blocks(count: number, { act_fn }: AutoencoderTinyConfig): SequenceLayer[] {
  const act = activation(act_fn);
  const block = (x: Tensor, w: unknown) => {
    const { conv } = w as TinyBlock;
    const channels = x.shape[1]!;
    if (hasPool(w)) x = x.add(pooled(x, w.pool));
    const first = act(conv3x3(x, conv[0], channels));
    const second = act(conv3x3(first, conv[2], channels));
    return relu(conv3x3(second, conv[4], channels).add(x));
  };
  return Array.from({ length: count }, () => block);
}

const POOL = { width: 4, groups: 4 }; // of a pool: channels to one of the block, and groups of its norm

/** A block's sum of the whole picture: 1×1 convolutions with a group norm between them. x [B, C, h, w] */
function pooled(x: Tensor, pool: Pool): Tensor {
  const channels = x.shape[1]!;
  const width = POOL.width * channels;
  expectShape(pool[0].weight, [width, channels, 1, 1]);
  expectShape(pool[3].weight, [channels, width, 1, 1]);
  const wide = conv2d(x, { weight: pool[0].weight });
  return conv2d(relu(groupNorm(wide, pool[1], { groups: POOL.groups })), { weight: pool[3].weight });
}

/** True for a coder with layers that see the whole picture, so that bands of it would not do. */
export function seesAll({ layers }: { layers: readonly unknown[] }): boolean {
  return Object.values(layers).some(hasPool);
}

function hasPool(w: unknown): w is { pool: Pool } {
  return "pool" in (w as TinyBlock);
}

/** 3×3 convolution without a bias. */
function convolve(x: Tensor, { weight }: Projection, options: Conv2dOptions): Tensor {
  const channels = x.shape[1]!;
  expectShape(weight, [channels, channels, 3, 3]);
  return conv2d(x, { weight }, options);
}
