import { DDIMPipeline } from "./ddim_pipeline.ts";
import { DDPMPipeline } from "./ddpm_pipeline.ts";
import { type PipelineOptions, readIndex } from "./pipeline.ts";

const classes = { DDPMPipeline, DDIMPipeline } as const;

/** Loads whatever pipeline a repository's model_index.json names. */
export const DiffusionPipeline = {
  /** A pipeline of the class that the folder or repository asks for. */
  async fromPretrained(
    pathOrRepo: string,
    options: PipelineOptions = {},
  ): Promise<DDPMPipeline | DDIMPipeline> {
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
