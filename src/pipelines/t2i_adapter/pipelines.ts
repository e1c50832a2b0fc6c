import { type ControlImages, firstImage } from "../latents/control.ts";
import { changedSize } from "../latents/init_image.ts";
import type { LatentOutput } from "../latents/loop.ts";
import type { PipelineOptions } from "../model_index.ts";
import { ADAPTERS, openNets } from "../open_nets.ts";
import { openParts } from "../open_parts.ts";
import { ownRun } from "../run.ts";
import { PARTS, type StableDiffusionParts } from "../stable_diffusion/parts.ts";
import {
  fromNoise,
  StableDiffusionBase,
  type StableDiffusionRunOptions,
} from "../stable_diffusion/pipelines.ts";
import type { ControlTask } from "../stable_diffusion/run.ts";
import { openPartsXL, type StableDiffusionXLParts } from "../stable_diffusion_xl/parts.ts";
import {
  fromNoise as fromNoiseXL,
  StableDiffusionXLBase,
  type StableDiffusionXLRunOptions,
} from "../stable_diffusion_xl/pipelines.ts";
import { type AdapterOptions, type AdapterParts, beginAdapters, multipleOf } from "./adapters.ts";

/** The parts of Stable Diffusion with T2I-Adapters. */
export interface StableDiffusionAdapterParts extends StableDiffusionParts, AdapterParts {}

/** The parts of Stable Diffusion XL with T2I-Adapters. */
export interface StableDiffusionXLAdapterParts extends StableDiffusionXLParts, AdapterParts {}

/** Pictures that control, and how. */
export interface AdapterImageOptions extends AdapterOptions {
  /**
   * The picture that controls, in [0, 1], one for each adapter, of which one that sees no colours takes the luma; its
   * size is drawn where no other is given. [1 or B, 1 or 3, H, W]
   */
  image: ControlImages;
}

/** The size that is drawn and, once a run has begun, its adapters' features. */
function adapted<Options extends AdapterImageOptions & StableDiffusionRunOptions>(
  parts: AdapterParts & Pick<StableDiffusionParts, "unet" | "vae">,
  options: Options,
): [options: Options, task: ControlTask] {
  const f = parts.vae.scaleFactor;
  const [height, width] = changedSize(firstImage(options.image), options, multipleOf(parts));
  const task: ControlTask = (run, { length: steps }, [h, w]) =>
    beginAdapters(parts, options.image, options, { run, steps, size: [f * h, f * w] });
  return [{ ...options, height, width }, task];
}

/** Options of `StableDiffusionAdapterPipeline.run`. */
export interface StableDiffusionAdapterRunOptions extends StableDiffusionRunOptions, AdapterImageOptions {}

/** Pictures from texts, controlled by pictures such as sketches (Mou et al. 2023, https://arxiv.org/abs/2302.08453). */
export class StableDiffusionAdapterPipeline extends StableDiffusionBase<StableDiffusionAdapterParts> {
  /** The option of `fromPretrained` that names what controls it. */
  static readonly nets = "adapter";

  /** The parts of a pipeline, and the T2I-Adapters of the options or its own. */
  static override async open(
    pathOrRepo: string,
    options: PipelineOptions,
  ): Promise<[StableDiffusionAdapterParts]> {
    const parts = await openParts(pathOrRepo, options, PARTS);
    return [{ ...parts, adapter: await openNets(ADAPTERS, pathOrRepo, options, parts.memory) }];
  }

  /** Draws pictures of prompts. */
  async run(options: StableDiffusionAdapterRunOptions): Promise<LatentOutput> {
    const name = "StableDiffusionAdapterPipeline";
    return await ownRun(
      name,
      this.parts,
      options,
      (parts, options) => fromNoise(parts, ...adapted(parts, options)),
    );
  }
}

/** Options of `StableDiffusionXLAdapterPipeline.run`. */
export interface StableDiffusionXLAdapterRunOptions
  extends StableDiffusionXLRunOptions, AdapterImageOptions {}

/** Pictures from texts by Stable Diffusion XL, controlled by pictures such as sketches. */
export class StableDiffusionXLAdapterPipeline extends StableDiffusionXLBase<StableDiffusionXLAdapterParts> {
  /** The option of `fromPretrained` that names what controls it. */
  static readonly nets = "adapter";

  /** The parts of a pipeline, and the T2I-Adapters of the options or its own. */
  static override async open(
    pathOrRepo: string,
    options: PipelineOptions,
  ): Promise<[StableDiffusionXLAdapterParts]> {
    const parts = await openPartsXL(pathOrRepo, options);
    return [{ ...parts, adapter: await openNets(ADAPTERS, pathOrRepo, options, parts.memory) }];
  }

  /** Draws pictures of prompts. */
  async run(options: StableDiffusionXLAdapterRunOptions): Promise<LatentOutput> {
    const name = "StableDiffusionXLAdapterPipeline";
    return await ownRun(
      name,
      this.parts,
      options,
      (parts, options) => fromNoiseXL(parts, ...adapted(parts, options)),
    );
  }
}
