import type { ConfigSchema } from "../../io/config.ts";
import { bytesOf } from "../../core/dtype.ts";
import { expectOptions } from "../../core/error.ts";
import { formatShape } from "../../core/shape.ts";
import { cat, type Tensor, zeros } from "../../tensor/mod.ts";
import { expectInput } from "../inputs.ts";
import {
  Autoencoder,
  type DecodeCheckedOptions,
  type LatentsOptions,
  scaledLatents,
  type TileOptions,
  unscaledLatents,
} from "../autoencoder.ts";
import type { TapOptions, Taps } from "../runtime/model.ts";
import type { Tensors } from "../runtime/traces.ts";
import { type AutoencoderTinyWeights, decodeTiny, encodeTiny, reach, seesAll } from "./coders.ts";
import { type AutoencoderTinyConfig, autoencoderTinyConfig, tinyScaleFactor } from "./config.ts";

type Verb = "encode" | "decode";

const USUAL_SIDE = 512; // pixels, where nobody says a size

/**
 * An autoencoder of 1 to 3 million weights that was distilled from a large one, whose latents it shares: TAESD,
 * TAESDXL, TAEF1 (https://github.com/madebyollin/taesd), diffusers' AutoencoderTiny; and TAEF2, for FLUX.2, whose blocks
 * have layers that diffusers' class lacks. Its pictures are a little softer, in a fraction of the time and memory.
 */
export class AutoencoderTiny extends Autoencoder<AutoencoderTinyConfig> {
  /** Checks a config.json and fills in its defaults. */
  static readonly schema: ConfigSchema<AutoencoderTinyConfig> = autoencoderTinyConfig;

  /** Pixels on the side of a latent: 8 in TAESD. */
  override get scaleFactor(): number {
    return tinyScaleFactor(this.config);
  }

  /** None: it works in bands where it has to, whose results are the same. */
  override get smallestTile(): undefined {
    return undefined;
  }

  /** Latents as the denoiser takes them. z [B, L, h, w]. */
  override scaleLatents(z: Tensor): Tensor {
    return scaledLatents(z, this.config);
  }

  /** Latents as `decode` takes them, from those of the denoiser. latents [B, L, h, w]. */
  override unscaleLatents(latents: Tensor): Tensor {
    return unscaledLatents(latents, this.config);
  }

  /** The latents of pictures in [-1, 1]. image [B, C, H, W] → [B, L, H / f, W / f]. */
  override mode(image: Tensor): Tensor {
    return this.encode(image).latents;
  }

  /** The same, as there is nothing to draw. image [B, C, H, W] → [B or rows, L, H / f, W / f]. */
  override draw(image: Tensor, { rows = image.shape[0] }: LatentsOptions = {}): Tensor {
    const { latents } = this.encode(image);
    return latents.expand([rows!, ...latents.shape.slice(1)]);
  }

  /** The latents of a picture in [-1, 1], without any chance. image [B, C, H, W] → latents [B, L, H / f, W / f]. */
  encode<const Path extends string = never>(
    image: Tensor,
    options: TapOptions<Path> = {},
  ): { latents: Tensor; taps: Taps<Path> } {
    expectOptions("encode a picture", options, ["taps"]);
    expectInput("encode a picture", image, ["B", this.config.in_channels, "H", "W"]);
    const { y, taps } = this.#code("encode", image, options.taps);
    return { latents: y, taps };
  }

  /** The picture of latents, in [-1, 1] but for overshoots. z [B, L, h, w] → [B, C, f h, f w]. */
  override decode<const Path extends string = never>(
    z: Tensor,
    options: TileOptions & TapOptions<Path> = {},
  ): { sample: Tensor; taps: Taps<Path> } {
    expectOptions("decode latents", options, ["tile", "taps"]);
    if (options.tile !== undefined) {
      throw new TypeError(
        "Cannot decode in tiles: AutoencoderTiny works in bands by itself, without seams; leave out tile",
      );
    }
    expectInput("decode latents", z, ["B", this.config.latent_channels, "h", "w"]);
    const { y, taps } = this.#code("decode", z, options.taps);
    return { sample: y, taps };
  }

  /** Like `decode`: its authors' examples run it in f16. */
  override decodeChecked(z: Tensor, { tile }: DecodeCheckedOptions = {}): Promise<{ sample: Tensor }> {
    return Promise.resolve(this.decode(z, { tile }));
  }

  /** Traces both ways at a usual size. */
  prepare(): void {
    const { in_channels, latent_channels } = this.config;
    const side = USUAL_SIDE / this.scaleFactor;
    this.dryRun("encode", { x: zeros([1, in_channels, USUAL_SIDE, USUAL_SIDE]) }, this.#coder("encode"));
    this.dryRun("decode", { x: zeros([1, latent_channels, side, side]) }, this.#coder("decode"));
  }

  /**
   * In one piece, or in bands of rows where an activation would be larger than the adapter binds at once. A band
   * has the rows around it that its result depends on, so that the result is the same.
   */
  #code<Path extends string>(
    verb: Verb,
    x: Tensor,
    paths?: readonly Path[],
  ): { y: Tensor; taps: Taps<Path> } {
    const rows = this.#rowsOfBand(verb, x);
    const H = x.shape[2]!;
    if (rows >= H) {
      const { results, taps } = this.tapped(verb, { x }, this.#coder(verb), paths);
      return { y: results.y, taps };
    }
    if (seesAll((this.weights.tree as AutoencoderTinyWeights)[`${verb}r`])) {
      throw new RangeError(
        `Cannot ${verb} ${
          formatShape(x.shape)
        }: the adapter binds less than a layer of it at once, and this ` +
          "autoencoder sees the whole picture; take a smaller picture, or fewer at once",
      );
    }
    if (paths?.length) {
      throw new TypeError(
        `Cannot tap AutoencoderTiny at ${
          formatShape(x.shape)
        }: the adapter binds less than a layer of it at ` +
          "once; take a smaller picture",
      );
    }
    const halo = this.#halo(verb);
    const to = (row: number) => verb === "encode" ? row / this.scaleFactor : row * this.scaleFactor; // rows of the result
    const bands: Tensor[] = [];
    for (let start = 0; start < H; start += rows) {
      const from = Math.max(0, start - halo);
      const band = x.slice(2, from, Math.min(H, start + rows + halo));
      const { y } = this.traced(verb, { x: band }, this.#coder(verb));
      const end = start + rows < H ? to(start + rows - from) : y.shape[2]!;
      bands.push(y.slice(2, to(start - from), end));
    }
    return { y: cat(bands, 2), taps: {} as Taps<Path> };
  }

  /** Rows of a band without its neighbours': a multiple of the rows of a latent. */
  #rowsOfBand(verb: Verb, x: Tensor): number {
    const [B, , H, W] = x.shape as [number, number, number, number];
    const { encoder_block_out_channels, decoder_block_out_channels } = this.config;
    const pixels = verb === "encode" ? 1 : this.scaleFactor; // on the side of an element of x
    const channels = (verb === "encode" ? encoder_block_out_channels : decoder_block_out_channels)[0]!;
    const row = B * channels * W * pixels ** 2 * bytesOf(this.dtype); // of the widest activation, to a row of x
    const most = Math.floor(x.device.limits.maxStorageBufferBindingSize / row);
    if (most >= H) return H;
    const unit = this.#unit(verb);
    const rows = Math.floor((most - 2 * this.#halo(verb)) / unit) * unit;
    if (rows > 0) return rows;
    throw new RangeError(
      `Cannot ${verb} ${formatShape(x.shape)}: expected activations of at most ` +
        `${x.device.limits.maxStorageBufferBindingSize} bytes on ${x.device.adapterName}, got ` +
        `${row * (2 * this.#halo(verb) + unit)}; take fewer pictures at once, or narrower ones`,
    );
  }

  /** Rows of neighbours that a band needs on each side. */
  #halo(verb: Verb): number {
    const unit = this.#unit(verb);
    return Math.ceil(reach(verb, this.config) / unit) * unit;
  }

  /** Rows of x that belong together: those of one latent. */
  #unit(verb: Verb): number {
    return verb === "encode" ? this.scaleFactor : 1;
  }

  #coder = (verb: Verb) => ({ x }: Tensors): { y: Tensor } => {
    const coder = verb === "encode" ? encodeTiny : decodeTiny;
    return { y: coder(x!.cast(this.dtype), this.weights.tree as AutoencoderTinyWeights, this.config) };
  };
}
