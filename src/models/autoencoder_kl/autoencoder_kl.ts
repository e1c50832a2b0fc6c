import { expectOptions } from "../../core/error.ts";
import type { z } from "zod";
import { bytesOf, type DType } from "../../core/dtype.ts";
import { formatShape, type Shape } from "../../core/shape.ts";
import { type Tensor, tensor, zeros } from "../../tensor/mod.ts";
import { type AutoencoderKLConfig, autoencoderKLConfig, autoencoderKLKeys, scaleFactor } from "./config.ts";
import { type AutoencoderKLWeights, type CoderRun, decodeKL, encodeKL } from "./coders.ts";
import { DiagonalGaussianDistribution } from "./distribution.ts";
import { bandsOf, type CoderLoad, smallestTile } from "./memory.ts";
import { tiled, type TileSides } from "./tiles.ts";
import { Model, type TapOptions, type Taps } from "../runtime/model.ts";
import type { Tensors } from "../runtime/traces.ts";

/** Options of `AutoencoderKL.encode` and `decode`. */
export interface TileOptions {
  /**
   * Works in tiles of this side in pixels, where the picture is larger: for pictures beyond memory. Tiles
   * overlap by a quarter and fade into each other as with diffusers' enable_tiling, whose tile is the
   * config's sample_size. The result is near to that without tiles, no more: where only the adapter's limits
   * on a tensor are in the way, pictures are taken in bands, without any seam, by default.
   */
  tile?: number | undefined;
}

/** Options of `AutoencoderKL.decodeChecked`. */
export interface DecodeCheckedOptions extends TileOptions {
  /** Told in one line where f16 was not enough; console.warn by default. */
  onNotice?: ((line: string) => void) | undefined;
}

/**
 * Brings pictures into latent space and back: the autoencoder of latent diffusion (Rombach et al. 2022,
 * https://arxiv.org/abs/2112.10752), diffusers' AutoencoderKL.
 */
export class AutoencoderKL extends Model<AutoencoderKLConfig> {
  /** Checks a config.json and fills in its defaults. */
  static readonly schema: z.ZodType<AutoencoderKLConfig> = autoencoderKLConfig;
  /** The keys that it knows. */
  static readonly keys: z.ZodObject = autoencoderKLKeys;
  /** Where pipelines keep it. */
  static readonly folder: string = "vae";

  /** Pixels on the side of a latent: 8 in Stable Diffusion. */
  get scaleFactor(): number {
    return scaleFactor(this.config);
  }

  /** Type of activations: f32 where the config says that they overflow f16. */
  get activationType(): DType {
    return this.config.force_upcast ? "f32" : this.dtype;
  }

  /** Where in latent space a picture in [-1, 1] lies. image [B, C, H, W] → latents [B, L, H / f, W / f]. */
  encode<const Path extends string = never>(
    image: Tensor,
    options: TileOptions & TapOptions<Path> = {},
  ): { latentDist: DiagonalGaussianDistribution; taps: Taps<Path> } {
    expectOptions("encode a picture", options, ["tile", "taps"]);
    const { tile, taps: paths } = options;
    const { in_channels } = this.config;
    this.#expectChannels("encode a picture", image, [in_channels, "H", "W"]);
    const sides = tile === undefined ? undefined : this.#tileSides(image.shape, 1, tile);
    const cut = sides && { from: sides.pixels, to: sides.latents };
    const { y, taps } = whole(image, cut, paths, (x, taps) => this.#encodeWhole(x, taps));
    return { latentDist: new DiagonalGaussianDistribution(y), taps };
  }

  /** The picture of latents, in [-1, 1] but for overshoots. z [B, L, h, w] → [B, C, f h, f w]. */
  decode<const Path extends string = never>(
    z: Tensor,
    options: TileOptions & TapOptions<Path> = {},
  ): { sample: Tensor; taps: Taps<Path> } {
    expectOptions("decode latents", options, ["tile", "taps"]);
    return this.#decode(z, options, this.activationType);
  }

  /** Like `decode`, but waits for what f16 gives, and decodes once more in f32 where that overflowed. */
  async decodeChecked(
    z: Tensor,
    { tile, onNotice = console.warn }: DecodeCheckedOptions = {},
  ): Promise<{ sample: Tensor }> {
    const { sample } = this.decode(z, { tile });
    if (this.activationType === "f32" || (await sample.data()).every(Number.isFinite)) return { sample };
    onNotice("AutoencoderKL: f16 overflowed; decoding once more in f32");
    return this.#decode(z, { tile }, "f32");
  }

  /** Latents as the denoiser takes them, with variance 1. z [B, L, h, w]. */
  scaleLatents(z: Tensor): Tensor {
    const { scaling_factor, shift_factor } = this.config;
    const channels = this.#channelStatistics();
    if (channels) return z.sub(channels.mean).mul(scaling_factor).div(channels.std);
    return (shift_factor ? z.sub(shift_factor) : z).mul(scaling_factor);
  }

  /** Latents as `decode` takes them, from those of the denoiser. latents [B, L, h, w]. */
  unscaleLatents(latents: Tensor): Tensor {
    const { scaling_factor, shift_factor } = this.config;
    const channels = this.#channelStatistics();
    if (channels) return latents.mul(channels.std).div(scaling_factor).add(channels.mean);
    const z = latents.div(scaling_factor);
    return shift_factor ? z.add(shift_factor) : z;
  }

  /** Traces both ways at the size the model was trained for. */
  prepare(): void {
    const { in_channels, latent_channels, sample_size } = this.config;
    const [H, W] = typeof sample_size === "number" ? [sample_size, sample_size] : sample_size;
    const f = this.scaleFactor;
    const image = zeros([1, in_channels, H, W]);
    const z = zeros([1, latent_channels, Math.ceil(H / f), Math.ceil(W / f)]);
    const run = { dtype: this.activationType, bands: 1 };
    this.rehearsed(keyOf("encode", run), { image }, this.#runEncoder(run));
    this.rehearsed(keyOf("decode", run), { z }, this.#runDecoder(run));
  }

  #decode<Path extends string>(
    z: Tensor,
    { tile, taps: paths }: TileOptions & TapOptions<Path>,
    dtype: DType,
  ): { sample: Tensor; taps: Taps<Path> } {
    this.#expectChannels("decode latents", z, [this.config.latent_channels, "h", "w"]);
    const sides = tile === undefined ? undefined : this.#tileSides(z.shape, this.scaleFactor, tile);
    const cut = sides && { from: sides.latents, to: sides.pixels };
    const { y, taps } = whole(z, cut, paths, (x, taps) => this.#decodeWhole(x, dtype, taps));
    return { sample: y, taps };
  }

  #encodeWhole<Path extends string>(image: Tensor, paths?: readonly Path[]): Coded<Path> {
    const [, , H, W] = image.shape as Shape<4>;
    const run = this.#plan("encode", image, [H, W], this.activationType);
    const { results, taps } = this.tapped(keyOf("encode", run), { image }, this.#runEncoder(run), paths);
    return { y: results.moments, taps };
  }

  #decodeWhole<Path extends string>(z: Tensor, dtype: DType, paths?: readonly Path[]): Coded<Path> {
    const [, , h, w] = z.shape as Shape<4>;
    const run = this.#plan("decode", z, [h * this.scaleFactor, w * this.scaleFactor], dtype);
    const { results, taps } = this.tapped(keyOf("decode", run), { z }, this.#runDecoder(run), paths);
    return { y: results.sample, taps };
  }

  /** In one piece, or in the bands that the adapter's limits ask for. */
  #plan(verb: CoderLoad["verb"], x: Tensor, [H, W]: [number, number], dtype: DType): CoderRun {
    const load = { verb, B: x.shape[0]!, H, W, bytes: bytesOf(dtype) };
    return { dtype, bands: bandsOf(x, load, this.config, x.device.limits.maxStorageBufferBindingSize) };
  }

  #runEncoder = (run: CoderRun) => ({ image }: Tensors): { moments: Tensor } => ({
    moments: encodeKL(image!, this.weights.tree as AutoencoderKLWeights, this.config, run),
  });

  #runDecoder = (run: CoderRun) => ({ z }: Tensors): { sample: Tensor } => ({
    sample: decodeKL(z!, this.weights.tree as AutoencoderKLWeights, this.config, run),
  });

  /** Sides of tiles, or undefined where the picture is one; `scale` is the pixels of a step in `shape`. */
  #tileSides(
    [, , H, W]: readonly number[],
    scale: number,
    tile: number,
  ): { pixels: number; latents: number } | undefined {
    const least = smallestTile(this.config);
    if (!(tile > 0) || tile % least !== 0) {
      throw new RangeError(
        `Cannot work in tiles of ${tile}: expected a multiple of ${least}; e.g. { tile: ${8 * least} }`,
      );
    }
    return Math.max(H!, W!) * scale > tile ? { pixels: tile, latents: tile / this.scaleFactor } : undefined;
  }

  #expectChannels(what: string, { shape }: Tensor, [channels, ...sides]: [number, string, string]): void {
    if (shape.length === 4 && shape[1] === channels) return;
    throw new RangeError(
      `Cannot ${what}: expected shape [B, ${channels}, ${sides.join(", ")}], got ${formatShape(shape)}`,
    );
  }

  /** [1, L, 1, 1] each, where the config has them. */
  #channelStatistics(): { mean: Tensor; std: Tensor } | undefined {
    const { latents_mean, latents_std, latent_channels: L } = this.config;
    if (!latents_mean || !latents_std) return undefined;
    return { mean: tensor(latents_mean, [1, L, 1, 1]), std: tensor(latents_std, [1, L, 1, 1]) };
  }
}

/** What a coder makes of a picture or of latents, and its parts. */
interface Coded<Path extends string> {
  readonly y: Tensor;
  readonly taps: Taps<Path>;
}

/** Runs a coder on all at once, or on tiles, whose parts nobody can ask for. */
function whole<Path extends string>(
  x: Tensor,
  tiles: TileSides | undefined,
  paths: readonly Path[] | undefined,
  run: (x: Tensor, paths?: readonly Path[]) => Coded<Path>,
): Coded<Path> {
  if (!tiles) return run(x, paths);
  if (paths?.length) {
    throw new TypeError(
      "Cannot tap AutoencoderKL in tiles: each has parts of its own; leave out tile, or taps",
    );
  }
  return { y: tiled(x, tiles, (tile) => run(tile).y), taps: {} as Taps<Path> };
}

/** What a trace depends on beside the shape. */
function keyOf(verb: CoderLoad["verb"], { dtype, bands }: CoderRun): string {
  return `${verb} in ${dtype}, ${bands} bands`;
}
