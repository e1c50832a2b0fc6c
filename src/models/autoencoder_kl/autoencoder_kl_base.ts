import { bytesOf, type DType } from "../../core/dtype.ts";
import { expectOptions } from "../../core/error.ts";
import type { Shape } from "../../core/shape.ts";
import { randn } from "../../random/mod.ts";
import { type Tensor, zeros } from "../../tensor/mod.ts";
import { expectInput } from "../inputs.ts";
import {
  Autoencoder,
  type DecodeCheckedOptions,
  type LatentsOptions,
  type TileOptions,
} from "../autoencoder.ts";
import type { TapOptions, Taps } from "../runtime/model.ts";
import type { Tensors } from "../runtime/traces.ts";
import { bandsOf } from "./bands.ts";
import { type AutoencoderKLWeights, type CoderRun, decodeKL, encodeKL } from "./coders.ts";
import { type KLConfig, scaleFactor, smallestTile } from "./config.ts";
import { DiagonalGaussianDistribution } from "./distribution.ts";
import { tiled, tileSides } from "./tiles.ts";

/** Task of an autoencoder. */
export type Verb = "encode" | "decode";

/** An autoencoder whose latents are distributions: AutoencoderKL and its relatives. */
export abstract class AutoencoderKLBase<Config extends KLConfig = KLConfig> extends Autoencoder<Config> {
  /** Pixels on the side of a latent: 8 in Stable Diffusion. */
  override get scaleFactor(): number {
    return scaleFactor(this.config);
  }

  /** Pixels of the least tile whose quarter is a whole latent. */
  override get smallestTile(): number {
    return smallestTile(this.config);
  }

  /** Type of activations while it encodes or decodes. */
  abstract activationTypeOf(verb: Verb): DType;

  /** The likeliest latents of pictures in [-1, 1]. image [B, C, H, W] → [B, L, H / f, W / f]. */
  override mode(image: Tensor): Tensor {
    return this.encode(image).latentDist.mode();
  }

  /** Latents drawn for pictures in [-1, 1]. image [B, C, H, W] → [B or rows, L, H / f, W / f]. */
  override draw(image: Tensor, { generator, rows = image.shape[0] }: LatentsOptions = {}): Tensor {
    const { mean, std } = this.encode(image).latentDist;
    return mean.add(std.mul(randn([rows!, ...mean.shape.slice(1)], { generator })));
  }

  /** The latents of a picture in [-1, 1], as a distribution. image [B, C, H, W] → latents [B, L, H / f, W / f]. */
  encode<const Path extends string = never>(
    image: Tensor,
    options: TileOptions & TapOptions<Path> = {},
  ): { latentDist: DiagonalGaussianDistribution; taps: Taps<Path> } {
    expectOptions("encode a picture", options, ["tile", "taps"]);
    expectInput("encode a picture", image, ["B", this.config.in_channels, "H", "W"]);
    const { y, taps } = this.#code("encode", image, options, this.activationTypeOf("encode"));
    return { latentDist: new DiagonalGaussianDistribution(y), taps };
  }

  /** The picture of latents, in [-1, 1] but for overshoots. z [B, L, h, w] → [B, C, f h, f w]. */
  override decode<const Path extends string = never>(
    z: Tensor,
    options: TileOptions & TapOptions<Path> = {},
  ): { sample: Tensor; taps: Taps<Path> } {
    expectOptions("decode latents", options, ["tile", "taps"]);
    return this.#decode(z, options, this.activationTypeOf("decode"));
  }

  /** Like `decode`, but waits for the result in f16, and decodes once more in f32 where it overflowed. */
  override async decodeChecked(
    z: Tensor,
    { tile, onNotice = console.warn }: DecodeCheckedOptions = {},
  ): Promise<{ sample: Tensor }> {
    const { sample } = this.decode(z, { tile });
    if (this.activationTypeOf("decode") === "f32" || (await sample.data()).every(Number.isFinite)) {
      return { sample };
    }
    onNotice(`${this.constructor.name}: f16 overflowed; decoding once more in f32`);
    return this.#decode(z, { tile }, "f32");
  }

  /** Traces both ways at the size the model was trained for. */
  prepare(): void {
    const { in_channels, latent_channels, sample_size } = this.config;
    const [H, W] = typeof sample_size === "number" ? [sample_size, sample_size] : sample_size;
    const f = this.scaleFactor;
    const image = zeros([1, in_channels, H, W]);
    const z = zeros([1, latent_channels, Math.ceil(H / f), Math.ceil(W / f)]);
    for (const [verb, x] of [["encode", image], ["decode", z]] as const) {
      const run = { dtype: this.activationTypeOf(verb), bands: 1 };
      this.dryRun(keyOf(verb, run), { x }, this.#coder(verb, run));
    }
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
        `Cannot tap ${this.constructor.name} in tiles: each has parts of its own; leave out tile, or taps`,
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
}

/** A trace's key: all that it depends on, except for the shape. */
function keyOf(verb: Verb, { dtype, bands }: CoderRun): string {
  return `${verb} in ${dtype}, ${bands} bands`;
}
