import type { Shape } from "../../src/core/shape.ts";
import { existsSync } from "node:fs";
import { loadPng, manualSeed, type Tensor } from "../../src/mod.ts";
import {
  type LatentOutput,
  pictureOf,
  StableDiffusionImg2ImgPipeline,
  type StableDiffusionOptions,
  type StableDiffusionParts,
  StableDiffusionPipeline,
} from "../../src/pipelines/mod.ts";
import { schedulerClasses } from "../../src/schedulers/mod.ts";
import { type HostTensor, readTensors } from "../support/arrays.ts";
import { readJson } from "./json.ts";
import { comparePixels } from "./pixels.ts";
import { loading } from "./precision.ts";
import { attempt, compare, compareTensor, EXACT, type Verdict } from "./verdict.ts";

/** Arguments of diffusers' pipelines. */
interface Arguments {
  prompt: string | string[];
  negative_prompt?: string | undefined;
  num_inference_steps: number;
  guidance_scale: number;
  guidance_rescale?: number | undefined;
  clip_skip?: number | undefined;
  num_images_per_prompt?: number | undefined;
  height?: number | undefined;
  width?: number | undefined;
  strength?: number | undefined;
}

/** What a set says of one run. */
interface Run {
  args: Arguments;
  generator_seed: number;
  scheduler: string;
  scheduler_config?: object | undefined;
}

type Meta = Record<string, Run | Arguments> & { pipelines?: Record<string, Run> };
type Verdicts = AsyncGenerator<Verdict, void, void>;

const LOOP = { rel: 1e-3 }; // a whole loop

/** Files of expected values that are judged here. */
const RUN = /^((?:pipeline|img2img)_\w+)\.safetensors$/;

/** Whether a file of expected values is of a pipeline. */
export function isPipelineFile(file: string): boolean {
  return RUN.test(file);
}

/** The pipelines of one model with all latents that a set kept, and their pictures. */
export async function* pipelines(folder: string, model: string): Verdicts {
  const path = `${folder}/pipeline/model_index.json`;
  if (!existsSync(path) || !existsSync(`${folder}/expected`)) return;
  if ((await readJson<{ _class_name: string }>(path))._class_name !== "StableDiffusionPipeline") return;
  const files = [...Deno.readDirSync(`${folder}/expected`)].map(({ name }) => name).filter(isPipelineFile);
  if (files.length === 0) return;
  const own = await readJson<object>(`${folder}/pipeline/scheduler/scheduler_config.json`);
  const meta = await readJson<Meta>(`${folder}/expected/meta.json`);
  using pipeline = await StableDiffusionPipeline.fromPretrained(`${folder}/pipeline`, loading());
  for (const file of files.sort()) {
    const [, name] = RUN.exec(file)!;
    const want = await readTensors(`${folder}/expected/${file}`);
    const run = runFor(meta, name!);
    if (run) {
      const scheduler = schedulerFor(own, run) ?? pipeline.parts.scheduler;
      const parts = { ...pipeline.parts, scheduler };
      yield* runOf(`${model}/${name}`, parts, run, want, `${folder}/expected`);
    } else {
      yield { id: `${model}/${name}`, status: "failed", note: "meta.json does not say how it was made" };
    }
  }
}

/** What a set says of the run of a file. */
function runFor(meta: Meta, name: string): Run | undefined {
  const entry = meta.pipelines?.[name.replace(/^pipeline_/, "")] ?? meta[name];
  if (!entry || "args" in entry) return entry as Run | undefined;
  return { args: entry as Arguments, generator_seed: 0, scheduler: "" }; // the batch has its arguments bare
}

/** Draws as one file says, and judges what it holds. */
async function* runOf(
  id: string,
  parts: StableDiffusionParts,
  run: Run,
  want: Map<string, HostTensor>,
  expected: string,
): Verdicts {
  const kept = new Map<string, Tensor>();
  let result: LatentOutput;
  try {
    const options = optionsOf(run, want);
    // The product is a tensor of its own, which outlives the step.
    options.onStep = (step, _, latents) => {
      kept.set(`latents_after_step_${String(step).padStart(3, "0")}`, latents.mul(1));
    };
    result = await draw(parts, run, options, expected);
    const times = want.get("timesteps");
    if (times) yield compare(`${id}/timesteps`, parts.scheduler.timesteps, times.data, EXACT);
  } catch (error) {
    yield { id, status: "failed", note: (error as Error).message };
    return;
  }
  kept.set("final_latents", result.latents);
  for (const [name, values] of want) {
    if (!/^latents_after_step_|^final_latents$/.test(name)) continue;
    const [caseId, got] = [`${id}/${name}`, kept.get(name)];
    if (got) yield await attempt(caseId, () => compareTensor(caseId, got, values, LOOP));
    else yield { id: caseId, status: "failed", note: "no such step" };
  }
  const picture = want.get("image_uint8_nhwc");
  if (picture) yield await attempt(`${id}/image`, () => comparePixels(`${id}/image`, result.images, picture));
}

/**
 * The scheduler of a run where it is not the model's own.
 * One whose config the set does not tell was not to clip.
 */
function schedulerFor(config: object, { scheduler, scheduler_config }: Run) {
  if (!scheduler) return undefined;
  const Class = schedulerClasses[scheduler as keyof typeof schedulerClasses]!;
  return Class.fromConfig(scheduler_config ?? { ...config, clip_sample: false });
}

/** The options of a run. A batch has one stream a picture, counted from 0. */
function optionsOf({ args, generator_seed }: Run, want: Map<string, HostTensor>): StableDiffusionOptions {
  const [B] = want.get("final_latents")!.shape as Shape<1>;
  return {
    prompt: args.prompt,
    negativePrompt: args.negative_prompt,
    numInferenceSteps: args.num_inference_steps,
    guidanceScale: args.guidance_scale,
    guidanceRescale: args.guidance_rescale,
    clipSkip: args.clip_skip,
    numImagesPerPrompt: args.num_images_per_prompt,
    generator: B === 1
      ? manualSeed(generator_seed)
      : Array.from({ length: B }, (_, i) => manualSeed(generator_seed + i)),
    progress: false,
  };
}

/** Runs the pipeline that the arguments are of. */
async function draw(
  parts: StableDiffusionParts,
  { args: { height, width, strength } }: Run,
  options: StableDiffusionOptions,
  expected: string,
): Promise<LatentOutput> {
  if (strength === undefined) {
    return await new StableDiffusionPipeline(parts).run({ ...options, height, width });
  }
  const image = `${expected}/img2img_input.png`;
  if (!existsSync(image)) throw new Error(`Cannot draw: expected ${image}, got no such file`);
  const pipeline = new StableDiffusionImg2ImgPipeline(parts);
  return await pipeline.run({ ...options, image: pictureOf(await loadPng(image)), strength });
}
