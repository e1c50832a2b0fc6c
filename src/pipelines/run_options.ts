import { expectOptions } from "../core/error.ts";
import { Tensor } from "../tensor/mod.ts";

const embeds = ["promptEmbeds", "negativePromptEmbeds"] as const;
const pooledEmbeds = [...embeds, "pooledPromptEmbeds", "negativePooledPromptEmbeds"] as const;

const steps = ["progress", "signal", "interrupt", "onStep", "preview", "recover", "adapterScales"] as const;
const run = [...steps, "numInferenceSteps", "generator"] as const;
const prompts = ["prompt", "negativePrompt", "numImagesPerPrompt", "onNotice"] as const;
const prompts2 = [...prompts, "prompt2", "negativePrompt2", ...pooledEmbeds] as const;
const guiding = ["guidance", "guidanceInterval", "guidanceRescale"] as const;
const skipping = [
  "skipLayerGuidanceLayers",
  "skipLayerGuidanceScale",
  "skipLayerGuidanceStart",
  "skipLayerGuidanceStop",
] as const;
const guidance = [
  "guidanceScale",
  ...guiding,
  "cache",
  "pagScale",
  "pagAdaptiveScale",
  "pagAppliedLayers",
  "clipSkip",
  "promptSyntax",
  "eta",
  "outputType",
] as const;
const sizes = ["originalSize", "cropsCoordsTopLeft", "targetSize"] as const;
const negativeSizes = ["negativeOriginalSize", "negativeCropsCoordsTopLeft", "negativeTargetSize"] as const;
const refining = ["aestheticScore", "negativeAestheticScore", "denoisingStart", "denoisingEnd"] as const;

const fromNoise = ["height", "width", "latents"] as const;
const fromImage = ["height", "width", "image", "strength"] as const;
const pictures = ["ipAdapterImage", "ipAdapterImageEmbeds"] as const;
const diffusion = [...run, ...prompts, ...embeds, ...guidance, ...pictures] as const;
const diffusionXL = [...run, ...prompts2, ...guidance, ...pictures, ...sizes, ...negativeSizes] as const;
const control = [
  "controlnetConditioningScale",
  "controlGuidanceStart",
  "controlGuidanceEnd",
  "controlDecay",
  "controlPromptOnly",
  "guessMode",
] as const;
const fluxControl = [
  "controlImage",
  "controlMode",
  "controlnetConditioningScale",
  "controlGuidanceStart",
  "controlGuidanceEnd",
] as const;
const fromControl = ["height", "width", "latents", "image", ...control] as const;
const controlled = ["controlImage", "ipAdapterImage", "ipAdapterImageEmbeds", ...control] as const;
const fromAdapter = [
  "height",
  "width",
  "latents",
  "image",
  "adapterConditioningScale",
  "adapterConditioningFactor",
] as const;
const ownGuidance = ["guidanceScale", "trueCfgScale", ...guiding] as const;
const flux = [
  ...run,
  ...prompts2,
  ...ownGuidance,
  ...skipping,
  "cache",
  "maxSequenceLength",
  "sigmas",
  "outputType",
] as const;

const flux2 = [
  ...run,
  "prompt",
  "promptEmbeds",
  "numImagesPerPrompt",
  "onNotice",
  "guidanceScale",
  ...skipping,
  "cache",
  "sigmas",
  "outputType",
  ...fromNoise,
  "image",
] as const;
const zImage = [
  ...run,
  ...prompts,
  ...embeds,
  ...guiding,
  "guidanceScale",
  ...skipping,
  "cache",
  "promptLengths",
  "negativePromptLengths",
  "maxSequenceLength",
  "cfgNormalization",
  "cfgTruncation",
  "sigmas",
  "outputType",
] as const;

/** The options that the `run` of each pipeline takes. */
const OPTIONS = {
  DDPMPipeline: [...run, "batchSize"],
  DDIMPipeline: [...run, "batchSize", "eta", "useClippedModelOutput"],
  StableDiffusionPipeline: [...diffusion, ...fromNoise],
  StableDiffusionImg2ImgPipeline: [...diffusion, ...fromImage],
  StableDiffusionInpaintPipeline: [...diffusion, ...fromImage, "mask"],
  StableDiffusionControlNetPipeline: [...diffusion, ...fromControl],
  StableDiffusionControlNetImg2ImgPipeline: [...diffusion, ...fromImage, ...controlled],
  StableDiffusionControlNetInpaintPipeline: [...diffusion, ...fromImage, "mask", ...controlled],
  StableDiffusionXLPipeline: [...diffusionXL, ...fromNoise, "denoisingEnd"],
  StableDiffusionXLImg2ImgPipeline: [...diffusionXL, ...fromImage, ...refining],
  StableDiffusionXLInpaintPipeline: [...diffusionXL, ...fromImage, ...refining, "mask"],
  StableDiffusionXLControlNetPipeline: [...diffusionXL, ...fromControl, "denoisingEnd"],
  StableDiffusionXLControlNetImg2ImgPipeline: [...diffusionXL, ...fromImage, ...refining, ...controlled],
  StableDiffusionXLControlNetInpaintPipeline: [
    ...diffusionXL,
    ...fromImage,
    ...refining,
    "mask",
    ...controlled,
  ],
  StableDiffusionAdapterPipeline: [...diffusion, ...fromAdapter],
  StableDiffusionXLAdapterPipeline: [...diffusionXL, ...fromAdapter, "denoisingEnd"],
  FluxPipeline: [...flux, ...fromNoise],
  FluxImg2ImgPipeline: [...flux, "latents", ...fromImage],
  FluxInpaintPipeline: [...flux, ...fromImage, "mask"],
  FluxFillPipeline: [...flux, "latents", ...fromImage, "mask"],
  FluxKontextPipeline: [...flux, ...fromNoise, "image", "maxArea", "autoResize"],
  FluxControlPipeline: [...flux, ...fromNoise, "controlImage"],
  FluxControlImg2ImgPipeline: [...flux, "latents", ...fromImage, "controlImage"],
  FluxControlInpaintPipeline: [...flux, ...fromImage, "mask", "controlImage"],
  FluxControlNetPipeline: [...flux, ...fromNoise, ...fluxControl],
  FluxControlNetImg2ImgPipeline: [...flux, "latents", ...fromImage, ...fluxControl],
  FluxControlNetInpaintPipeline: [...flux, ...fromImage, "mask", ...fluxControl],
  Flux2Pipeline: flux2,
  Flux2KleinPipeline: [
    ...flux2,
    ...guiding,
    "negativePrompt",
    "negativePromptEmbeds",
    "maxSequenceLength",
    "textEncoderOutLayers",
  ],
  ZImagePipeline: [...zImage, ...fromNoise],
  ZImageImg2ImgPipeline: [...zImage, ...fromImage],
  ZImageInpaintPipeline: [...zImage, ...fromImage, "mask"],
  ZImageControlNetPipeline: [...zImage, ...fromNoise, "controlImage", "controlnetConditioningScale"],
  ZImageControlNetInpaintPipeline: [
    ...zImage,
    ...fromNoise,
    "controlImage",
    "controlnetConditioningScale",
    "image",
    "mask",
  ],
} as const;

/** A pipeline that is built. */
type PipelineName = keyof typeof OPTIONS;

/** The pipelines whose row names all of some options: so the type checker finds an option that its row lacks. */
export type PipelineTaking<Options> = {
  [Name in PipelineName]: keyof Options extends (typeof OPTIONS)[Name][number] ? Name : never;
}[PipelineName];

const optionsOf = (name: PipelineName): readonly string[] => OPTIONS[name];

/** The pipelines whose `run` takes an option. */
export function pipelinesWith(option: string): PipelineName[] {
  return (Object.keys(OPTIONS) as PipelineName[]).filter((name) => optionsOf(name).includes(option));
}

/** Throws for options of `encodePrompt` that a pipeline's `run` does not take. */
export function expectEncodeOptions(pipeline: PipelineName, options: object): void {
  expectNames(`encode prompts for ${pipeline}`, pipeline, options);
}

function expectNames(action: string, pipeline: PipelineName, options: object): void {
  expectOptions(action, options, optionsOf(pipeline), (name) => {
    const others = pipelinesWith(name);
    return others.length > 0 ? `it is one of ${others.join(", ")}` : undefined;
  });
}

/** Throws for options that a pipeline does not take. */
export function expectRunOptions(pipeline: PipelineName, options: object): void {
  expectNames(`run ${pipeline}`, pipeline, options);
  const given = options as AnyGiven;
  if (given.outputType !== undefined && given.outputType !== "latent") {
    const advice = 'leave it out for pictures, which come as a tensor, or say "latent"';
    throw new TypeError(`Cannot run ${pipeline} with outputType "${given.outputType}": ${advice}`);
  }
  for (const name of TENSORS) {
    const value = given[name];
    const isControlled = ["guessMode", "adapterConditioningScale", "controlMode"].some((option) =>
      optionsOf(pipeline).includes(option)
    );
    const several = name.startsWith("ipAdapter") || name === "controlImage" && isControlled ||
      name === "image" && (isControlled || pipeline.startsWith("Flux2"));
    const values = several ? [value].flat() : [value];
    const odd = values.find((value) => value !== undefined && !(value instanceof Tensor));
    if (odd === undefined) continue;
    const advice = /image|mask/i.test(name) ? "; read a file by loadImage" : "";
    throw new TypeError(
      `Cannot run ${pipeline}: expected ${name} to be a tensor, got ${typeof odd}${advice}`,
    );
  }
  for (const generator of [given.generator ?? []].flat()) {
    if (isGenerator(generator)) continue;
    throw new TypeError(
      `Cannot run ${pipeline}: expected a generator, e.g. manualSeed(0), or a list of them, got ${generator}`,
    );
  }
  if (given.onStep !== undefined && typeof given.onStep !== "function") {
    throw new TypeError(
      `Cannot run ${pipeline}: expected onStep to be a function, got ${typeof given.onStep}`,
    );
  }
}

function isGenerator(value: unknown): boolean {
  return typeof value === "object" && value !== null && "randn" in value;
}

const TENSORS = [
  "image",
  "mask",
  "controlImage",
  "ipAdapterImage",
  "ipAdapterImageEmbeds",
  "latents",
  ...pooledEmbeds,
] as const;

/** Options whose values are checked for all pipelines. */
type AnyGiven = { [name in (typeof TENSORS)[number] | "outputType" | "generator" | "onStep"]?: unknown };

/** Throws unless `value` is a whole number from 1. */
export function expectCount(name: string, value: number): void {
  if (Number.isSafeInteger(value) && value >= 1) return;
  throw new RangeError(`Cannot run with ${name} ${value}: expected a whole number from 1`);
}

/** Throws unless `value` is finite. */
export function expectNumber(name: string, value: number): void {
  if (!Number.isFinite(value)) throw new RangeError(`Cannot draw with ${name} ${value}: expected a number`);
}
