import { randn, scope, type Tensor, type TorchGenerator } from "denoise";
import type { AnyParts } from "denoise/pipelines";
import { interpolate, upsampleNearest } from "denoise/ops";
import { imagesOf, imageTensor } from "../../src/io/images/tensors.ts";
import { free } from "../../src/tensor/mod.ts";
import {
  changedSize,
  drawLatents,
  originalSize,
  readInitImage,
  readOriginal,
} from "../../src/pipelines/latents/init_image.ts";
import { readMask, seesMask } from "../../src/pipelines/latents/inpainting.ts";
import { type AcquireOptions, withModels } from "../../src/pipelines/memory/acquire.ts";
import type { Size } from "../command_line/options.ts";
import { filled } from "./mask_fill.ts";
import { multipleOf } from "./usual.ts";
import type { ChangingParts } from "./task_pipelines.ts";

/** What is within a mask before it is drawn anew, A1111's "masked content": `fill` are the colours around it, blurred. */
export const maskContents = ["original", "fill", "noise", "nothing"] as const;
/** How a picture gets the size that is drawn: as pixels, or as latents, A1111's "just resize (latent upscale)". */
export const resizings = ["pixels", "latents"] as const;

/** Settings of what a run begins with in place of the picture that it changes. */
export interface BeginSettings {
  /** What is within the mask before it is drawn anew. */
  readonly "mask-content"?: typeof maskContents[number] | undefined;
  /** How the picture gets the size that is drawn. */
  readonly resize?: typeof resizings[number] | undefined;
  /** Of what is drawn; the picture's own by default. */
  readonly size?: Size | undefined;
}

/** Throws for a model that sees the picture beside its latents, which noise in these does not change. */
export function expectBegin(parts: AnyParts, { "mask-content": content }: BeginSettings): void {
  if (content !== "noise" && content !== "nothing" || !("unet" in parts && "vae" in parts)) return;
  if (!seesMask(parts)) return;
  throw new TypeError(
    `Cannot begin with ${content} within the mask: this model sees the picture beside it; take original or fill`,
  );
}

/**
 * What a run begins with in place of its picture: that with the mask filled, or latents for each of the streams, which draw them
 * as a run does, so that its noise comes behind; undefined for the picture itself. image [1, 3, H, W], mask [1, 1 or 3, H, W]
 */
export async function beginChange(
  parts: ChangingParts,
  settings: BeginSettings,
  { image, mask }: { readonly image: Tensor; readonly mask: Tensor | undefined },
  run: Beginning,
): Promise<Tensor | undefined> {
  const { "mask-content": content = "original", resize } = settings;
  const picture = mask && content !== "original" ? await withFilled(image, mask) : undefined;
  const begins = content === "noise" || content === "nothing" || resize === "latents";
  if (!begins) return picture;
  try {
    return mask
      ? await maskedLatents(parts, settings, { image: picture!, mask }, run)
      : await resizedLatents(parts, settings, image, run);
  } finally {
    free(picture);
  }
}

/** A run's streams, and how it takes memory. */
type Beginning = AcquireOptions & { readonly generator: readonly TorchGenerator[] };

/** A picture's latents with noise, or nothing, within the mask. [B, C, h, w] */
async function maskedLatents(
  parts: ChangingParts,
  { "mask-content": content, size }: BeginSettings,
  { image, mask }: { readonly image: Tensor; readonly mask: Tensor },
  { generator, ...options }: Beginning,
): Promise<Tensor> {
  const { vae } = parts;
  using owned = new DisposableStack();
  const original = await readOriginal(image, { B: 1, owned }, vae, size ?? {}, multipleOf(parts));
  const hidden = await readMask(mask, original, vae.scaleFactor, { owned });
  return await withModels(parts, [vae], options, () => {
    using made = scope();
    const small = upsampleNearest(hidden, { size: original.size });
    const rest = original.latents({ generator, rows: generator.length }).mul(small.neg().add(1));
    if (content === "nothing") return made.keep(rest);
    const noise = randn(rest.shape, { generator: generator.map((own) => own.withSeed(own.seed)) }); // A1111's
    return made.keep(rest.add(noise.mul(small)));
  });
}

/** A picture's latents, drawn in its own size and made as large as those of what is drawn. [B, C, h, w] */
async function resizedLatents(
  parts: ChangingParts,
  { size: sides }: BeginSettings,
  image: Tensor,
  { generator, ...options }: Beginning,
): Promise<Tensor> {
  const { vae } = parts;
  const size = originalSize(image, vae, sides ?? {}, multipleOf(parts));
  const { pixels } = await readInitImage(image, 1, vae, changedSize(image, {}, vae.scaleFactor));
  using owned = new DisposableStack();
  owned.adopt(pixels, free);
  return await withModels(parts, [vae], options, () => {
    using made = scope();
    const latents = drawLatents(vae, pixels, { generator, rows: generator.length });
    return made.keep(interpolate(latents, { size, mode: "bilinear" }));
  });
}

/** A picture whose masked part has the colours around it. */
async function withFilled(image: Tensor, mask: Tensor): Promise<Tensor> {
  const [[picture], [hidden]] = [await imagesOf(image, "Cannot fill"), await imagesOf(mask, "Cannot fill")];
  return imageTensor(filled(picture, hidden));
}
