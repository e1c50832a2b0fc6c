import { formatShape, type Shape } from "../../core/shape.ts";
import { resizedImage } from "../../io/images/resize.ts";
import { inMode } from "../../io/images/image.ts";
import { imagesOf } from "../../io/images/tensors.ts";
import type { Autoencoder, UNet2DConditionModel } from "../../models/mod.ts";
import { upsampleNearest } from "../../ops/mod.ts";
import { firstNoise, type RandomOptions } from "../../random/mod.ts";
import type { Scheduler } from "../../schedulers/mod.ts";
import { cat, free, scope, type Tensor, tensor } from "../../tensor/mod.ts";
import { type AcquireOptions, type Residents, withModels } from "../memory/acquire.ts";
import type { BegunRun } from "./begun.ts";
import { drawLatents, fractionsOf, type Original } from "./init_image.ts";

/** The parts that draw in a picture. */
interface InpaintingParts extends Residents {
  readonly vae: Autoencoder;
  readonly scheduler: Scheduler;
}

/** The part of a picture to draw again, and the loop that draws it. */
export interface InpaintingTask {
  readonly original: Original;
  /** As 0 and 1. [1 or as many as pictures are given, 1, H, W] */
  readonly mask: Tensor;
  /** Owns what the loop reads. */
  readonly run: BegunRun;
  readonly timesteps: readonly number[];
  /** The loop begins with noise alone, the original with noise, or the original, which has its noise already. */
  readonly from: "noise" | "noised" | "original";
  /** The denoiser takes latents, the mask and the latents of the rest. */
  readonly sees: boolean;
}

/** The first latents of a loop that draws parts of a picture again, and its changes of latents. */
export interface Inpainting {
  /** Latents to begin with. [B, C, h, w] */
  readonly start: Tensor;
  /** Input of the denoiser: latents, joined with the mask and the rest of the picture if it was trained with these. */
  readonly extend: (input: Tensor) => Tensor;
  /** Puts the rest of the picture back after a step, with noise as at the next, where the UNet does not see it. */
  readonly after: (latents: Tensor, step: number) => Tensor;
}

/**
 * Encodes the picture, and what of it stays, and draws noise. Random numbers are drawn in the order of diffusers: the
 * picture's latents, noise, the latents of the rest.
 */
export function beginInpainting(
  parts: InpaintingParts,
  task: InpaintingTask,
  options: RandomOptions & AcquireOptions,
): Promise<Inpainting> {
  return withModels(parts, [parts.vae], options, () => prepared(parts, task, options));
}

function prepared(
  parts: InpaintingParts,
  { original: { pixels, size, latents }, mask, run: { B, guided, owned }, timesteps, from, sees }:
    InpaintingTask,
  { generator }: RandomOptions,
): Inpainting {
  const { vae, scheduler } = parts;
  using made = scope(mask, ...(pixels ? [pixels] : []));
  const shape = [B, vae.config.latent_channels, ...size];
  const rows = (x: Tensor) => x.expand([B, ...x.shape.slice(1)]);
  const only = (count: number) => ({
    generator: Array.isArray(generator) ? generator.slice(0, count) : generator,
  });

  const original = sees && from === "noise" ? undefined : rows(latents(only(pixels?.shape[0] ?? B)));
  const noise = firstNoise(shape, { generator });
  const starts = {
    noise: () => noise.mul(scheduler.initNoiseSigma),
    noised: () => scheduler.addNoise(original!, noise, timesteps[0]!),
    original: () => original!.clone(), // the loop frees what it begins with
  };
  const small = rows(upsampleNearest(mask, { size }));
  const rest = pixels?.mul(mask.neg().add(1)); // drawn always, so that streams stay as in diffusers
  const seen = rest && cat([small, rows(drawLatents(vae, rest, only(rest.shape[0]!)))], 1);
  if (sees && !seen) {
    throw new TypeError("Cannot inpaint latents with a UNet that sees masks: expected a picture as image");
  }

  const added = seen && guided ? cat([seen, seen]) : seen;
  const own = (x: Tensor) => owned.adopt(made.keep(x), free);
  for (const tensor of [small, noise, ...(pixels && original ? [original] : []), ...(added ? [added] : [])]) {
    own(tensor);
  }
  return {
    start: own(starts[from]()),
    extend: (input) => sees ? cat([input, added!.slice(0, 0, input.shape[0])], 1) : input, // half of it without guidance
    after: (drawn, step) => {
      if (sees) return drawn;
      const next = timesteps[step + 1];
      const known = next === undefined ? original! : scheduler.addNoise(original!, noise, next);
      return known.mul(small.neg().add(1)).add(drawn.mul(small));
    },
  };
}

/** True if the UNet takes latents, the mask and the latents of the rest, false if only latents. */
export function seesMask(
  { unet, vae }: { readonly unet: UNet2DConditionModel; readonly vae: Autoencoder },
): boolean {
  const { in_channels } = unet.config;
  const { latent_channels: C } = vae.config;
  if (in_channels === C || in_channels === 2 * C + 1) return in_channels !== C;
  throw new RangeError(
    `Cannot inpaint with a UNet of ${in_channels} channels: expected ${C} or ${2 * C + 1} beside this VAE`,
  );
}

/**
 * A mask as 0 and 1, the run's, as large as the picture that it belongs to: resized by Lanczos, then its luma, then cut at
 * the middle, as diffusers' VaeImageProcessor does it with pictures of PIL.
 */
export async function readMask(
  mask: Tensor | undefined,
  { pixels, size: [h, w] }: Pick<Original, "pixels" | "size">,
  f: number,
  { owned }: Pick<BegunRun, "owned">,
): Promise<Tensor> {
  if (!mask) throw new TypeError("Cannot inpaint: expected mask, got none");
  const most = pixels?.shape[0] ?? 1;
  const [count, channels] = mask.shape as Shape<4>;
  if (mask.rank !== 4 || (count !== 1 && count !== most) || (channels !== 1 && channels !== 3)) {
    throw new RangeError(
      `Cannot inpaint: expected a mask [${most === 1 ? 1 : `1 or ${most}`}, 1 or 3, H, W], got ${
        formatShape(mask.shape)
      }`,
    );
  }
  await fractionsOf("by a mask", mask);
  const size = { width: f * w, height: f * h };
  const masks = await imagesOf(mask, "Cannot inpaint by a mask");
  const values = new Float32Array(count * size.width * size.height);
  masks.forEach((image, i) => {
    const luma = inMode(resizedImage(image, size), "L").data;
    values.set(Float32Array.from(luma, (byte) => byte < 127.5 ? 0 : 1), i * luma.length);
  });
  return owned.adopt(tensor(values, [count, 1, size.height, size.width]), free);
}
