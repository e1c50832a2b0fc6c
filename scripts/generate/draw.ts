import { loadImage, manualSeed, type Tensor } from "denoise";
import {
  type AnyParts,
  type AnyPipeline,
  FluxImg2ImgPipeline,
  FluxPipeline,
  type RunOptions,
  StableDiffusionImg2ImgPipeline,
  StableDiffusionInpaintPipeline,
  StableDiffusionPipeline,
  StableDiffusionXLImg2ImgPipeline,
  StableDiffusionXLInpaintPipeline,
  StableDiffusionXLPipeline,
} from "denoise/pipelines";
import { schedulerClasses } from "denoise/schedulers";
import type { Settings } from "./options.ts";

/** What one run does otherwise than the next with the same settings. */
export type How = Pick<RunOptions, "progress" | "preview"> & { numInferenceSteps: number };

/**
 * Runs a pipeline: from a picture if one is given, from the prompt where it takes one, else from noise alone.
 */
export async function draw(pipeline: AnyPipeline, settings: Settings, how: How): Promise<Tensor> {
  const { parts } = pipeline;
  if (!("vae" in parts)) refuseFor(pipeline, settings);
  if (settings.scheduler && "vae" in parts) {
    parts.scheduler = schedulerClasses[settings.scheduler]!.fromConfig(parts.scheduler.config);
  }
  const [width, height] = settings.size?.split("x").map(Number) ?? [];
  const size = width && height ? [height, width] as const : undefined;
  const image = settings.image ? await loadImage(settings.image, { size }) : undefined;
  const mask = settings.mask ? await loadImage(settings.mask, { size }) : undefined;
  const { images } = await (pipelineFor(parts, image, mask) ?? pipeline).run({
    ...how,
    batchSize: settings.count,
    numImagesPerPrompt: settings.count,
    generator: seedsOf(settings).map((seed) => manualSeed(seed)),
    prompt: settings.prompt,
    negativePrompt: settings.negative,
    guidanceScale: settings.guidance,
    trueCfgScale: settings["true-cfg"],
    maxSequenceLength: settings["max-sequence-length"],
    width,
    height,
    image,
    strength: settings.strength,
    mask,
  });
  return images;
}

/** Refuses what a pipeline that draws from noise alone cannot do. */
function refuseFor(pipeline: AnyPipeline, settings: Settings): void {
  const given = (["image", "mask", "size", "scheduler"] as const).find((name) =>
    settings[name] !== undefined
  );
  if (!given) return;
  throw new TypeError(
    `Cannot take --${given} with ${pipeline.constructor.name}: it draws from noise alone, at the size of its model`,
  );
}

/** Of each picture. */
export function seedsOf({ seed, count }: Settings): number[] {
  return Array.from({ length: count! }, (_, i) => seed! + i);
}

/** The pipeline of a family that takes a picture and a mask, a picture, or words alone. */
function pipelineFor(parts: AnyParts, image?: Tensor, mask?: Tensor): AnyPipeline | undefined {
  if (!("vae" in parts)) return undefined;
  if ("transformer" in parts) {
    if (mask) throw new TypeError("Cannot take --mask with FLUX: its inpainting is not built");
    return image ? new FluxImg2ImgPipeline(parts) : new FluxPipeline(parts);
  }
  if ("textEncoder2" in parts) {
    if (mask) return new StableDiffusionXLInpaintPipeline(parts);
    return image ? new StableDiffusionXLImg2ImgPipeline(parts) : new StableDiffusionXLPipeline(parts);
  }
  if (mask) return new StableDiffusionInpaintPipeline(parts);
  return image ? new StableDiffusionImg2ImgPipeline(parts) : new StableDiffusionPipeline(parts);
}
