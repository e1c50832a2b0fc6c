import { DDIMPipeline } from "./ddim_pipeline.ts";
import { DDPMPipeline } from "./ddpm_pipeline.ts";
import { type PipelineOptions, readIndex } from "./pipeline.ts";
import { StableDiffusionImg2ImgPipeline } from "./stable_diffusion_img2img_pipeline.ts";
import { StableDiffusionInpaintPipeline } from "./stable_diffusion_inpaint_pipeline.ts";
import { StableDiffusionPipeline } from "./stable_diffusion_pipeline.ts";
import { StableDiffusionXLImg2ImgPipeline } from "./stable_diffusion_xl_img2img_pipeline.ts";
import { StableDiffusionXLPipeline } from "./stable_diffusion_xl_pipeline.ts";

const classes = {
  DDPMPipeline,
  DDIMPipeline,
  StableDiffusionPipeline,
  StableDiffusionImg2ImgPipeline,
  StableDiffusionInpaintPipeline,
  StableDiffusionXLPipeline,
  StableDiffusionXLImg2ImgPipeline,
} as const;

/** A pipeline of one of the classes that are built. */
export type AnyPipeline =
  | DDPMPipeline
  | DDIMPipeline
  | StableDiffusionPipeline
  | StableDiffusionImg2ImgPipeline
  | StableDiffusionInpaintPipeline
  | StableDiffusionXLPipeline
  | StableDiffusionXLImg2ImgPipeline;

/** Loads whatever pipeline a repository's model_index.json names. */
export const DiffusionPipeline = {
  /** A pipeline of the class that the folder or repository asks for. */
  async fromPretrained(
    pathOrRepo: string,
    options: PipelineOptions = {},
  ): Promise<AnyPipeline> {
    const { className, commit } = await readIndex(pathOrRepo, options);
    if (!(className in classes)) {
      throw new TypeError(
        `Cannot load ${pathOrRepo}: expected one of ${Object.keys(classes).join(", ")}, got ${className}`,
      );
    }
    const source = { ...options, revision: commit ?? options.revision };
    return await classes[className as keyof typeof classes].fromPretrained(pathOrRepo, source);
  },
};
