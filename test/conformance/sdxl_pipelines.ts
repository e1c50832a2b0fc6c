import { manualSeed } from "../../src/mod.ts";
import { StableDiffusionXLPipeline, type StableDiffusionXLRunOptions } from "../../src/pipelines/mod.ts";
import { type HostTensor, readTensors } from "../support/arrays.ts";
import { drawing } from "./drawing.ts";
import { camelCased, readJson } from "./json.ts";
import { loading } from "./precision.ts";
import { attempt, compare, compareTensor, EXACT, type Verdict } from "./verdict.ts";

type Verdicts = AsyncGenerator<Verdict, void, void>;

/** What a set says of a run; the sizes stand beside the arguments. */
interface Run {
  generator_seed: number;
  args: Record<string, unknown>;
  original_size?: [number, number] | undefined;
  crops_coords_top_left?: [number, number] | undefined;
}

const MODULE = { rel: 1e-4 }; // one run of a network in f32 on a GPU

/** The recorded runs of StableDiffusionXLPipeline of one model. */
export async function* pipelinesXL(folder: string, model: string): Verdicts {
  const index = await readJson<{ _class_name: string }>(`${folder}/pipeline/model_index.json`);
  if (index._class_name !== "StableDiffusionXLPipeline") return;
  const meta = await readJson<Record<string, Run>>(`${folder}/expected/meta.json`);
  using pipeline = await StableDiffusionXLPipeline.fromPretrained(`${folder}/pipeline`, loading());
  for (const name of Object.keys(meta).filter((key) => key.startsWith("pipeline_"))) {
    const tensors = await readTensors(`${folder}/expected/${name}.safetensors`);
    const id = `${model}/${name}`;
    try {
      yield* embeddings(pipeline, runOptions(meta[name]!), id, tensors);
      yield* drawing(id, tensors, (onStep) => pipeline.run({ ...runOptions(meta[name]!), onStep }));
      const { timesteps } = pipeline.parts.scheduler;
      yield compare(`${id}/timesteps`, timesteps, tensors.get("timesteps")!.data, EXACT);
    } catch (error) {
      yield { id, status: "failed", note: (error as Error).message };
    }
  }
}

/** What both text encoders make of the prompts, where the set has it. */
async function* embeddings(
  pipeline: StableDiffusionXLPipeline,
  options: StableDiffusionXLRunOptions,
  id: string,
  tensors: Map<string, HostTensor>,
): Verdicts {
  if (!tensors.has("prompt_embeds")) return;
  const encoded = await pipeline.encodePrompt(options);
  const results = {
    prompt_embeds: encoded.promptEmbeds,
    negative_prompt_embeds: encoded.negativePromptEmbeds,
    pooled_prompt_embeds: encoded.pooledPromptEmbeds,
    negative_pooled_prompt_embeds: encoded.negativePooledPromptEmbeds,
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
  const given = Object.entries({ ...args, original_size, crops_coords_top_left });
  const told = Object.fromEntries(given.filter(([, value]) => value !== undefined));
  return {
    ...camelCased(told) as { prompt: string },
    generator: manualSeed(generator_seed),
    progress: false,
  };
}
