import { existsSync } from "node:fs";
import { loadImage, type Tensor } from "../../src/mod.ts";
import { AutoencoderKLFlux2, Flux2Transformer2DModel } from "../../src/models/mod.ts";
import {
  empiricalMu,
  Flux2KleinPipeline,
  type Flux2KleinRunOptions,
  Flux2Pipeline,
  type Flux2RunOptions,
} from "../../src/pipelines/mod.ts";
import { flux2ImageIds } from "../../src/models/flux2_transformer_2d/positions.ts";
import { encodeReferences, readReference } from "../../src/pipelines/flux2/references.ts";
import { FlowMatchEulerDiscreteScheduler } from "../../src/schedulers/mod.ts";
import { linspace } from "../../src/core/math.ts";
import { manualSeed, randn } from "../../src/random/mod.ts";
import { type HostTensor, readTensors } from "../support/arrays.ts";
import { upload } from "../support/tensors.ts";
import { drawing } from "./drawing.ts";
import { camelCased, readJson } from "./json.ts";
import { loading } from "./precision.ts";
import { attempt, compare, compareTensor, EXACT, type Verdict } from "./verdict.ts";

type Verdicts = AsyncGenerator<Verdict, void, void>;

/** What a set says of a run. */
interface Run {
  pipeline_class: string;
  generator_seed: number | number[];
  args: Record<string, unknown>;
  image?: string[];
  /** The model_index.json that says whether the model is distilled, where it is not the pipeline's own. */
  model_index?: string;
}

/** Noise levels for a size and a number of steps. */
interface Levels {
  id: number;
  steps: number;
  image_seq_len: number;
  mu: number;
}

interface Meta {
  schedule: Levels[];
  pipelines: Record<string, Run>;
  reference_resize: { cropped_hw: [number, number] };
}

const SIGMAS = { rel: 1e-6 };
const MODULE = { rel: 1e-4 }; // one run of a network in f32 on a GPU

const metaOf = (folder: string) => readJson<Meta>(`${folder}/expected/meta.json`);
const schedulerOf = (folder: string) =>
  FlowMatchEulerDiscreteScheduler.fromPretrained(`${folder}/pipeline`, { subfolder: "scheduler" });

/** The shift, timesteps and noise levels for sizes and numbers of steps. */
export async function* flux2Schedule(folder: string, model: string): Verdicts {
  const tensors = await readTensors(`${folder}/expected/schedule.safetensors`);
  const { schedule } = await metaOf(folder);
  const scheduler = await schedulerOf(folder);
  for (const { id, steps, image_seq_len, mu } of schedule) {
    const name = `${model}/schedule/${id}`;
    const own = empiricalMu(image_seq_len, steps);
    yield compare(`${name}/mu`, [own], [mu], { rel: 1e-12 });
    scheduler.setTimesteps({ sigmas: linspace(1, 1 / steps, steps), mu: own });
    for (const [key, got] of [["timesteps", scheduler.timesteps], ["sigmas", scheduler.sigmas]] as const) {
      yield compare(`${name}/${key}`, got, tensors.get(`${id}/${key}`)!.data, SIGMAS);
    }
  }
}

/** The tokens of the pictures that the runs refer to. */
export async function* flux2References(folder: string, model: string): Verdicts {
  const tensors = await readTensors(`${folder}/expected/edit_reference_tokens.safetensors`);
  using vae = await AutoencoderKLFlux2.fromPretrained(`${folder}/pipeline/vae`, loading());
  const pictures: Tensor[] = [];
  for (let k = 0; existsSync(referencePath(folder, k)); k++) {
    pictures.push(await readReference(await loadImage(referencePath(folder, k)), 2 * vae.scaleFactor));
  }
  const { tokens, ids } = encodeReferences(vae, pictures);
  const id = `${model}/edit_reference_tokens`;
  yield await attempt(
    `${id}/image_latents`,
    () => compareTensor(`${id}/image_latents`, tokens, tensors.get("image_latents")!, MODULE),
  );
  yield compare(`${id}/image_latent_ids`, ids.flat(), tensors.get("image_latent_ids")!.data, EXACT);
}

const referencePath = (folder: string, k: number) => `${folder}/expected/ref_${k}.png`;

/** A reference above 1024², resized and cut. */
export async function* largeReference(folder: string, model: string): Verdicts {
  const tensors = await readTensors(`${folder}/expected/ref_large.safetensors`);
  const { reference_resize: { cropped_hw: [H, W] } } = await metaOf(folder);
  const image = await loadImage(`${folder}/expected/ref_large.png`);
  using vae = await AutoencoderKLFlux2.fromPretrained(`${folder}/pipeline/vae`, loading());
  const picture = await readReference(image, 2 * vae.scaleFactor);
  const id = `${model}/ref_large`;
  yield compare(`${id}/size`, picture.shape, [1, 3, H, W], EXACT);
  const bytes = (await picture.add(1).mul(127.5).round().permute([0, 2, 3, 1]).data()) as Float32Array;
  const at = (
    row: number,
    column: number,
  ) => [...bytes.subarray((row * W + column) * 3, (row * W + column) * 3 + 3)];
  const grid = (rows: number, columns: number, down: number, right: number) =>
    Array.from(
      { length: rows },
      (_, i) => Array.from({ length: columns }, (_, j) => at(down * i, right * j)),
    );
  const cases = {
    sample_u8: (shape: readonly number[]) => grid(shape[0]!, shape[1]!, 29, 31),
    first_rows_u8: (shape: readonly number[]) => grid(shape[0]!, shape[1]!, 1, 1),
  };
  for (const [name, pixels] of Object.entries(cases)) {
    const want = tensors.get(name)!;
    yield compare(`${id}/${name}`, pixels(want.shape).flat(2), want.data, EXACT);
  }
  const means = await picture.mean([2, 3]).data();
  yield compare(`${id}/mean_per_channel`, means, tensors.get("mean_per_channel")!.data, { abs: 1e-4 });
}

/** True for a file of expected values of a run. */
export function isRunFile(file: string): boolean {
  return /^(pipeline|edit_\dref)\w*\.safetensors$/.test(file);
}

const DEV = "Flux2Pipeline";

/** The recorded runs: what some begin with, every step, and the picture. */
export async function* flux2Pipelines(folder: string, model: string): Verdicts {
  const { pipelines } = await metaOf(folder);
  using klein = await Flux2KleinPipeline.fromPretrained(`${folder}/pipeline`, loading());
  for (const [name, run] of Object.entries(pipelines)) {
    const path = `${folder}/expected/${name}.safetensors`;
    if (!existsSync(path)) continue;
    const id = `${model}/${name}`;
    const tensors = await readTensors(path);
    try {
      if (run.pipeline_class === DEV) yield* dev(folder, id, run, tensors);
      else yield* kleinRun(folder, id, await asIndexed(folder, run, klein), run, tensors);
    } catch (error) {
      yield { id, status: "failed", note: (error as Error).message };
    }
  }
}

/** The pipeline as the model_index.json of a run has it. */
async function asIndexed(folder: string, { model_index }: Run, { parts }: Flux2KleinPipeline) {
  const [file] = /^\S+\.json/.exec(model_index ?? "") ?? ["pipeline/model_index.json"];
  const { is_distilled = false } = await readJson<{ is_distilled?: boolean }>(`${folder}/${file}`);
  return new Flux2KleinPipeline({ ...parts, isDistilled: is_distilled });
}

/** A run of klein or of its base model. */
async function* kleinRun(
  folder: string,
  id: string,
  pipeline: Flux2KleinPipeline,
  run: Run,
  tensors: Map<string, HostTensor>,
): Verdicts {
  const options: Flux2KleinRunOptions = await optionsOf(folder, run);
  const { prompt, maxSequenceLength } = options;
  const embeds = tensors.get("prompt_embeds");
  if (embeds) {
    const { promptEmbeds } = await pipeline.encodePrompt({ prompt, maxSequenceLength });
    yield await attempt(
      `${id}/prompt_embeds`,
      () => compareTensor(`${id}/prompt_embeds`, promptEmbeds!, embeds, MODULE),
    );
  }
  const ids = tensors.get("latent_ids");
  if (ids) {
    const [H, W] = [options.height!, options.width!].map((side) =>
      side / (2 * pipeline.parts.vae.scaleFactor)
    );
    yield compare(`${id}/latent_ids`, flux2ImageIds([H!, W!]).flat(), ids.data, EXACT);
  }
  const noise = tensors.get("initial_noise");
  const packed = tensors.get("initial_packed");
  if (noise && packed) {
    const drawn = randn(noise.shape, { generator: manualSeed(run.generator_seed as number) });
    yield await attempt(
      `${id}/initial_noise`,
      () => compareTensor(`${id}/initial_noise`, drawn, noise, { abs: 5e-7 }),
    );
    const tokens = drawn.reshape([...noise.shape.slice(0, 2), -1]).permute([0, 2, 1]);
    yield await attempt(
      `${id}/initial_packed`,
      () => compareTensor(`${id}/initial_packed`, tokens, packed, { abs: 5e-7 }),
    );
  }
  yield* drawing(id, tensors, (onStep) => pipeline.run({ ...options, onNotice: () => {}, onStep }));
  yield* levels(pipeline, id, tensors);
}

/** A run of FLUX.2-dev, from embedded prompts. */
async function* dev(folder: string, id: string, run: Run, tensors: Map<string, HostTensor>): Verdicts {
  using transformer = await Flux2Transformer2DModel.fromPretrained(`${folder}/transformer_dev`, loading());
  using vae = await AutoencoderKLFlux2.fromPretrained(`${folder}/pipeline/vae`, loading());
  const pipeline = new Flux2Pipeline({ transformer, vae, scheduler: await schedulerOf(folder) });
  const options: Flux2RunOptions = {
    ...await optionsOf(folder, run),
    promptEmbeds: upload(tensors.get("prompt_embeds")!),
  };
  yield* drawing(id, tensors, (onStep) => pipeline.run({ ...options, onStep }));
  yield* levels(pipeline, id, tensors);
}

/** The timesteps and noise levels of the last run. */
function* levels(
  { scheduler }: { scheduler: Flux2Pipeline["scheduler"] },
  id: string,
  tensors: Map<string, HostTensor>,
): Generator<Verdict> {
  const { timesteps, sigmas } = scheduler as FlowMatchEulerDiscreteScheduler;
  for (const [name, got] of Object.entries({ timesteps, sigmas })) {
    const want = tensors.get(name);
    if (want) yield compare(`${id}/${name}`, got, want.data, SIGMAS);
  }
}

async function optionsOf(folder: string, { args, generator_seed, image }: Run) {
  const generator = Array.isArray(generator_seed)
    ? generator_seed.map((seed) => manualSeed(seed))
    : manualSeed(generator_seed);
  const pictures = await Promise.all((image ?? []).map((name) => loadImage(`${folder}/expected/${name}`)));
  return { ...camelCased(args), generator, progress: false, ...(image ? { image: pictures } : {}) } as const;
}
