import { manualSeed, type Tensor } from "../../src/mod.ts";
import { StableDiffusionXLPipeline, type StableDiffusionXLRunOptions } from "../../src/pipelines/mod.ts";
import { embedPromptsXL } from "../../src/pipelines/stable_diffusion_xl_prompts.ts";
import { type HostTensor, readTensors } from "../support/arrays.ts";
import { readJson } from "./json.ts";
import { comparePixels } from "./pixels.ts";
import { attempt, compare, compareTensor, EXACT, type Verdict } from "./verdict.ts";

type Verdicts = AsyncGenerator<Verdict, void, void>;

/** What a set says of a run; the sizes stand beside the arguments. */
interface Run {
  generator_seed: number;
  args: Record<string, unknown>;
  original_size?: [number, number];
  crops_coords_top_left?: [number, number];
}

const MODULE = { rel: 1e-4 }; // one run of a network in f32 on a GPU
const LOOP = { rel: 1e-3 }; // a whole loop

/** The recorded runs of StableDiffusionXLPipeline of one model. */
export async function* pipelinesXL(folder: string, model: string): Verdicts {
  const index = await readJson<{ _class_name: string }>(`${folder}/pipeline/model_index.json`);
  if (index._class_name !== "StableDiffusionXLPipeline") return;
  const meta = await readJson<Record<string, Run>>(`${folder}/expected/meta.json`);
  using pipeline = await StableDiffusionXLPipeline.fromPretrained(`${folder}/pipeline`, {
    dtype: "f32",
    onNotice: () => {},
  });
  for (const name of Object.keys(meta).filter((key) => key.startsWith("pipeline_"))) {
    const tensors = await readTensors(`${folder}/expected/${name}.safetensors`);
    const id = `${model}/${name}`;
    try {
      yield* embeddings(pipeline, runOptions(meta[name]), id, tensors);
      yield* drawing(pipeline, runOptions(meta[name]), id, tensors);
    } catch (error) {
      yield { id, status: "failed", note: (error as Error).message };
    }
  }
}

/** Every step that was recorded, and the picture. */
async function* drawing(
  pipeline: StableDiffusionXLPipeline,
  options: StableDiffusionXLRunOptions,
  id: string,
  tensors: Map<string, HostTensor>,
): Verdicts {
  const steps: Promise<Verdict>[] = [];
  const onStep = (step: number, _t: number, latents: Tensor) => {
    const name = `latents_after_step_${String(step).padStart(3, "0")}`;
    const want = tensors.get(name);
    if (want) steps.push(compareTensor(`${id}/${name}`, latents, want, LOOP));
  };
  const { images, latents } = await pipeline.run({ ...options, onStep });
  yield compare(`${id}/timesteps`, pipeline.parts.scheduler.timesteps, tensors.get("timesteps")!.data, EXACT);
  yield* await Promise.all(steps);
  yield await compareTensor(`${id}/final_latents`, latents, tensors.get("final_latents")!, LOOP);
  yield await compareTensor(`${id}/image_float`, images, tensors.get("image_float_0_1")!, LOOP);
  yield await comparePixels(`${id}/image`, images, tensors.get("image_uint8_nhwc")!);
}

/** What both text encoders make of the prompts, where the set has it. */
async function* embeddings(
  { parts }: StableDiffusionXLPipeline,
  options: StableDiffusionXLRunOptions,
  id: string,
  tensors: Map<string, HostTensor>,
): Verdicts {
  if (!tensors.has("prompt_embeds")) return;
  for (const encoder of [parts.textEncoder, parts.textEncoder2]) await encoder?.load();
  const { states, pooled } = embedPromptsXL(parts, options, true);
  const [[negativeStates, promptStates], [negativePooled, promptPooled]] = [states.chunk(2), pooled.chunk(2)];
  const results = {
    prompt_embeds: promptStates,
    negative_prompt_embeds: negativeStates,
    pooled_prompt_embeds: promptPooled,
    negative_pooled_prompt_embeds: negativePooled,
  };
  for (const [name, got] of Object.entries(results)) {
    yield await attempt(
      `${id}/${name}`,
      () => compareTensor(`${id}/${name}`, got, tensors.get(name)!, MODULE),
    );
  }
}

/** Python's names in camelCase. */
function runOptions({ generator_seed, args, ...sizes }: Run): StableDiffusionXLRunOptions {
  const { original_size, crops_coords_top_left } = sizes;
  const given = Object.entries({ ...args, original_size, crops_coords_top_left }).map(([name, value]) => [
    name.replace(/_(.)/g, (_, letter: string) => letter.toUpperCase()),
    value,
  ]);
  return {
    ...Object.fromEntries(given.filter(([, value]) => value !== undefined)),
    generator: manualSeed(generator_seed),
    progress: false,
  };
}
