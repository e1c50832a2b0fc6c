import { manualSeed, randn, type Tensor } from "../../src/mod.ts";
import { UNet2DModel } from "../../src/models/mod.ts";
import { DDIMPipeline, DiffusionPipeline } from "../../src/pipelines/mod.ts";
import { DDIMScheduler, DDPMScheduler } from "../../src/schedulers/mod.ts";
import { type HostTensor, readTensors } from "../support/arrays.ts";
import { readJson } from "./json.ts";
import { comparePixels } from "./pixels.ts";
import { loading } from "./precision.ts";
import { upload } from "../support/tensors.ts";
import { attempt, compare, compareTensor, EXACT, type Verdict } from "./verdict.ts";

/** What a set says of its runs. */
interface Meta {
  "unet_intermediates.safetensors": string;
  "sampling.safetensors": { steps: number; generator_seed: number };
  "ddim.safetensors": { steps: number; eta: number };
}

const MODULE = { rel: 1e-4 }; // one run of a network in f32 on a GPU
const LOOP = { rel: 1e-3 }; // a whole loop
const NOISE = { abs: 5e-7 };

/** The same model in today's layout and in that of the hub in 2022. */
const LAYOUTS = ["pipeline", "legacy_flat_bin"];

/** A UNet2DModel and its loops against diffusers. */
export async function* ddpm(folder: string): AsyncGenerator<Verdict, void, void> {
  const meta = await readJson<Meta>(`${folder}/expected/meta.json`);
  const read = (name: string) => readTensors(`${folder}/expected/${name}.safetensors`);
  for (const layout of LAYOUTS) yield* forwards(`${folder}/${layout}`, layout, await read("unet"));
  yield* intermediates(folder, meta, (await read("unet")).get("sample")!, await read("unet_intermediates"));
  yield* sampling(folder, meta, await read("sampling"));
  yield* ddim(folder, meta, await read("ddim"), (await read("sampling")).get("model_outputs")!);
  for (const layout of LAYOUTS) {
    yield* pipelines(`${folder}/${layout}`, layout, meta, await read("sampling"), await read("ddim"));
  }
}

type Tensors = Map<string, HostTensor>;
type Verdicts = AsyncGenerator<Verdict, void, void>;

/** One run of the model for each timestep, and one with a timestep a row. */
async function* forwards(path: string, layout: string, tensors: Tensors): Verdicts {
  using unet = await UNet2DModel.fromPretrained(path, { ...loading(), subfolder: "unet" });
  const sample = upload(tensors.get("sample")!);
  for (const [name, want] of tensors) {
    const [, t] = /^out_(?:t([\d.]+)|batch_t)$/.exec(name) ?? [];
    if (!name.startsWith("out_")) continue;
    const timesteps = t === undefined ? [...tensors.get("timestep_batch")!.data] : Number(t);
    yield await attempt(
      `${layout}/${name}`,
      () => compareTensor(`${layout}/${name}`, unet.forward(sample, timesteps).sample, want, MODULE),
    );
  }
}

/** The parts of the model, by diffusers' paths. */
async function* intermediates(folder: string, meta: Meta, sample: HostTensor, tensors: Tensors): Verdicts {
  const t = Number(/ t=([\d.]+)/.exec(meta["unet_intermediates.safetensors"])![1]);
  using unet = await UNet2DModel.fromPretrained(`${folder}/pipeline`, { ...loading(), subfolder: "unet" });
  const { taps } = unet.forward(upload(sample), t, { taps: unet.paths.filter((path) => tensors.has(path)) });
  for (const [path, want] of tensors) {
    const [id, got] = [`unet_intermediates/${path}`, taps[path]];
    if (got) yield await attempt(id, () => compareTensor(id, got, want, MODULE));
    else yield { id, status: "failed", note: "no part of this name" };
  }
}

/** The loop of DDPM, step by step on its own noise and samples. */
async function* sampling(folder: string, meta: Meta, tensors: Tensors): Verdicts {
  const { steps, generator_seed } = meta["sampling.safetensors"];
  using unet = await UNet2DModel.fromPretrained(`${folder}/pipeline`, { ...loading(), subfolder: "unet" });
  const scheduler = await DDPMScheduler.fromPretrained(`${folder}/pipeline`);
  scheduler.setTimesteps(steps);
  yield compare("sampling/timesteps", scheduler.timesteps, tensors.get("timesteps")!.data, EXACT);

  const initial = tensors.get("initial_noise")!;
  const [generator, copy] = [manualSeed(generator_seed), manualSeed(generator_seed)];
  let sample = randn(initial.shape, { generator });
  yield await compareTensor("sampling/initial_noise", sample, initial, NOISE);

  copy.randn(initial.data.length); // the initial noise
  for (const [i, t] of scheduler.timesteps.entries()) {
    const modelOutput = unet.forward(sample, t).sample;
    sample = scheduler.step(modelOutput, t, sample, { generator }).prevSample;
    const noise = t > 0 ? copy.randn(initial.data.length) : new Float32Array(initial.data.length);
    const want = (name: string) => row(tensors.get(name)!, i);
    yield compare(`sampling/variance_noise/${i}`, noise, want("variance_noise").data, NOISE);
    yield await compareTensor(`sampling/model_outputs/${i}`, modelOutput, want("model_outputs"), LOOP);
    yield await compareTensor(`sampling/prev_samples/${i}`, sample, want("prev_samples"), LOOP);
  }
  yield await comparePixels("sampling/image", picture(sample), tensors.get("image_uint8_nhwc")!);
}

/** The loop of DDIM on the same model, from the recorded noise. */
async function* ddim(folder: string, meta: Meta, tensors: Tensors, outputs: HostTensor): Verdicts {
  const { steps, eta } = meta["ddim.safetensors"];
  using unet = await UNet2DModel.fromPretrained(`${folder}/pipeline`, { ...loading(), subfolder: "unet" });
  const { config } = await DDPMScheduler.fromPretrained(`${folder}/pipeline`);
  const scheduler = DDIMScheduler.fromConfig(config);
  scheduler.setTimesteps(steps);
  yield compare("ddim/timesteps", scheduler.timesteps, tensors.get("timesteps")!.data, EXACT);

  let sample = upload(tensors.get("initial_noise")!);
  for (const t of scheduler.timesteps) {
    sample = scheduler.step(unet.forward(sample, t).sample, t, sample, { eta }).prevSample;
  }
  const final = tensors.get("final")!;
  const gain = gainOf(scheduler, outputs, final);
  yield await compareTensor("ddim/final", sample, final, { ...LOOP, gain });
  yield await comparePixels("ddim/image", picture(sample), tensors.get("image_uint8_nhwc")!, gain);
}

/**
 * What DDIM makes of an error in the model's outputs. With sigma = √((1 − ᾱ) / ᾱ), each step moves x / √ᾱ by the output times
 * the difference in sigma; errors of steps add up as independent ones do, and stand beside the final sample, whose ᾱ is 1.
 */
function gainOf({ timesteps, alphasCumprod }: DDIMScheduler, outputs: HostTensor, final: HostTensor): number {
  const sigmas = [...timesteps.map((t) => Math.sqrt(1 / alphasCumprod[t]! - 1)), 0];
  const moves = timesteps.map((_, i) => sigmas[i]! - sigmas[i + 1]!);
  return Math.hypot(...moves) * rootMeanSquare(outputs) / rootMeanSquare(final);
}

function rootMeanSquare({ data }: HostTensor): number {
  return Math.sqrt(data.reduce((sum, value) => sum + value * value, 0) / data.length);
}

/** Both loops as pipelines, which load and draw all by themselves. */
async function* pipelines(
  path: string,
  layout: string,
  { "sampling.safetensors": ddpmRun, "ddim.safetensors": ddimRun }: Meta,
  ddpmTensors: Tensors,
  ddimTensors: Tensors,
): Verdicts {
  const draw = async (pipeline: { run: typeof DDIMPipeline.prototype.run }, numInferenceSteps: number) => {
    const generator = manualSeed(ddpmRun.generator_seed);
    return (await pipeline.run({ numInferenceSteps, generator, progress: false })).images;
  };
  yield await attempt(`${layout}/DiffusionPipeline`, async () => {
    using pipeline = await DiffusionPipeline.fromPretrained(path, loading());
    const images = await draw(pipeline, ddpmRun.steps);
    return await comparePixels(`${layout}/DiffusionPipeline`, images, ddpmTensors.get("image_uint8_nhwc")!);
  });
  yield await attempt(`${layout}/DDIMPipeline`, async () => {
    using pipeline = await DDIMPipeline.fromPretrained(path, loading());
    const images = await draw(pipeline, ddimRun.steps);
    const gain = gainOf(
      pipeline.parts.scheduler as DDIMScheduler,
      ddpmTensors.get("model_outputs")!,
      ddimTensors.get("final")!,
    );
    return await comparePixels(`${layout}/DDIMPipeline`, images, ddimTensors.get("image_uint8_nhwc")!, gain);
  });
}

/** One step of a recorded loop. */
function row({ shape: [, ...shape], data, dtype }: HostTensor, i: number): HostTensor {
  const count = shape.reduce((product, n) => product * n, 1);
  return { shape, dtype, data: data.subarray(i * count, (i + 1) * count) };
}

/** [-1, 1] to [0, 1]. */
function picture(sample: Tensor): Tensor {
  return sample.div(2).add(0.5).clamp(0, 1);
}
