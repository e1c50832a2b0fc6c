import { expectOptions } from "../../core/error.ts";
import { formatShape, type Shape } from "../../core/shape.ts";
import type { Image } from "../../io/images/image.ts";
import type { Autoencoder } from "../../models/mod.ts";
import { release, retain, type Tensor } from "../../tensor/mod.ts";
import { expectCount } from "../run_options.ts";
import { type LatentColors, paint } from "./colors.ts";
import { colorsOf } from "./fit.ts";

/** Small pictures that a run shows while it draws. */
export interface PreviewOptions {
  /**
   * Steps from one picture to the next; 1 by default. Some are left out where painting is slower than drawing.
   */
  every?: number | undefined;
  /**
   * True for a step that is wanted, counted from 0, of so many; asked when it is due, so that nothing is painted that nobody
   * sees.
   */
  wants?: ((step: number, steps: number) => boolean) | undefined;
  /** Takes the pictures of a batch, side by side: a pixel for each latent, or as `vae` decodes them. */
  write: (picture: Image, step: number) => void | Promise<void>;
  /**
   * A small autoencoder of the same latents, e.g. `await AutoencoderTiny.fromPretrained("madebyollin/taesd")`, which
   * decodes the pictures in place of colours. Where the GPU has no room for it, they are painted by colours.
   */
  vae?: Autoencoder | undefined;
  /** Pixels of the longer side of what it decodes, at most; 512 by default. Larger latents are averaged to fewer first. */
  side?: number | undefined;
}

/**
 * A small picture of latents as the denoiser takes them, a pixel for each: their colours by an affine map
 * instead of the decoder. Those of a batch stand side by side. A loop may go on without waiting for it.
 * latents [B, C, h, w]
 */
export async function preview(latents: Tensor, vae: Autoencoder): Promise<Image> {
  const { latent_channels: C } = vae.config;
  if (latents.rank === 4 && latents.shape[1] === C) return await painted(latents, colorsOf(vae));
  throw new RangeError(
    `Cannot preview latents: expected shape [B, ${C}, h, w], got ${formatShape(latents.shape)}`,
  );
}

/** A picture of a sample in [-1, 1], a pixel for each of its own; those of a batch stand side by side. x [B, 3 or 1, H, W] */
export async function previewPixels(x: Tensor): Promise<Image> {
  const [B, , height, W] = x.shape as Shape<4>;
  const colors = x.cast("f32").mul(127.5).add(127.5).expand([B, 3, height, W]);
  const pixels = retain(colors.permute([2, 0, 3, 1]).contiguous()); // else a copy is made to read it, which the open scope would own
  try {
    const bytes = new Uint8ClampedArray(await pixels.data()); // which rounds, and makes NaN black
    return { width: B * W, height, channels: 3, data: new Uint8Array(bytes.buffer) };
  } finally {
    release(pixels);
  }
}

/** Reads a tensor, which outlives its scope so long. */
async function painted(x: Tensor, colors: Promise<LatentColors>): Promise<Image> {
  retain(x);
  try {
    const map = await colors; // first: the scope that is open now, which would own a copy made in it, has ended then
    return paint({ shape: x.shape, data: await x.cast("f32").data() }, map);
  } finally {
    release(x);
  }
}

const AHEAD = 4; // pictures under way: the loop submits steps before those in front of them are done

/** Paints every n-th step of a run while the next ones go on. */
export class Previews {
  readonly #options: PreviewOptions | undefined;
  readonly #picture: (sample: Tensor) => Promise<Image>;
  #last: Promise<void> = Promise.resolve();
  #underWay = 0;
  #failure: { error: unknown } | undefined;

  /** Without options it shows nothing. */
  constructor(options: PreviewOptions | undefined, picture: (sample: Tensor) => Promise<Image>) {
    if (options) expectOptions("show previews", options, ["every", "wants", "write", "vae", "side"]);
    if (options) expectCount("preview.every", options.every ?? 1);
    this.#options = options;
    this.#picture = picture;
  }

  /** Shows a step, counted from 0, of so many, if it is due and not too many are under way. */
  offer(step: number, steps: number, sample: () => Tensor): void {
    if (this.#failure) throw this.#failure.error;
    if (!this.#options || this.#underWay === AHEAD) return;
    const { every = 1, wants, write } = this.#options;
    if ((step + 1) % every !== 0 || wants?.(step, steps) === false) return;
    this.#underWay++;
    const picture = this.#picture(sample());
    picture.catch(() => {}); // awaited below, in its turn
    this.#last = this.#last.then(() => this.#show(step, picture, write));
  }

  /** Waits for the last picture. Throws what went wrong with one. */
  async end(): Promise<void> {
    await this.#last;
    if (this.#failure) throw this.#failure.error;
  }

  async #show(step: number, picture: Promise<Image>, write: PreviewOptions["write"]): Promise<void> {
    try {
      await write(await picture, step);
    } catch (error) {
      this.#failure ??= { error };
    } finally {
      this.#underWay--;
    }
  }
}
