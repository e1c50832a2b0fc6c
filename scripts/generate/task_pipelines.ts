import {
  type AnyParts,
  type AnyPipeline,
  Flux2KleinPipeline,
  type Flux2Parts,
  Flux2Pipeline,
  FluxControlImg2ImgPipeline,
  FluxControlInpaintPipeline,
  FluxControlNetImg2ImgPipeline,
  FluxControlNetInpaintPipeline,
  type FluxControlNetParts,
  FluxControlNetPipeline,
  FluxControlPipeline,
  FluxFillPipeline,
  FluxImg2ImgPipeline,
  FluxInpaintPipeline,
  FluxKontextPipeline,
  FluxPipeline,
  type StableDiffusionAdapterParts,
  StableDiffusionAdapterPipeline,
  StableDiffusionControlNetImg2ImgPipeline,
  StableDiffusionControlNetInpaintPipeline,
  type StableDiffusionControlNetParts,
  StableDiffusionControlNetPipeline,
  StableDiffusionImg2ImgPipeline,
  StableDiffusionInpaintPipeline,
  StableDiffusionPipeline,
  type StableDiffusionXLAdapterParts,
  StableDiffusionXLAdapterPipeline,
  StableDiffusionXLControlNetImg2ImgPipeline,
  StableDiffusionXLControlNetInpaintPipeline,
  type StableDiffusionXLControlNetParts,
  StableDiffusionXLControlNetPipeline,
  StableDiffusionXLImg2ImgPipeline,
  StableDiffusionXLInpaintPipeline,
  StableDiffusionXLPipeline,
  type UnconditionalParts,
  ZImageControlNetInpaintPipeline,
  type ZImageControlNetParts,
  ZImageControlNetPipeline,
  ZImageImg2ImgPipeline,
  ZImageInpaintPipeline,
  ZImagePipeline,
} from "denoise/pipelines";

/** Pictures that a run begins with. */
interface Task {
  /** True if there is one to change. */
  readonly image: boolean;
  /** True if only a part of it is changed. */
  readonly mask: boolean;
  /** True if one controls. */
  readonly control?: boolean;
}

/** The pipeline of the same parts for a task: from a picture, within a mask, or from words or noise alone. */
export function pipelineOf(pipeline: AnyPipeline, task: Task): AnyPipeline {
  if (!("vae" in pipeline.parts) || hasOneTask(pipeline)) return pipeline;
  return pipelineFor(pipeline.parts as ChangingParts, task);
}

/** True where pictures are what a prompt is about, in any number. */
export function takesReferences(pipeline: AnyPipeline): boolean {
  return pipeline instanceof Flux2KleinPipeline || pipeline instanceof Flux2Pipeline;
}

/** True for a pipeline whose model was made for its task alone. */
function hasOneTask(pipeline: AnyPipeline): boolean {
  return takesReferences(pipeline) || pipeline instanceof FluxFillPipeline ||
    pipeline instanceof FluxKontextPipeline;
}

/** The parts of families that change one picture. */
export type ChangingParts = Exclude<AnyParts, UnconditionalParts | Flux2Parts>;

/** The pipeline of a family that takes a picture and a mask, a picture, or words alone. */
export function pipelineFor(parts: ChangingParts, { image, mask, control }: Task): AnyPipeline {
  if ("transformer" in parts && "controlnet" in parts && "textEncoder2" in parts) {
    const controlled = parts as FluxControlNetParts;
    if (mask) return new FluxControlNetInpaintPipeline(controlled);
    return image ? new FluxControlNetImg2ImgPipeline(controlled) : new FluxControlNetPipeline(controlled);
  }
  if ("transformer" in parts && "controlnet" in parts) {
    const controlled = parts as ZImageControlNetParts;
    return mask ? new ZImageControlNetInpaintPipeline(controlled) : new ZImageControlNetPipeline(controlled);
  }
  if ("transformer" in parts && !("textEncoder2" in parts)) {
    if (mask) return new ZImageInpaintPipeline(parts);
    return image ? new ZImageImg2ImgPipeline(parts) : new ZImagePipeline(parts);
  }
  if ("transformer" in parts && control) {
    if (mask) return new FluxControlInpaintPipeline(parts);
    return image ? new FluxControlImg2ImgPipeline(parts) : new FluxControlPipeline(parts);
  }
  if ("transformer" in parts) {
    if (mask) return new FluxInpaintPipeline(parts);
    return image ? new FluxImg2ImgPipeline(parts) : new FluxPipeline(parts);
  }
  if ("adapter" in parts) return adaptedFor(parts as AdaptedParts);
  if ("controlnet" in parts) return controlledFor(parts as ControlledParts, { image, mask });
  if ("textEncoder2" in parts) {
    if (mask) return new StableDiffusionXLInpaintPipeline(parts);
    return image ? new StableDiffusionXLImg2ImgPipeline(parts) : new StableDiffusionXLPipeline(parts);
  }
  if (mask) return new StableDiffusionInpaintPipeline(parts);
  return image ? new StableDiffusionImg2ImgPipeline(parts) : new StableDiffusionPipeline(parts);
}

type AdaptedParts = StableDiffusionAdapterParts | StableDiffusionXLAdapterParts;

/** The pipeline with T2I-Adapters. */
function adaptedFor(parts: AdaptedParts): AnyPipeline {
  return "textEncoder2" in parts
    ? new StableDiffusionXLAdapterPipeline(parts)
    : new StableDiffusionAdapterPipeline(parts);
}

type ControlledParts = StableDiffusionControlNetParts | StableDiffusionXLControlNetParts;

/** The same with ControlNets. */
function controlledFor(parts: ControlledParts, { image, mask }: Task): AnyPipeline {
  if ("textEncoder2" in parts) {
    if (mask) return new StableDiffusionXLControlNetInpaintPipeline(parts);
    return image
      ? new StableDiffusionXLControlNetImg2ImgPipeline(parts)
      : new StableDiffusionXLControlNetPipeline(parts);
  }
  if (mask) return new StableDiffusionControlNetInpaintPipeline(parts);
  return image
    ? new StableDiffusionControlNetImg2ImgPipeline(parts)
    : new StableDiffusionControlNetPipeline(parts);
}
