import { loadImage, manualSeed, randn, type RandomOptions, type Tensor } from "../../src/mod.ts";
import { linspace } from "../../src/core/math.ts";
import {
  ZImageImg2ImgPipeline,
  type ZImageImg2ImgRunOptions,
  ZImagePipeline,
  type ZImageRunOptions,
} from "../../src/pipelines/mod.ts";
import { muFor, setFlowTimesteps } from "../../src/pipelines/latents/flow.ts";
import { drawLatents } from "../../src/pipelines/latents/init_image.ts";
import { FlowMatchEulerDiscreteScheduler } from "../../src/schedulers/mod.ts";
import { type HostTensor, readTensors } from "../support/arrays.ts";
import { drawing } from "./drawing.ts";
import { camelCased, readJson } from "./json.ts";
import { loading } from "./precision.ts";
import { attempt, type Bound, compare, compareTensor, type Verdict } from "./verdict.ts";

type Verdicts = AsyncGenerator<Verdict, void, void>;
type Tensors = ReadonlyMap<string, HostTensor>;

/** What a set says of a run. */
interface Run {
  generator_seed: number | number[];
  args: Record<string, unknown>;
  /** The file of the picture that is changed. */
  image?: string;
}

/** What a set says of its runs and schedules. */
interface Meta {
  pipelines: Record<string, Run>;
  schedulers: Record<string, object>;
  schedule: { id: string; steps: number; image_seq_len: number; mu: number }[];
}

const NOISE = { abs: 5e-7 }; // as of torch.randn
const SIGMAS = { rel: 1e-6 };
const MODULE = { rel: 1e-4 }; // one run of a network in f32 on a GPU

const metaOf = (folder: string) => readJson<Meta>(`${folder}/expected/meta.json`);

/** The noise levels of sizes and steps, by the repository's scheduler and by one that shifts by size. */
export async function* zImageSchedule(folder: string, model: string): Verdicts {
  const { schedulers, schedule } = await metaOf(folder);
  const tensors = await readTensors(`${folder}/expected/schedule.safetensors`);
  for (const { id, steps, image_seq_len, mu } of schedule) {
    const scheduler = new FlowMatchEulerDiscreteScheduler(schedulers[id.split("/")[0]!]!);
    setFlowTimesteps(scheduler, linspace(1, 1 / steps, steps), () => muFor(scheduler, image_seq_len));
    const { timesteps, sigmas } = scheduler;
    const model_t = timesteps.map((t) => (1000 - t) / 1000);
    yield compare(`${model}/schedule/${id}/mu`, [muFor(scheduler, image_seq_len)], [mu], SIGMAS);
    for (const [name, got] of Object.entries({ timesteps, sigmas, model_t })) {
      yield compare(`${model}/schedule/${id}/${name}`, got, tensors.get(`${id}/${name}`)!.data, SIGMAS);
    }
  }
}

const RUN = /^((?:pipeline|img2img)\w*)\.safetensors$/;

/** Whether a file of expected values is of a pipeline. */
export function isZImageRun(file: string): boolean {
  return RUN.test(file);
}

/** The recorded runs: what each begins with, every step, and the picture. */
export async function* zImagePipelines(folder: string, model: string): Verdicts {
  const { pipelines } = await metaOf(folder);
  using pipeline = await ZImagePipeline.fromPretrained(`${folder}/pipeline`, loading());
  const changing = new ZImageImg2ImgPipeline(pipeline.parts);
  const names = [...Deno.readDirSync(`${folder}/expected`)].flatMap(({ name }) => RUN.exec(name)?.[1] ?? []);
  for (const name of names.sort()) {
    const id = `${model}/${name}`;
    const run = pipelines[name]!;
    const tensors = await readTensors(`${folder}/expected/${name}.safetensors`);
    try {
      yield* beginning(pipeline, id, run, tensors);
      if (run.image) {
        const image = await loadImage(`${folder}/expected/${run.image}`);
        yield* changed(pipeline, id, image, run, tensors);
        const options = { ...optionsOf(run), image };
        yield* drawing(id, tensors, (onStep) => changing.run({ ...options, onStep }));
      } else yield* drawing(id, tensors, (onStep) => pipeline.run({ ...optionsOf(run), onStep }));
      const { timesteps, sigmas } = pipeline.scheduler as FlowMatchEulerDiscreteScheduler;
      for (const [key, got] of Object.entries({ timesteps, sigmas })) {
        yield compare(`${id}/${key}`, got, tensors.get(key)!.data, SIGMAS);
      }
    } catch (error) {
      yield { id, status: "failed", note: (error as Error).message };
    }
  }
}

/** The noise, and what the text encoder makes of the prompts. */
async function* beginning(pipeline: ZImagePipeline, id: string, run: Run, tensors: Tensors): Verdicts {
  const { prompt, negativePrompt, maxSequenceLength, generator } = optionsOf(run);
  const encoded = await pipeline.encodePrompt({ prompt, negativePrompt, maxSequenceLength });
  const own = (x: Tensor, length: number) => x.slice(0, 0, 1).slice(1, 0, length).squeeze(0);
  const noise = tensors.get("initial_noise");
  const results: Record<string, readonly [Tensor, Bound]> = {
    prompt_embeds: [own(encoded.promptEmbeds, encoded.promptLengths[0]!), MODULE],
    negative_prompt_embeds: [own(encoded.negativePromptEmbeds, encoded.negativePromptLengths[0]!), MODULE],
    ...(noise ? { initial_noise: [randn(noise.shape, { generator }), NOISE] } : {}),
  };
  for (const [name, [got, bound]] of Object.entries(results)) {
    const want = tensors.get(name);
    if (want) yield await attempt(`${id}/${name}`, () => compareTensor(`${id}/${name}`, got, want, bound));
  }
}

/** What is drawn for a picture before its loop: its latents, then the noise. */
async function* changed(
  { parts }: ZImagePipeline,
  id: string,
  image: Tensor,
  run: Run,
  tensors: Tensors,
): Verdicts {
  const [want, noise] = ["image_latents", "noise"].map((name) => tensors.get(name));
  if (!want || !noise) return;
  await parts.vae.load();
  const { generator } = optionsOf(run);
  const latents = drawLatents(parts.vae, image.mul(2).sub(1), { generator });
  const drawn = randn(noise.shape, { generator });
  yield await attempt(
    `${id}/image_latents`,
    () => compareTensor(`${id}/image_latents`, latents, want, MODULE),
  );
  yield await attempt(`${id}/noise`, () => compareTensor(`${id}/noise`, drawn, noise, NOISE));
}

function optionsOf(
  { args, generator_seed: seed }: Run,
): ZImageRunOptions & Omit<ZImageImg2ImgRunOptions, "image"> {
  const generator: RandomOptions["generator"] = Array.isArray(seed)
    ? seed.map((one) => manualSeed(one))
    : manualSeed(seed);
  return { ...camelCased(args), generator, progress: false };
}
