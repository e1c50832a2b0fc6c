import type { RandomOptions } from "../random/mod.ts";
import type { Tensor } from "../tensor/mod.ts";
import { Model } from "./runtime/model.ts";

/** Keys that the configs of all autoencoders have. */
export interface AutoencoderConfig {
  /** Channels of the picture that is encoded. */
  in_channels: number;
  /** Channels of the picture that is decoded. */
  out_channels: number;
  /** Channels of the latents. */
  latent_channels: number;
}

/** Options of an autoencoder's `decode`. */
export interface TileOptions {
  /**
   * Works in tiles of this side in pixels, where the picture is larger: for pictures beyond memory. Tiles
   * overlap by a quarter and fade into each other as with diffusers' enable_tiling, whose tile is the
   * config's sample_size. The result is near to that without tiles, no more: where only the adapter's limits
   * on a tensor are in the way, pictures are taken in bands, without any seam, by default.
   */
  tile?: number | undefined;
}

/** Options of `decodeChecked`. */
export interface DecodeCheckedOptions extends TileOptions {
  /** Called with one line where f16 was not enough; console.warn by default. */
  onNotice?: ((line: string) => void) | undefined;
}

/** Options of drawing a picture's latents. */
export interface LatentsOptions extends RandomOptions {
  /** Draws one picture so often, each time with other noise. */
  rows?: number | undefined;
}

/**
 * An autoencoder of latent diffusion (Rombach et al. 2022, https://arxiv.org/abs/2112.10752), which brings pictures
 * into latent space and back: all that pipelines need of one, whatever its class.
 */
export abstract class Autoencoder<Config extends AutoencoderConfig = AutoencoderConfig>
  extends Model<Config> {
  /** Its folder in a pipeline. */
  static readonly folder: string = "vae";

  /** Red, green and blue in its latents, for previews, once they were fitted: a weight for each channel and a constant. */
  latentColors: Promise<readonly (readonly number[])[]> | undefined;

  /** Pixels on the side of a latent: 8 in Stable Diffusion. */
  abstract get scaleFactor(): number;

  /** Pixels of the least tile that it works in; all others are multiples of it. None where it needs no tiles. */
  abstract get smallestTile(): number | undefined;

  /** The likeliest latents of pictures in [-1, 1]. image [B, C, H, W] → [B, L, H / f, W / f]. */
  abstract mode(image: Tensor): Tensor;

  /** Latents drawn for pictures in [-1, 1]. image [B, C, H, W] → [B or rows, L, H / f, W / f]. */
  abstract draw(image: Tensor, options?: LatentsOptions): Tensor;

  /** The pictures of latents, in [-1, 1] but for overshoots. z [B, L, h, w] → [B, C, f h, f w]. */
  abstract decode(z: Tensor, options?: TileOptions): { sample: Tensor };

  /** Like `decode`, but waits for the result in f16, and decodes once more in f32 where it overflowed. */
  abstract decodeChecked(z: Tensor, options?: DecodeCheckedOptions): Promise<{ sample: Tensor }>;

  /** Latents as the denoiser takes them, with variance 1. z [B, L, h, w]. */
  abstract scaleLatents(z: Tensor): Tensor;

  /** Latents as `decode` takes them, from those of the denoiser. latents [B, L, h, w]. */
  abstract unscaleLatents(latents: Tensor): Tensor;
}

/** A factor and a shift by which an autoencoder's latents get variance 1, as in most configs. */
interface LatentScale {
  scaling_factor: number;
  shift_factor: number | null;
}

/** Latents as the denoiser takes them. z [B, L, h, w]. */
export function scaledLatents(z: Tensor, { scaling_factor, shift_factor }: LatentScale): Tensor {
  return (shift_factor ? z.sub(shift_factor) : z).mul(scaling_factor);
}

/** The way back. latents [B, L, h, w]. */
export function unscaledLatents(latents: Tensor, { scaling_factor, shift_factor }: LatentScale): Tensor {
  const z = latents.div(scaling_factor);
  return shift_factor ? z.add(shift_factor) : z;
}
