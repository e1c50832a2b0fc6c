import { expectCount } from "../run_options.ts";
import type { Shape } from "../../core/shape.ts";
import { OutOfMemoryError } from "../../gpu/errors.ts";
import type { Autoencoder } from "../../models/mod.ts";
import { interpolate } from "../../ops/mod.ts";
import { scope, type Tensor, zeros } from "../../tensor/mod.ts";
import type { PreviewOptions } from "./previews.ts";

interface OpenOptions {
  signal?: AbortSignal | undefined;
  onNotice?: ((line: string) => void) | undefined;
}

const SIDE = 512; // pixels: what decoding costs goes with their square

/** Decodes previews by a small autoencoder, which stays in memory until this is disposed. */
export class PreviewDecoder implements Disposable {
  readonly #vae: Autoencoder;
  readonly #loaded: Disposable;
  readonly #side: number;

  private constructor(vae: Autoencoder, loaded: Disposable, side: number) {
    this.#vae = vae;
    this.#loaded = loaded;
    this.#side = side;
  }

  /**
   * Loads the autoencoder and takes the memory that it needs for latents of a shape [B, C, h, w]. Undefined where options
   * name none, or where the GPU has no room for it, of which a line tells.
   */
  static async open(
    { vae, side = SIDE }: Pick<PreviewOptions, "vae" | "side">,
    shape: readonly number[],
    { signal, onNotice = console.warn }: OpenOptions,
  ): Promise<PreviewDecoder | undefined> {
    if (!vae) return undefined;
    expectCount("preview.side", side);
    const { latent_channels: C } = vae.config;
    if (shape[1] !== C) {
      throw new RangeError(
        `Cannot show previews by ${vae.constructor.name}: expected one whose latents have ${
          shape[1]
        } channels, as those ` +
          `of the pipeline, got ${C}; take the small autoencoder of its family`,
      );
    }
    const made = new DisposableStack();
    try {
      const decoder = new PreviewDecoder(vae, made.use(await vae.acquire({ signal })), side);
      vae.reserve(() => decoder.decode(zeros(shape)));
      await vae.device.idle();
      made.move();
      return decoder;
    } catch (error) {
      if (!(error instanceof OutOfMemoryError)) throw error;
      vae.retrace(); // its plans may lie in memory that is not there
      await vae.device.settle();
      onNotice("Previews are painted by colours, as the GPU has no room for their autoencoder");
      return undefined;
    } finally {
      made.dispose();
    }
  }

  /** The pictures of latents as the denoiser takes them, in [-1, 1] but for overshoots. [B, C, h, w] → [B, 3, H, W] */
  decode(latents: Tensor): Tensor {
    using made = scope();
    return made.keep(this.#vae.decode(this.#vae.unscaleLatents(this.#fewer(latents))).sample);
  }

  /** Latents averaged so far that the picture is small enough. */
  #fewer(latents: Tensor): Tensor {
    const [, , h, w] = latents.shape as Shape<4>;
    const factor = Math.ceil(Math.max(h, w) * this.#vae.scaleFactor / this.#side);
    if (factor <= 1) return latents;
    const size = [h, w].map((side) => Math.max(1, Math.round(side / factor))) as [number, number];
    return interpolate(latents, { size, mode: "area" });
  }

  [Symbol.dispose](): void {
    this.#loaded[Symbol.dispose]();
  }
}
