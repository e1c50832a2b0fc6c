import type { Recipe } from "denoise";
import { Model } from "denoise/models";
import type { AnyPipeline } from "denoise/pipelines";
import { samplerNamesOf } from "../../src/schedulers/sampler_names.ts";
import { sidesIn, type Size } from "../command_line/options.ts";
import type { Contents } from "./contents.ts";
import { hiresNames } from "./hires.ts";
import type { Settings } from "./options.ts";
import { strengthIn, type VariationSettings } from "./variation.ts";

/** Options that decide how a picture looks. */
export const KEPT = [
  "negative",
  "prompt-syntax",
  "model",
  "base",
  "config",
  "variant",
  "lora",
  "embedding",
  "vae",
  "controlnet",
  "t2i-adapter",
  "control",
  "control-mode",
  "ip-adapter",
  "ip-image",
  "scheduler",
  "steps",
  "guidance",
  "true-cfg",
  "pag",
  "cache",
  "clip-skip",
  "max-sequence-length",
  "variation",
  "seed-size",
  ...hiresNames,
  "image",
  "strength",
  "mask",
  "mask-blur",
  "mask-content",
  "resize",
  "quantize",
] as const;

/** Settings that a recipe keeps. */
type Kept = {
  readonly [Name in typeof KEPT[number] | "prompt" | "memory"]?: Settings[Name] | undefined;
};

/** The recipe of a run's pictures: all that changes a pixel, except for the seeds. */
export function recipeOf(pipeline: AnyPipeline, settings: Kept, contents: Contents): Recipe {
  const { parts } = pipeline;
  const models = modelsOf(pipeline);
  const packed = models.flatMap(([name, { quantize }]) => quantize ? [`${name} ${quantize}`] : []);
  const { scheduler } = parts;
  const { prompt, memory, hires, "seed-size": seedSize } = settings;
  const [[, first]] = models;
  return {
    prompt: "vae" in parts ? prompt : undefined,
    ...Object.fromEntries(KEPT.map((name) => [name, settings[name]])),
    hires: hires && sidesIn(hires),
    "seed-size": seedSize && sidesIn(seedSize),
    memory: memory && `${memory}B`,
    dtype: first.dtype,
    storage: packed.length > 0 ? packed : undefined,
    ..."vae" in parts ? samplerNamesOf(scheduler) : {},
    schedulerClass: scheduler.constructor.name,
    schedulerConfig: { ...scheduler.config },
    revision: first.revision,
    ...contents,
  };
}

/**
 * The recipe of one picture by its seed, or that of its variation. With a second pass its size is that of the first, where one
 * was said.
 */
export function recipeOfPicture(
  recipe: Recipe,
  settings: VariationSettings & { readonly size?: Size | undefined; readonly hires?: Size | undefined },
  picture: Size,
  seed: bigint,
): Recipe {
  const { size, hires, variation } = settings;
  const drawn = hires ? size : picture;
  const varied = variation === undefined
    ? { seed }
    : { seed: settings.seed ?? 0n, variation: `${seed}:${strengthIn(variation)}` };
  return { ...recipe, size: drawn && sidesIn(drawn), ...varied };
}

/** The models of a pipeline by the names of its parts. */
function modelsOf({ parts }: AnyPipeline): [[string, Model], ...[string, Model][]] {
  const models = Object.entries(parts).filter((part): part is [string, Model] => part[1] instanceof Model);
  return models as [[string, Model], ...[string, Model][]];
}
