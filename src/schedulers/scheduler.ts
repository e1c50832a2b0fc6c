import { join } from "node:path/posix";
import { z } from "zod";
import { parseConfig, readJson } from "../io/config.ts";
import { neededFiles, type Progress, resolveRepo } from "../io/hub.ts";
import type { RandomOptions } from "../random/mod.ts";
import type { Tensor } from "../tensor/mod.ts";
import { givenKeys, markDefaults } from "./config.ts";

/** Where a scheduler's config lies, and how to fetch it. */
export interface SchedulerSource {
  /** Folder of scheduler_config.json; where the repository has no such folder, its root is searched. */
  subfolder?: string;
  /** Branch, tag or commit; "main" by default. */
  revision?: string;
  /** Instead of HF_TOKEN. */
  token?: string;
  /** Use what the cache holds and ask nobody. */
  localFilesOnly?: boolean;
  /** Told how far the download is. */
  onProgress?: (progress: Progress) => void;
}

/** What step() may be told. */
export interface StepOptions {
  /** Where the noise of the step comes from; a list has one stream for each image. */
  generator?: RandomOptions["generator"];
}

/** What step() returns. */
export interface StepOutput {
  /** The sample one step nearer to the image, x_{t−1}. */
  prevSample: Tensor;
  /** The image as the model sees it now, x̂_0. */
  predOriginalSample: Tensor;
}

/** What every scheduler has: a config, the timesteps to visit, and a step from one to the next. */
export abstract class Scheduler<Config extends object = object> {
  /** The complete config, with diffusers' keys. Keys that the class does not know are kept. */
  readonly config: Config;
  #timesteps: number[] | undefined;

  /** Checks and completes the config. */
  protected constructor(schema: z.ZodType<Config>, config: object) {
    const given = givenKeys(config);
    this.config = markDefaults(parseConfig(schema, given, new.target.name), given);
  }

  /**
   * A scheduler with the config of another, perhaps of another class. What was merely a default of that class is not
   * carried over, as in diffusers.
   */
  static fromConfig<Config, S>(this: new (config: Config) => S, config: object): S {
    return new this(config as Config);
  }

  /** Reads scheduler_config.json from a local folder or a Hugging Face repository. */
  static async fromPretrained<Config, S>(
    this: new (config: Config) => S,
    pathOrRepo: string,
    { subfolder = "scheduler", ...options }: SchedulerSource = {},
  ): Promise<S> {
    const { folder, files: [file] } = await resolveRepo(pathOrRepo, {
      ...options,
      files: (listing) => neededFiles(listing, { kind: "scheduler", subfolder }),
    });
    const path = join(folder, file);
    return new this(parseConfig(z.looseObject({}), await readJson(path), path) as Config);
  }

  /** Model calls that one step of the method takes. */
  get order(): number {
    return 1;
  }

  /** Standard deviation of the noise to begin with. */
  get initNoiseSigma(): number {
    return 1;
  }

  /** The timesteps to visit, the noisiest first. */
  get timesteps(): number[] {
    if (this.#timesteps) return this.#timesteps;
    throw new Error(
      `Cannot use ${this.constructor.name}: expected timesteps, got none; call setTimesteps(steps) first`,
    );
  }

  protected set timesteps(timesteps: number[]) {
    this.#timesteps = timesteps;
  }

  /** Chooses how many timesteps to visit. */
  abstract setTimesteps(steps: number): void;

  /** The sample as the model wants it at timestep t. */
  scaleModelInput(sample: Tensor, _t: number): Tensor {
    return sample;
  }

  /** One step back, from x_t to x_{t−1}. */
  abstract step(modelOutput: Tensor, t: number, sample: Tensor, options?: StepOptions): StepOutput;

  /** The images with noise as at a timestep, or at one timestep for each image: where img2img begins. */
  abstract addNoise(original: Tensor, noise: Tensor, timesteps: number | readonly number[]): Tensor;

  /** Position of t among the timesteps. */
  protected indexOf(t: number): number {
    const index = this.timesteps.indexOf(t);
    if (index >= 0) return index;
    throw new RangeError(
      `Cannot step at timestep ${t}: expected one of ${this.timesteps.length} from ${this.timesteps[0]} to ` +
        `${this.timesteps.at(-1)}; pass an entry of timesteps`,
    );
  }
}
