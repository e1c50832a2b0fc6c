import { manualSeed, randn, type Tensor } from "../../src/mod.ts";
import { FluxPipeline, type FluxRunOptions, packLatents } from "../../src/pipelines/mod.ts";
import { embedPromptsFlux } from "../../src/pipelines/flux_embeddings.ts";
import { type HostTensor, readTensors } from "../support/arrays.ts";
import { camelCased, readJson } from "./json.ts";
import { comparePixels } from "./pixels.ts";
import { upload } from "./upload.ts";
import { attempt, type Bound, compare, compareTensor, EXACT, type Verdict } from "./verdict.ts";

type Verdicts = AsyncGenerator<Verdict, void, void>;

/** What a set says of a run. */
interface Run {
  generator_seed: number;
  args: Record<string, unknown>;
}

const NOISE = { abs: 5e-7 }; // as of torch.randn
const SIGMAS = { rel: 1e-6 };
const MODULE = { rel: 1e-4 }; // one run of a network in f32 on a GPU
const LOOP = { rel: 1e-3 }; // a whole loop

const RUN = /^(pipeline\w*)\.safetensors$/;

/** Whether a file of expected values is of a pipeline. */
export function isPipelineFile(file: string): boolean {
  return RUN.test(file);
}

/** The recorded runs of FluxPipeline: what each begins with, every step, and the picture. */
export async function* pipelines(folder: string, model: string): Verdicts {
  const meta = await readJson<Record<string, Run>>(`${folder}/expected/meta.json`);
  const files = [...Deno.readDirSync(`${folder}/expected`)].map(({ name }) => name).filter(isPipelineFile);
  if (files.length === 0) return;
  using pipeline = await FluxPipeline.fromPretrained(`${folder}/pipeline`, {
    dtype: "f32",
    onNotice: () => {},
  });
  for (const file of files.sort()) {
    const [, name] = RUN.exec(file)!;
    const id = `${model}/${name}`;
    const tensors = await readTensors(`${folder}/expected/${file}`);
    try {
      yield* beginning(pipeline, id, meta[name], tensors);
      yield* drawing(pipeline, id, meta[name], tensors);
    } catch (error) {
      yield { id, status: "failed", note: (error as Error).message };
    }
  }
}

/** The noise, and what the text encoders make of the prompts. */
async function* beginning(
  { parts }: FluxPipeline,
  id: string,
  run: Run,
  tensors: Map<string, HostTensor>,
): Verdicts {
  const noise = tensors.get("initial_noise");
  const results: Record<string, [() => Tensor, Bound]> = {};
  if (noise) {
    results.initial_noise = [() => randn(noise.shape, { generator: manualSeed(run.generator_seed) }), NOISE];
    results.initial_packed = [() => packLatents(upload(noise)), EXACT];
  }
  const { embeddings: [{ states, pooled }], guided } = await embedPromptsFlux(parts, optionsOf(run));
  const halves = guided ? ["negative_prompt_embeds", "prompt_embeds"] : ["prompt_embeds"];
  for (const [i, name] of halves.entries()) {
    results[name] = [() => states.chunk(halves.length)[i], MODULE];
    results[name.replace("prompt", "pooled_prompt")] = [() => pooled.chunk(halves.length)[i], MODULE];
  }
  for (const [name, [result, bound]] of Object.entries(results)) {
    const [caseId, want] = [`${id}/${name}`, tensors.get(name)];
    if (want) yield await attempt(caseId, () => compareTensor(caseId, result(), want, bound));
  }
}

/** Every step that was recorded, and the picture. */
async function* drawing(
  pipeline: FluxPipeline,
  id: string,
  run: Run,
  tensors: Map<string, HostTensor>,
): Verdicts {
  const steps: Promise<Verdict>[] = [];
  const onStep = (step: number, _t: number, latents: Tensor) => {
    const name = `latents_after_step_${String(step).padStart(3, "0")}`;
    const want = tensors.get(name);
    if (want) steps.push(compareTensor(`${id}/${name}`, latents, want, LOOP));
  };
  const { images, latents } = await pipeline.run({ ...optionsOf(run), onStep });
  const { scheduler } = pipeline.parts;
  const { sigmas } = scheduler as unknown as { sigmas: number[] };
  for (
    const [name, got, bound] of [["timesteps", scheduler.timesteps, SIGMAS], [
      "sigmas",
      sigmas,
      SIGMAS,
    ]] as const
  ) {
    const want = tensors.get(name);
    if (want) yield compare(`${id}/${name}`, got, want.data, bound);
  }
  yield* await Promise.all(steps);
  yield await compareTensor(`${id}/final_latents`, latents, tensors.get("final_latents")!, LOOP);
  yield await compareTensor(`${id}/image_float`, images, tensors.get("image_float_0_1")!, LOOP);
  yield await comparePixels(`${id}/image`, images, tensors.get("image_uint8_nhwc")!);
}

function optionsOf({ args, generator_seed }: Run): FluxRunOptions {
  return { ...camelCased(args), generator: manualSeed(generator_seed), progress: false };
}
