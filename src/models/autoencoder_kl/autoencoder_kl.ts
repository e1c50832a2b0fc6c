import type { ConfigSchema } from "../../io/config.ts";
import { bytesOf, type DType } from "../../core/dtype.ts";
import { expectOptions } from "../../core/error.ts";
import type { Shape } from "../../core/shape.ts";
import { type Tensor, tensor, zeros } from "../../tensor/mod.ts";
import { expectInput } from "../inputs.ts";
import { Model, type TapOptions, type Taps } from "../runtime/model.ts";
import type { Tensors } from "../runtime/traces.ts";
import { bandsOf } from "./bands.ts";
import { type AutoencoderKLWeights, type CoderRun, decodeKL, encodeKL } from "./coders.ts";
import { type AutoencoderKLConfig, autoencoderKLConfig, scaleFactor } from "./config.ts";
import { DiagonalGaussianDistribution } from "./distribution.ts";
import { tiled, tileSides } from "./tiles.ts";

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
  /** Called with one line where f16 was not enough; console.warn by default. */
  onNotice?: ((line: string) => void) | undefined;
}

type Verb = "encode" | "decode";

/**
 * Brings pictures into latent space and back: the autoencoder of latent diffusion (Rombach et al. 2022,
 * https://arxiv.org/abs/2112.10752), diffusers' AutoencoderKL.
 */
export class AutoencoderKL extends Model<AutoencoderKLConfig> {
  /** Checks a config.json and fills in its defaults. */
  static readonly schema: ConfigSchema<AutoencoderKLConfig> = autoencoderKLConfig;
  /** Its folder in a pipeline. */
  static readonly folder: string = "vae";

  /** Red, green and blue in its latents, for previews, once they were fitted: a weight for each channel and a constant. */
  latentColors: Promise<readonly (readonly number[])[]> | undefined;

  /** Pixels on the side of a latent: 8 in Stable Diffusion. */
  get scaleFactor(): number {
    return scaleFactor(this.config);
  }

  /** Type of activations: f32 where the config says that they overflow f16. */
  get activationType(): DType {
    return this.config.force_upcast ? "f32" : this.dtype;
  }

  /** The latents of a picture in [-1, 1], as a distribution. image [B, C, H, W] → latents [B, L, H / f, W / f]. */
  encode<const Path extends string = never>(
    image: Tensor,
    options: TileOptions & TapOptions<Path> = {},
  ): { latentDist: DiagonalGaussianDistribution; taps: Taps<Path> } {
    expectOptions("encode a picture", options, ["tile", "taps"]);
    expectInput("encode a picture", image, ["B", this.config.in_channels, "H", "W"]);
    const { y, taps } = this.#code("encode", image, options, this.activationType);
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

  /** Like `decode`, but waits for the result in f16, and decodes once more in f32 where it overflowed. */
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
    this.dryRun(keyOf("encode", run), { x: image }, this.#coder("encode", run));
    this.dryRun(keyOf("decode", run), { x: z }, this.#coder("decode", run));
  }

  #decode<Path extends string>(
    z: Tensor,
    options: TileOptions & TapOptions<Path>,
    dtype: DType,
  ): { sample: Tensor; taps: Taps<Path> } {
    expectInput("decode latents", z, ["B", this.config.latent_channels, "h", "w"]);
    const { y, taps } = this.#code("decode", z, options, dtype);
    return { sample: y, taps };
  }

  /** Runs a coder on all at once, or on tiles, whose parts nobody can ask for. */
  #code<Path extends string>(
    verb: Verb,
    x: Tensor,
    { tile, taps: paths }: TileOptions & TapOptions<Path>,
    dtype: DType,
  ): { y: Tensor; taps: Taps<Path> } {
    const sides = tile === undefined ? undefined : tileSides(verb, x, tile, this.config);
    if (!sides) return this.#codeWhole(verb, x, dtype, paths);
    if (paths?.length) {
      throw new TypeError(
        "Cannot tap AutoencoderKL in tiles: each has parts of its own; leave out tile, or taps",
      );
    }
    return { y: tiled(x, sides, (piece) => this.#codeWhole(verb, piece, dtype).y), taps: {} as Taps<Path> };
  }

  /** In one piece, or in the bands that the adapter's limits ask for. */
  #codeWhole<Path extends string>(
    verb: Verb,
    x: Tensor,
    dtype: DType,
    paths?: readonly Path[],
  ): { y: Tensor; taps: Taps<Path> } {
    const [B, , H, W] = x.shape as Shape<4>;
    const pixels = verb === "encode" ? 1 : this.scaleFactor; // on the side of an element of x
    const load = { verb, B, H: H * pixels, W: W * pixels, bytes: bytesOf(dtype) };
    const run = { dtype, bands: bandsOf(x, load, this.config, x.device.limits.maxStorageBufferBindingSize) };
    const { results, taps } = this.tapped(keyOf(verb, run), { x }, this.#coder(verb, run), paths);
    return { y: results.y, taps };
  }

  #coder = (verb: Verb, run: CoderRun) => ({ x }: Tensors): { y: Tensor } => {
    const coder = verb === "encode" ? encodeKL : decodeKL;
    return { y: coder(x!, this.weights.tree as AutoencoderKLWeights, this.config, run) };
  };

  /** [1, L, 1, 1] each, where the config has them. */
  #channelStatistics(): { mean: Tensor; std: Tensor } | undefined {
    const { latents_mean, latents_std, latent_channels: L } = this.config;
    if (!latents_mean || !latents_std) return undefined;
    return { mean: tensor(latents_mean, [1, L, 1, 1]), std: tensor(latents_std, [1, L, 1, 1]) };
  }
}

/** A trace's key: all that it depends on, except for the shape. */
function keyOf(verb: Verb, { dtype, bands }: CoderRun): string {
  return `${verb} in ${dtype}, ${bands} bands`;
}
