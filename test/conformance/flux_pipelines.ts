import { manualSeed, randn, type Tensor } from "../../src/mod.ts";
import { type FluxParts, FluxPipeline, type FluxRunOptions, packLatents } from "../../src/pipelines/mod.ts";
import type { Scheduler } from "../../src/schedulers/mod.ts";
import { embedPrompts } from "../../src/pipelines/flux/prompts.ts";
import { type HostTensor, readTensors } from "../support/arrays.ts";
import { drawing } from "./drawing.ts";
import { camelCased, readJson } from "./json.ts";
import { loading } from "./precision.ts";
import { upload } from "../support/tensors.ts";
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
  using pipeline = await FluxPipeline.fromPretrained(`${folder}/pipeline`, loading());
  for (const file of files.sort()) {
    const [, name] = RUN.exec(file)!;
    const id = `${model}/${name}`;
    const tensors = await readTensors(`${folder}/expected/${file}`);
    try {
      yield* beginning(pipeline, id, meta[name!]!, tensors);
      yield* drawing(id, tensors, (onStep) => pipeline.run({ ...optionsOf(meta[name!]!), onStep }));
      yield* levels(pipeline.parts, id, tensors);
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
    results["initial_noise"] = [
      () => randn(noise.shape, { generator: manualSeed(run.generator_seed) }),
      NOISE,
    ];
    results["initial_packed"] = [() => packLatents(upload(noise)), EXACT];
  }
  const { embeddings: [first], guided } = await embedPrompts(parts, optionsOf(run));
  const { states, pooled } = first!;
  const halves = guided ? ["negative_prompt_embeds", "prompt_embeds"] : ["prompt_embeds"];
  for (const [i, name] of halves.entries()) {
    results[name] = [() => states.chunk(halves.length)[i]!, MODULE];
    results[name.replace("prompt", "pooled_prompt")] = [() => pooled.chunk(halves.length)[i]!, MODULE];
  }
  for (const [name, [result, bound]] of Object.entries(results)) {
    const [caseId, want] = [`${id}/${name}`, tensors.get(name)];
    if (want) yield await attempt(caseId, () => compareTensor(caseId, result(), want, bound));
  }
}

/** The timesteps and noise levels of the last run. */
function* levels({ scheduler }: FluxParts, id: string, tensors: Map<string, HostTensor>): Generator<Verdict> {
  const { timesteps, sigmas } = scheduler as Scheduler & { sigmas: readonly number[] };
  for (const [name, got] of Object.entries({ timesteps, sigmas })) {
    const want = tensors.get(name);
    if (want) yield compare(`${id}/${name}`, got, want.data, SIGMAS);
  }
}

function optionsOf({ args, generator_seed }: Run): FluxRunOptions {
  return { ...camelCased(args), generator: manualSeed(generator_seed), progress: false };
}
