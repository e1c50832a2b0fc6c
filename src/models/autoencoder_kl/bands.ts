import { formatShape, type Shape } from "../../core/shape.ts";
import { activation } from "../../nn/activations.ts";
import { conv1x1, conv3x3, expectShape, groupNorm, type Layer } from "../../nn/layers.ts";
import {
  type ResnetBlock2D,
  resnetBlock2D,
  type ResnetOptions,
  type Sampler2D,
  upsample2D,
} from "../../nn/resnet.ts";
import { groupStatistics } from "../../ops/norm/group_statistics.ts";
import type { GroupNormOptions } from "../../ops/mod.ts";
import { cat, isWanted, named, stack, type Tensor } from "../../tensor/mod.ts";
import { channelsOf, type KLConfig, scaleFactor, smallestTile } from "./config.ts";

/**
 * A picture in bands of whole rows, from top to bottom, where one tensor would be larger than an adapter
 * binds at once. Layers over bands compute what they compute over the whole picture. One band is the usual
 * case.
 */
export type Bands = readonly Tensor[]; // [B, C, h, W] each

/** The work of a coder: pictures of H × W pixels, and how many bytes an activation's element takes. */
export interface CoderLoad {
  verb: "encode" | "decode";
  B: number;
  H: number;
  W: number;
  bytes: number;
}

const NEIGHBOURS = 2; // rows of latents that a band may hold of its neighbours: no convolution sees more

/**
 * The fewest bands of rows with which no activation is larger than `limit` bytes, which the adapter binds at
 * once. Throws, and proposes tiles, where even the most are too few.
 */
export function bandsOf(x: Tensor, load: CoderLoad, config: KLConfig, limit: number): number {
  const f = scaleFactor(config);
  if (outerBytes(load, load.H / f, config) <= limit) return 1;
  const shared = Math.floor(load.H / f); // rows of latents; pixels left over go to the last band
  const least = Math.max(middleBytes(load, config), outerBytes(load, 1 + NEIGHBOURS, config));
  for (let bands = 2; bands <= shared && least <= limit; bands++) {
    const rows = Math.ceil(shared / bands);
    if (outerBytes(load, rows + NEIGHBOURS, config) <= limit) return Math.ceil(shared / rows); // none of them is empty
  }
  throw new RangeError(
    `Cannot ${load.verb} ${formatShape(x.shape)}: expected activations of at most ${limit} bytes on ` +
      `${x.device.adapterName}, got ${least}; ` +
      `${load.verb} in tiles, e.g. { tile: ${16 * smallestTile(config)} }, or in smaller batches`,
  );
}

/** Bytes of the largest activation over so many rows of latents: the first or the last of a block. */
function outerBytes({ verb, B, W, bytes }: CoderLoad, rows: number, config: KLConfig): number {
  const channels = channelsOf(verb, config);
  const levels = channels.map((own, i) => {
    const source = (verb === "encode" ? channels[i - 1] : channels[i + 1]) ?? own; // channels of the input
    return B * Math.max(own, source) * (rows * scaleFactor(config) / 2 ** i) * Math.ceil(W / 2 ** i) * bytes;
  });
  return Math.max(...levels);
}

/** Bytes of an activation of the middle block, which is always whole: its pixels all see each other. */
function middleBytes({ verb, B, H, W, bytes }: CoderLoad, config: KLConfig): number {
  const f = scaleFactor(config);
  return B * channelsOf(verb, config).at(-1)! * Math.ceil(H / f) * Math.ceil(W / f) * bytes;
}

/** Cuts a picture into `count` bands of `rows`, the last one with what is left over. x [B, C, H, W]. */
export function cutBands(x: Tensor, count: number, rows: number): Bands {
  return Array.from(
    { length: count },
    (_, i) => x.slice(2, i * rows, i === count - 1 ? x.shape[2] : (i + 1) * rows),
  );
}

/** The picture in one tensor. */
export function joinBands(bands: Bands): Tensor {
  return cat(bands, 2);
}

/** Names a part of the model, as `named` does; several bands are joined where the part is asked for. */
export function namedBands(name: string, x: Bands, run: (x: Bands) => Bands): Bands {
  const whole = x.length === 1 || isWanted(name);
  let bands: Bands = [];
  let joined: Tensor | undefined;
  const seen = named(name, () => {
    bands = run(x);
    return joined = whole ? joinBands(bands) : undefined;
  }, whole ? [joinBands(x)] : []);
  return seen === joined ? bands : cutBands(seen!, bands.length, bands[0]!.shape[2]!);
}

/** Group normalisation by the statistics of the whole picture. → [B, C, h, W] each. */
export function normBands(bands: Bands, w: Layer, o: GroupNormOptions): Bands {
  if (bands.length === 1) return [groupNorm(bands[0]!, w, o)];
  const [B, C] = bands[0]!.shape as Shape<2>;
  expectShape(w.weight, [C]);
  expectShape(w.bias, [C]);
  const rows = bands.reduce((sum, band) => sum + band.shape[2]!, 0);
  const total = (parts: Tensor[]) =>
    stack(parts.map((part, i) => part.mul(bands[i]!.shape[2]! / rows))).sum(0);
  const statistics = bands.map((band) => groupStatistics(band, o.groups).split([1, 1], 2)); // [B, groups, 1] each
  const mean = total(statistics.map(([own]) => own!));
  const variance = total(statistics.map(([own, inside]) => {
    const off = own!.sub(mean);
    return inside!.add(off.mul(off));
  }));
  const rate = variance.add(o.eps ?? 1e-5).rsqrt();
  const channels = (x: Tensor) => x.expand([B, o.groups, C / o.groups]).reshape([B, C, 1, 1]);
  const scale = channels(rate).mul(w.weight.reshape([C, 1, 1]));
  const shift = w.bias.reshape([C, 1, 1]);
  return bands.map((band) => band.sub(channels(mean)).mul(scale).add(shift).cast(band.dtype));
}

/** 3×3 convolution that keeps the size. → [B, channels, h, W] each. */
export function convBands(bands: Bands, w: Layer, channels: number): Bands {
  return bands.map((_, i) => {
    const { x, top, bottom } = withNeighbours(bands, i);
    return conv3x3(x, w, channels, { padding: [1, 1, 1 - top, 1 - bottom] });
  });
}

/** Halves the size by a strided convolution; all bands but the last have an even number of rows. */
export function downsampleBands(bands: Bands, w: Sampler2D): Bands {
  return bands.map((band, i) => {
    const below = bands.slice(i + 1, i + 2).map((next) => next.slice(2, 0, 1));
    const padding = [0, 1, 0, 1 - below.length] as const; // that of downsample2D
    return conv3x3(cat([band, ...below], 2), w.conv, band.shape[1]!, { stride: 2, padding });
  });
}

/** Repeats pixels up to twice the size, then convolves. */
export function upsampleBands(bands: Bands, w: Sampler2D): Bands {
  return bands.map((band, i) => {
    const { x, top } = withNeighbours(bands, i);
    const [H, W] = x.shape.slice(2) as [number, number];
    const rows = 2 * band.shape[2]!;
    return upsample2D(x, w, { size: [2 * H, 2 * W] }).slice(2, 2 * top, 2 * top + rows);
  });
}

/** Residual block without time. → [B, channels, h, W] each. */
export function resnetBands(bands: Bands, w: ResnetBlock2D, o: ResnetOptions): Bands {
  if (bands.length === 1) return [resnetBlock2D(bands[0]!, w, null, o)];
  const act = activation(o.act);
  let h = convBands(normBands(bands, w.norm1, o).map(act), w.conv1, o.channels);
  h = convBands(normBands(h, w.norm2, o).map(act), w.conv2, o.channels);
  const changes = bands[0]!.shape[1] !== o.channels;
  return bands.map((band, i) => (changes ? conv1x1(band, w.conv_shortcut!, o.channels) : band).add(h[i]!));
}

/** A band with the rows next to it of the bands above and below, and how many these are. */
function withNeighbours(bands: Bands, i: number): { x: Tensor; top: number; bottom: number } {
  const above = bands.slice(Math.max(0, i - 1), i).map((band) => band.slice(2, -1));
  const below = bands.slice(i + 1, i + 2).map((band) => band.slice(2, 0, 1));
  return { x: cat([...above, bands[i]!, ...below], 2), top: above.length, bottom: below.length };
}
