import { expectOptions } from "../core/error.ts";
import { Tensor } from "../tensor/mod.ts";
import type { DDIMRunOptions } from "./unconditional/ddim.ts";
import type { DDPMRunOptions } from "./unconditional/ddpm.ts";
import type { DenoisingStartOptions } from "./stable_diffusion_xl/denoising_range.ts";
import type { FluxImg2ImgRunOptions } from "./flux/img2img.ts";
import type { FluxRunOptions } from "./flux/pipelines.ts";
import type { FluxPromptOptions } from "./flux/prompts.ts";
import type { LatentLoopOptions } from "./latents/loop.ts";
import type { RunOptions } from "./run.ts";
import type { PooledPromptEmbedsOptions, PromptEmbedsOptions } from "./prompts.ts";
import type { PromptOptions } from "./stable_diffusion/prompts.ts";
import type { StableDiffusionImg2ImgRunOptions } from "./stable_diffusion/img2img.ts";
import type { StableDiffusionInpaintRunOptions } from "./stable_diffusion/inpaint.ts";
import type { StableDiffusionRunOptions } from "./stable_diffusion/pipelines.ts";
import type { StableDiffusionXLImg2ImgRunOptions } from "./stable_diffusion_xl/img2img.ts";
import type { StableDiffusionXLInpaintRunOptions } from "./stable_diffusion_xl/inpaint.ts";
import type { StableDiffusionXLRunOptions } from "./stable_diffusion_xl/pipelines.ts";
import type { StableDiffusionXLPromptOptions } from "./stable_diffusion_xl/prompts.ts";
import type { AestheticOptions, MicroConditionOptions } from "./stable_diffusion_xl/sizes.ts";

/** The names of some options: the checker holds them to the interface. */
type Names<Options> = Record<keyof Options, true>;

const run = { progress: true, signal: true, onStep: true, preview: true, recover: true } satisfies Names<
  RunOptions
>;

const steps = { numInferenceSteps: true, generator: true } as const;

const loop = {
  ...run,
  guidanceScale: true,
  guidanceRescale: true,
  generator: true,
  eta: true,
  outputType: true,
} satisfies Names<LatentLoopOptions>;

const embeds = { promptEmbeds: true, negativePromptEmbeds: true } satisfies Names<PromptEmbedsOptions>;

const pooledEmbeds = {
  ...embeds,
  pooledPromptEmbeds: true,
  negativePooledPromptEmbeds: true,
} satisfies Names<PooledPromptEmbedsOptions>;

const prompts = {
  ...embeds,
  prompt: true,
  negativePrompt: true,
  numImagesPerPrompt: true,
  clipSkip: true,
  onNotice: true,
} satisfies Names<PromptOptions>;

const promptsXL = { ...prompts, ...pooledEmbeds, prompt2: true, negativePrompt2: true } satisfies Names<
  StableDiffusionXLPromptOptions
>;

const promptsFlux = {
  prompt: true,
  prompt2: true,
  negativePrompt: true,
  negativePrompt2: true,
  ...pooledEmbeds,
  numImagesPerPrompt: true,
  maxSequenceLength: true,
  trueCfgScale: true,
  onNotice: true,
} satisfies Names<FluxPromptOptions>;

const micro = {
  originalSize: true,
  cropsCoordsTopLeft: true,
  targetSize: true,
  negativeOriginalSize: true,
  negativeCropsCoordsTopLeft: true,
  negativeTargetSize: true,
} satisfies Names<MicroConditionOptions>;

const aesthetic = { aestheticScore: true, negativeAestheticScore: true } satisfies Names<AestheticOptions>;

const range = { denoisingEnd: true, denoisingStart: true } satisfies Names<DenoisingStartOptions>;

const size = { height: true, width: true } as const;
const fromNoise = { ...size, latents: true } as const;
const fromImage = { ...size, image: true, strength: true } as const;
const diffusion = { ...loop, ...prompts, ...steps };
const diffusionXL = { ...loop, ...promptsXL, ...steps, ...micro };
const flux = {
  ...run,
  ...promptsFlux,
  ...steps,
  outputType: true,
  sigmas: true,
  guidanceScale: true,
  latents: true,
} as const;

/** What the `run` of each pipeline takes. */
const OPTIONS = {
  DDPMPipeline: { ...run, ...steps, batchSize: true } satisfies Names<DDPMRunOptions>,
  DDIMPipeline: {
    ...run,
    ...steps,
    batchSize: true,
    eta: true,
    useClippedModelOutput: true,
  } satisfies Names<DDIMRunOptions>,
  StableDiffusionPipeline: { ...diffusion, ...fromNoise } satisfies Names<StableDiffusionRunOptions>,
  StableDiffusionImg2ImgPipeline: { ...diffusion, ...fromImage } satisfies Names<
    StableDiffusionImg2ImgRunOptions
  >,
  StableDiffusionInpaintPipeline: { ...diffusion, ...fromImage, mask: true } satisfies Names<
    StableDiffusionInpaintRunOptions
  >,
  StableDiffusionXLPipeline: { ...diffusionXL, ...fromNoise, denoisingEnd: true } satisfies Names<
    StableDiffusionXLRunOptions
  >,
  StableDiffusionXLImg2ImgPipeline: { ...diffusionXL, ...fromImage, ...aesthetic, ...range } satisfies Names<
    StableDiffusionXLImg2ImgRunOptions
  >,
  StableDiffusionXLInpaintPipeline: {
    ...diffusionXL,
    ...fromImage,
    ...aesthetic,
    ...range,
    mask: true,
  } satisfies Names<StableDiffusionXLInpaintRunOptions>,
  FluxPipeline: { ...flux, ...size } satisfies Names<FluxRunOptions>,
  FluxImg2ImgPipeline: { ...flux, ...fromImage } satisfies Names<FluxImg2ImgRunOptions>,
};

/** A pipeline that is built. */
export type PipelineName = keyof typeof OPTIONS;

/** The pipelines whose `run` takes an option. */
export function pipelinesWith(option: string): PipelineName[] {
  return (Object.keys(OPTIONS) as PipelineName[]).filter((name) => Object.hasOwn(OPTIONS[name], option));
}

/** Throws where a pipeline is told what it does not take. */
export function expectRunOptions(pipeline: PipelineName, options: object): void {
  expectOptions(`run ${pipeline}`, options, Object.keys(OPTIONS[pipeline]), (name) => {
    const others = pipelinesWith(name);
    return others.length > 0 ? `it is one of ${others.join(", ")}` : undefined;
  });
  const given = options as AnyGiven;
  if (given.outputType !== undefined && given.outputType !== "latent") {
    const advice = 'leave it out for pictures, which come as a tensor, or say "latent"';
    throw new TypeError(`Cannot run ${pipeline} with outputType "${given.outputType}": ${advice}`);
  }
  for (const name of TENSORS) {
    const value = given[name];
    if (value === undefined || value instanceof Tensor) continue;
    const advice = name === "image" || name === "mask" ? "; read a file by loadImage" : "";
    throw new TypeError(
      `Cannot run ${pipeline}: expected ${name} to be a tensor, got ${typeof value}${advice}`,
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
  "latents",
  ...Object.keys(pooledEmbeds) as (keyof typeof pooledEmbeds)[],
] as const;

/** Options whose values are checked for all pipelines. */
type AnyGiven = { [name in (typeof TENSORS)[number] | "outputType" | "generator" | "onStep"]?: unknown };
