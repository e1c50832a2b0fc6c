import { vec4 } from "wgpu-matrix";
import type { Image } from "../../io/images/image.ts";
import { solve } from "../../core/math.ts";

/** Red, green and blue: of each channel of the latents how much, then a constant. [3][C + 1] */
export type LatentColors = readonly (readonly number[])[];

/** An autoencoder whose latents' colours are known. */
export interface KnownColors {
  /** Keys of its config that no other shares: the scaling factor is measured on the weights. */
  readonly config: Readonly<Record<string, unknown>>;
  readonly colors: LatentColors;
}

/** Values on the host. */
export interface Planes {
  /** [B, C, h, w] */
  readonly shape: readonly number[];
  /** In row-major order. */
  readonly data: ArrayLike<number>;
}

const RIDGE = 1e-6; // keeps channels apart that say the same; a share of their mean square

/**
 * The colours that latents stand for, by least squares: (ZᵀZ) m = Zᵀ y for each of red, green and blue, where
 * a row of Z is the channels of a latent and a 1. latents [B, C, h, w], colors [B, 3 or 1, h, w] in [0, 1].
 */
export function fitColors(latents: Planes, colors: Planes): LatentColors {
  const rows = [...channelsOf(latents)].map((row) => [...row, 1]);
  const targets = [...channelsOf(colors)];
  const width = rows[0]!.length;
  const dot = (a: (row: number) => number, b: (row: number) => number) =>
    rows.reduce((sum, _, i) => sum + a(i) * b(i), 0);
  const square = Array.from(
    { length: width },
    (_, i) => Array.from({ length: width }, (_, j) => dot((n) => rows[n]![i]!, (n) => rows[n]![j]!)),
  );
  const mean = square.reduce((sum, row, i) => sum + row[i]!, 0) / width;
  square.forEach((row, i) => row[i]! += RIDGE * mean);
  return [0, 1, 2].map((color) =>
    solve(
      square,
      square.map((_, i) =>
        dot((n) => rows[n]![i]!, (n) => targets[n]![Math.min(color, targets[n]!.length - 1)]!)
      ),
    )
  );
}

/**
 * The picture of latents by their colours, those of a batch side by side. Four channels at once are a mat4,
 * and pixels are vec4: the few thousand of a preview are painted on the CPU sooner than a GPU would have a
 * kernel for them.
 */
export function paint({ shape: [B, C, h, w], data }: Planes, colors: LatentColors): Image {
  const blocks = blocksOf(colors, C!);
  const constant = vec4.create(...colors.map((row) => row[C!]));
  const [latent, part, sum] = [vec4.create(), vec4.create(), vec4.create()];
  const area = h! * w!;
  const pixels = new Uint8Array(B! * area * 3);
  for (let b = 0; b < B!; b++) {
    for (let i = 0; i < area; i++) {
      const value = (channel: number) => channel < C! ? data[(b * C! + channel) * area + i] : 0;
      vec4.copy(constant, sum);
      blocks.forEach((block, k) => {
        vec4.set(value(4 * k)!, value(4 * k + 1)!, value(4 * k + 2)!, value(4 * k + 3)!, latent);
        vec4.add(sum, vec4.transformMat4(latent, block, part), sum);
      });
      const at = 3 * ((Math.floor(i / w!) * B! + b) * w! + i % w!);
      for (let color = 0; color < 3; color++) pixels[at + color] = byteOf(sum[color]!);
    }
  }
  return { width: B! * w!, height: h!, channels: 3, data: pixels };
}

/** A mat4 for each four channels, a column a channel. */
function blocksOf(colors: LatentColors, C: number): Float32Array[] {
  return Array.from({ length: Math.ceil(C / 4) }, (_, k) => {
    const column = (channel: number) =>
      channel < C ? [...colors.map((row) => row[channel]), 0] : [0, 0, 0, 0];
    return Float32Array.from([0, 1, 2, 3].flatMap((j) => column(4 * k + j)));
  });
}

function byteOf(value: number): number {
  return Math.round(255 * Math.min(1, Math.max(0, value))); // NaN becomes 0
}

/** The channels at each place. */
function* channelsOf({ shape: [B, C, h, w], data }: Planes): Generator<number[]> {
  const area = h! * w!;
  for (let b = 0; b < B!; b++) {
    for (let i = 0; i < area; i++) {
      yield Array.from({ length: C! }, (_, channel) => data[(b * C! + channel) * area + i]!);
    }
  }
}
