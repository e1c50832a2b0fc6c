import { join } from "node:path";
import { z } from "zod";
import { type ConfigSchema, flag, parseConfig, positive, readJson } from "../../io/config.ts";
import { neededFiles } from "../../io/hub/needed_files.ts";
import { resolveRepo } from "../../io/hub/resolve_repo.ts";
import { inMode } from "../../io/images/image.ts";
import type { ResamplingFilter } from "../../io/images/resample.ts";
import { resizedImage } from "../../io/images/resize.ts";
import { imagesOf, imageTensor } from "../../io/images/tensors.ts";
import { scope, type Tensor, tensor } from "../../tensor/mod.ts";
import type { LoadOptions } from "../runtime/load.ts";

/** PIL's filters in the order of their numbers. */
const FILTERS: readonly ResamplingFilter[] = ["nearest", "lanczos", "bilinear", "bicubic", "box", "hamming"];

/** A SiglipImageProcessor's config: the keys of preprocessor_config.json, of which files may lack some. */
export interface SiglipImageProcessorConfig {
  /** Pictures are resized, whatever their ratio. */
  do_resize: boolean;
  /** Bytes are multiplied by rescale_factor. */
  do_rescale: boolean;
  /** The mean is subtracted, then divided by the deviation. */
  do_normalize: boolean;
  /** In pixels. */
  size: { height: number; width: number };
  /** PIL's number of a filter. */
  resample: number;
  /** 1 / 255 by default. */
  rescale_factor: number;
  /** Mean of red, green and blue, or one for all. */
  image_mean: number | number[];
  /** Standard deviation of red, green and blue, or one for all. */
  image_std: number | number[];
}

const colors = z.union([z.number(), z.array(z.number()).length(3)]);

const keys: ConfigSchema<SiglipImageProcessorConfig> = z.looseObject({
  do_resize: flag(true),
  do_rescale: flag(true),
  do_normalize: flag(true),
  size: z.object({ height: positive, width: positive }).default({ height: 224, width: 224 }),
  resample: z.int().nonnegative().max(FILTERS.length - 1).default(3),
  rescale_factor: z.number().default(1 / 255),
  image_mean: colors.default([0.5, 0.5, 0.5]),
  image_std: colors.default([0.5, 0.5, 0.5]),
});

/** Makes pictures the input of a SigLIP vision model, as transformers' class of that name does with pictures of PIL. */
export class SiglipImageProcessor {
  /** The keys of preprocessor_config.json, with transformers' defaults. */
  readonly config: SiglipImageProcessorConfig;

  /** By a config, checked; `where` names it in errors. */
  constructor(config: object = {}, where = "a SiglipImageProcessor") {
    this.config = parseConfig(keys, config, where);
  }

  /** Reads preprocessor_config.json of a folder or a repository. */
  static async fromPretrained(
    pathOrRepo: string,
    { subfolder = "feature_extractor", ...options }: LoadOptions = {},
  ): Promise<SiglipImageProcessor> {
    const { folder, files: [file] } = await resolveRepo(pathOrRepo, {
      ...options,
      files: (listing) => neededFiles(listing, { kind: "image processor", subfolder }),
    });
    const path = join(folder, file!);
    return new SiglipImageProcessor(await readJson(path) as object, path);
  }

  /** Pictures in [0, 1], resized whatever their ratio, and normalised. image [B, 3, H, W] → [B, 3, height, width] */
  async preprocess(image: Tensor): Promise<Tensor> {
    const { do_resize, do_rescale, do_normalize, size, resample, rescale_factor, image_mean, image_std } =
      this.config;
    const images = (await imagesOf(image, "Cannot see a picture")).map((image) => inMode(image, "RGB"));
    const [first, ...rest] = do_resize
      ? images.map((image) => resizedImage(image, size, { resample: FILTERS[resample]! }))
      : images;
    using made = scope();
    const bytes = imageTensor(first!, ...rest).mul(255);
    const pixels = do_rescale ? bytes.mul(rescale_factor) : bytes;
    if (!do_normalize) return made.keep(pixels);
    const [mean, std] = [image_mean, image_std].map((values) =>
      tensor(typeof values === "number" ? [values, values, values] : values, [3, 1, 1])
    );
    return made.keep(pixels.sub(mean!).div(std!));
  }
}
