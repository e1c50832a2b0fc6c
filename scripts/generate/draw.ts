import { type Device, loadImage, manualSeed, OutOfMemoryError, type Tensor } from "denoise";
import type { AnyPipeline, RunOptions, StepCache } from "denoise/pipelines";
import { schedulerNamed } from "denoise/schedulers";
import { free } from "../../src/tensor/mod.ts";
import type { Size } from "../command_line/options.ts";
import { beginChange, type BeginSettings, expectBegin } from "./begin_change.ts";
import { readCache } from "./cache.ts";
import { controlOptions, type ControlSettings } from "./controlling.ts";
import { expectShape, type HiresSettings } from "./hires.ts";
import { overlaid } from "./mask_blur.ts";
import type { Settings } from "./options.ts";
import { type ChangingParts, pipelineFor, pipelineOf, takesReferences } from "./task_pipelines.ts";
import { covering, inTwoPasses, type Pass } from "./two_passes.ts";
import { firstSize } from "./usual.ts";
import { noisesOf, readVariation, type VariationSettings } from "./variation.ts";

/** Options by which one run differs from the next with the same settings. */
export type How =
  & Pick<RunOptions, "progress" | "preview" | "signal" | "interrupt" | "onStep" | "adapterScales">
  & {
    numInferenceSteps: number;
    /** Steps of the second pass, where there is one; as many by default. */
    hiresSteps?: number | undefined;
    /** The settings' cache, where its maker counts what it leaves out; a new one by default. */
    cache?: StepCache | undefined;
    /** Told in one line what of a prompt was cut; console.warn by default. */
    onNotice?: (line: string) => void;
  };

/** The same for one pass of two. */
type PassHow = Omit<How, "hiresSteps">;

/** Settings that a run takes. */
type RunSettings =
  & HiresSettings
  & VariationSettings
  & ControlSettings
  & BeginSettings
  & {
    readonly [Name in RunSetting]?: Settings[Name] | undefined;
  };
type RunSetting =
  | "prompt"
  | "negative"
  | "prompt-syntax"
  | "guidance"
  | "true-cfg"
  | "pag"
  | "cache"
  | "clip-skip"
  | "max-sequence-length"
  | "size"
  | "scheduler"
  | "strength"
  | "mask-blur";

/** Pictures that a GPU draws at once. */
export const BATCH = 8;

/** Pictures that are drawn at once on a device: a software adapter gains nothing by several, and a cache decides for all. */
export function picturesAtOnce(device: Device, { cache }: RunSettings = {}): number {
  return device.traits.software || cache !== undefined ? 1 : BATCH;
}

/** Draws a picture for each seed. → [B, 3, H, W] */
export type Draw = (seeds: readonly bigint[], how: How) => Promise<Tensor>;

/** A picture that is changed, and what of it, or pictures that the prompt is about. */
export interface Pictures {
  readonly images: readonly Tensor[];
  readonly mask: Tensor | undefined;
  /** One for each ControlNet, or one for FLUX.1 Depth or Canny. */
  readonly control: readonly Tensor[];
  /** One for each IP-Adapter. */
  readonly ip: readonly Tensor[];
}

/**
 * The size in which a setting's pictures are read: that which is drawn, where it is said; undefined for their own. Those that
 * IP-Adapters see or that control two passes, each of which has its size, have their own, and so has one whose latents are resized.
 */
export function sizeToRead(
  name: "image" | "mask" | "control" | "ip-image",
  { size, hires, resize }: Pick<RunSettings, "size" | "hires" | "resize">,
): Size | undefined {
  const isOwn = name === "ip-image" || name === "control" && hires !== undefined ||
    name === "image" && resize === "latents";
  return isOwn ? undefined : size;
}

/** Reads the pictures that settings name, in the sizes that `sizeToRead` tells, or all as they are. */
export async function loadPictures(
  settings: Settings,
  { asTheyAre }: { asTheyAre: boolean },
): Promise<Pictures> {
  const load = (name: Parameters<typeof sizeToRead>[0], paths: readonly string[] = []) => {
    const size = asTheyAre ? undefined : sizeToRead(name, settings);
    return Promise.all(paths.map((path) => loadImage(path, { size: size && [size.height, size.width] })));
  };
  const { image, mask, control, "ip-image": ip } = settings;
  return {
    images: await load("image", image),
    mask: (await load("mask", mask === undefined ? [] : [mask]))[0],
    control: await load("control", control),
    ip: await load("ip-image", ip),
  };
}

/**
 * The function that draws with some settings: from a picture if one is given, from the prompt if the pipeline
 * takes one, else from noise alone.
 */
export function drawing(pipeline: AnyPipeline, settings: RunSettings, pictures: Pictures): Draw {
  const { images, mask, control, ip } = pictures;
  const { parts } = pipeline;
  const own = parts.scheduler;
  if (!("vae" in parts)) {
    return async (seeds, { onNotice: _, hiresSteps: _steps, ...how }) => {
      const generator = seeds.map((seed) => manualSeed(seed));
      return (await pipeline.run({ ...how, batchSize: seeds.length, generator })).images;
    };
  }
  if (settings.scheduler !== undefined) {
    parts.scheduler = schedulerNamed(settings.scheduler).from(parts.scheduler);
  }
  expectBegin(parts, settings);
  const task = { image: images.length > 0, mask: mask !== undefined, control: control.length > 0 };
  const chosen = pipelineOf(pipeline, task);
  const changed = takesReferences(pipeline) && images.length > 0 ? images : images[0];
  const f = parts.vae.scaleFactor;
  const patch = takesReferences(pipeline) ? 2 : 1; // FLUX.2 draws its noise in patches of 2×2 latents
  const streamsOf = (seeds: readonly bigint[]) => noisesOf(seeds, settings, f * patch);
  const passBy = (chosen: AnyPipeline): Pass<PassHow> => (seeds, how, given) =>
    chosen.run({
      ...how,
      numImagesPerPrompt: seeds.length,
      generator: streamsOf(seeds),
      prompt: settings.prompt,
      negativePrompt: settings.negative,
      promptSyntax: settings["prompt-syntax"],
      guidanceScale: settings.guidance,
      trueCfgScale: settings["true-cfg"],
      pagScale: settings.pag,
      cache: how.cache ?? (settings.cache === undefined ? undefined : readCache(settings.cache)),
      clipSkip: settings["clip-skip"],
      maxSequenceLength: settings["max-sequence-length"],
      ...settings.size,
      image: changed,
      strength: settings.strength,
      mask,
      ...ip.length > 0 ? { ipAdapterImage: ip } : {},
      ...given,
    });
  const pass = passBy(chosen);
  const controlling = controlOptions(pipeline, settings, control, {
    changes: changed !== undefined,
    pass: 1,
  });
  const first: Pass<PassHow> = (seeds, how, given) => pass(seeds, how, { ...controlling, ...given });
  const { hires } = settings;
  if (hires === undefined) {
    const { "mask-blur": blur } = settings;
    const [original] = images;
    return async (seeds, { hiresSteps: _, ...how }) => {
      const generator = streamsOf(seeds);
      const { signal, onNotice } = how;
      const image = original &&
        await beginChange(parts as ChangingParts, settings, { image: original, mask }, {
          generator,
          signal,
          onNotice,
        });
      const run = first(seeds, how, image ? { image, generator } : {});
      const drawn = (await run.finally(() => free(image))).images;
      return blur === undefined || !original || !mask
        ? drawn
        : await overlaid(drawn, { image: original, mask, blur });
    };
  }
  const size = firstSize(
    parts,
    settings,
    control.map(({ shape }) => ({ height: shape[2]!, width: shape[3]! })),
  );
  expectShape(size, hires);
  const { "hires-scheduler": name } = settings;
  const scheduler = name === undefined ? parts.scheduler : schedulerNamed(name).from(own);
  const changing = { ...task, image: true };
  const second = passBy(pipelineFor({ ...parts, scheduler } as ChangingParts, changing));
  const given = {
    prompt: settings["hires-prompt"] ?? settings.prompt,
    negativePrompt: settings["hires-negative"] ?? settings.negative,
    guidanceScale: settings.guidance ?? usualGuidance(pipeline),
  };
  const again: Pass<PassHow> = async (seeds, how, changed) => {
    const seen = await Promise.all(control.map((one) => covering(one, size, hires)));
    try {
      const controlling = controlOptions(pipeline, settings, seen, { changes: true, pass: 2 });
      return await second(seeds, how, { ...given, ...controlling, ...changed });
    } finally {
      free(...seen);
    }
  };
  const isFlow = "transformer" in parts;
  const both = inTwoPasses(first, again, { ...settings, hires }, { size, f, isFlow });
  return (seeds, { hiresSteps, ...how }) => both(seeds, how, hiresSteps);
}

/** The guidance of a first pass where none is said, if that of pipelines that change pictures is another. */
function usualGuidance({ parts }: AnyPipeline): number | undefined {
  const isPlainFlux = "transformer" in parts && "textEncoder2" in parts && !("controlnet" in parts);
  return isPlainFlux && parts.transformer.config.guidance_embeds ? 3.5 : undefined;
}

/**
 * The seed of each picture, or of its variation: the first one's, then the numbers that follow; after the last of 64 bits
 * comes 0.
 */
export function seedsOf(
  { seed, count, variation }: Pick<Settings, "seed" | "count"> & Pick<VariationSettings, "variation">,
): bigint[] {
  const first = variation === undefined ? seed : readVariation(variation).seed;
  return Array.from({ length: count }, (_, i) => {
    const next = first + BigInt(i);
    return next < 2n ** 64n ? next : next - 2n ** 64n;
  });
}

/**
 * Draws in batches of at most so many, in fewer where memory does not suffice, until it is over; gives each picture with its
 * seed.
 */
export async function* inBatches(
  seeds: readonly bigint[],
  most: number,
  draw: (seeds: readonly bigint[]) => Promise<Tensor>,
  isOver: () => boolean = () => false,
): AsyncGenerator<readonly [seed: bigint, picture: Tensor]> {
  for (let done = 0; done < seeds.length && !isOver();) {
    const some = seeds.slice(done, done + most);
    try {
      const images = await draw(some);
      for (const [i, seed] of some.entries()) yield [seed, images.slice(0, i, i + 1)];
      done += some.length;
    } catch (error) {
      if (!(error instanceof OutOfMemoryError) || some.length === 1) throw error;
      most = Math.ceil(some.length / 2);
    }
  }
}

/** True for classes that see pictures in sizes of their own, whatever size is drawn. */
export function seesAsTheyAre(className: string): boolean {
  return /^Flux(2|Kontext)/.test(className);
}
