import type { Recipe } from "denoise";
import { Model } from "denoise/models";
import type { AnyPipeline } from "denoise/pipelines";
import type { Contents } from "./contents.ts";
import type { Settings } from "./options.ts";

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
  "image",
  "strength",
  "mask",
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
  const { prompt, memory } = settings;
  const [[, first]] = models;
  return {
    prompt: "vae" in parts ? prompt : undefined,
    ...Object.fromEntries(KEPT.map((name) => [name, settings[name]])),
    memory: memory && `${memory}B`,
    dtype: first.dtype,
    storage: packed.length > 0 ? packed : undefined,
    schedulerClass: scheduler.constructor.name,
    schedulerConfig: { ...scheduler.config },
    revision: first.revision,
    ...contents,
  };
}

/** The models of a pipeline by the names of its parts. */
function modelsOf({ parts }: AnyPipeline): [[string, Model], ...[string, Model][]] {
  const models = Object.entries(parts).filter((part): part is [string, Model] => part[1] instanceof Model);
  return models as [[string, Model], ...[string, Model][]];
}
