import { manualSeed, type Tensor, tensor } from "../../src/mod.ts";
import {
  LCMScheduler,
  type Scheduler,
  schedulerClasses,
  type StepOptions,
  TCDScheduler,
} from "../../src/schedulers/mod.ts";
import { type HostTensor, readTensors } from "../support/arrays.ts";
import { camelCased, fakeModel } from "../support/sampling_loops.ts";
import { readJson } from "./json.ts";
import { upload } from "../support/tensors.ts";
import { attempt, type Bound, compare, EXACT, refused, type Verdict, worst } from "./verdict.ts";

/** A sampling loop that diffusers ran. */
interface Trace {
  id: string;
  config: { beta_schedule?: string; solver_order?: number; rescale_betas_zero_snr?: boolean };
  num_inference_steps: number;
  set_timesteps_kwargs: {
    timesteps?: number[] | undefined;
    sigmas?: number[] | undefined;
    mu?: number | undefined;
    original_inference_steps?: number | undefined;
    strength?: number | undefined;
  };
  step_kwargs: Record<string, unknown>;
  generator_seed: number | null;
  order?: number | undefined;
  init_noise_sigma?: number | undefined;
  timesteps_dtype?: string | undefined;
  finite?: boolean | undefined;
  raises?: { type: string };
}

type Traced = Record<
  "model_inputs" | "model_outputs" | "prev_samples" | "pred_original_samples" | "denoised",
  Tensor[]
>;

/** The bound of σ. */
const SIGMAS = { rel: 1e-6 };
/** The bound of timesteps that follow from σ, through logarithms that numpy rounds otherwise. */
const LEVELS = { rel: 1e-5 };

/** What a set holds for one trace, by name. */
type Wanted = (name: string) => HostTensor | undefined;

/** Sampling loops against diffusers: one JSON and one safetensors file a class. */
export async function* schedulers(folder: string): AsyncGenerator<Verdict, void, void> {
  const common = await readTensors(`${folder}/_common.safetensors`);
  const files = [...Deno.readDirSync(folder)].map(({ name }) => name).filter((name) =>
    name.endsWith(".json")
  );
  for (const name of files.map((file) => file.replace(".json", "")).sort()) {
    const { cases } = await readJson<{ cases: Trace[] }>(`${folder}/${name}.json`);
    const arrays = await readTensors(`${folder}/${name}.safetensors`);
    for (const trace of cases) {
      const id = `${name}/${trace.id}`;
      const wanted: Wanted = (array) => arrays.get(`${trace.id}/${array}`) ?? common.get(array);
      if (!(name in schedulerClasses)) yield { id, status: "skipped", note: `${name} is not built yet` };
      else if (trace.raises || !trace.finite) yield await withoutTarget(id, name, trace, wanted);
      else yield await attempt(id, async () => worst(id, await follow(name, trace, wanted)));
    }
  }
}

/**
 * Where diffusers itself gives NaN or raises there is nothing to equal: a clear refusal is as good as an end.
 */
async function withoutTarget(id: string, name: string, trace: Trace, wanted: Wanted): Promise<Verdict> {
  const reason = `no target, as diffusers ${trace.raises ? `raises ${trace.raises.type}` : "gives NaN"}`;
  try {
    await follow(name, trace, wanted);
    return { id, status: "passed", note: `${reason}; runs to its end` };
  } catch (error) {
    const verdict = refused(id, error);
    return { ...verdict, note: `${reason}; ${verdict.note}` };
  }
}

/** Runs a whole loop on its own samples, and compares all that diffusers recorded. */
async function follow(name: string, trace: Trace, wanted: Wanted): Promise<Verdict[]> {
  const scheduler = schedulerClasses[name]!.fromConfig(trace.config);
  setTimesteps(scheduler, trace);
  const start = upload(wanted("sample0")!).mul(scheduler.initNoiseSigma);
  const options = stepOptions(trace);

  const traced = {
    model_inputs: [],
    model_outputs: [],
    prev_samples: [],
    pred_original_samples: [],
    denoised: [], // what diffusers' LCM calls it
  } as Traced;
  let sample = start;
  for (const t of scheduler.timesteps) {
    const input = scheduler.scaleModelInput(sample, t);
    const output = tensor(fakeModel(await input.data(), t), sample.shape);
    const { prevSample, predOriginalSample } = scheduler.step(output, t, sample, options);
    traced.model_inputs.push(input);
    traced.model_outputs.push(output);
    traced.prev_samples.push(prevSample);
    traced.pred_original_samples.push(predOriginalSample);
    traced.denoised.push(predOriginalSample);
    sample = prevSample;
  }

  const [original, noise] = [upload(wanted("sample0")!), upload(wanted("noise")!)];
  const at = [...wanted("add_noise_t")?.data ?? [scheduler.timesteps[0]]];
  const noisy = scheduler.addNoise(original, noise, at.map((t) => nearest(scheduler.timesteps, t!)));
  const bound = boundOf(name, trace);
  const whole = trace.timesteps_dtype === "int64";
  const verdicts = [
    compare("timesteps", scheduler.timesteps, wanted("timesteps")?.data ?? [], whole ? EXACT : LEVELS),
    compare("order", [scheduler.order], [trace.order ?? NaN], EXACT),
    compare("init_noise_sigma", [scheduler.initNoiseSigma], [trace.init_noise_sigma ?? NaN], SIGMAS),
  ];
  const sigmas = wanted("sigmas");
  if (sigmas && "sigmas" in scheduler) {
    verdicts.push(compare("sigmas", scheduler.sigmas as number[], sigmas.data, SIGMAS));
  }
  for (const [key, tensors] of Object.entries({ sample_start: [start], ...traced, add_noise: [noisy] })) {
    const want = wanted(key);
    if (want) verdicts.push(compare(key, await join(tensors), want.data, bound));
  }
  return verdicts;
}

/**
 * 1e-5; 1e-4 where a step is ill conditioned, and from σ = 4096, next to which x̂_0 loses its last 12 bits.
 */
function boundOf(name: string, { config }: Trace): Bound {
  const { beta_schedule, solver_order = 2, rescale_betas_zero_snr } = config;
  const ill = beta_schedule === "squaredcos_cap_v2" || solver_order > 2 ||
    (rescale_betas_zero_snr && name.startsWith("Euler"));
  return { rel: ill ? 1e-4 : 1e-5 };
}

/** The scheduler's own timestep for one of diffusers, which may be rounded otherwise. */
function nearest(timesteps: readonly number[], t: number): number {
  return timesteps.reduce((a, b) => Math.abs(b - t) < Math.abs(a - t) ? b : a);
}

async function join(tensors: readonly Tensor[]): Promise<number[]> {
  const arrays = await Promise.all(tensors.map((x) => x.data()));
  return arrays.flatMap((array) => [...array]);
}

/** Lists take the place of a number of steps. */
function setTimesteps(scheduler: Scheduler, { num_inference_steps, set_timesteps_kwargs }: Trace): void {
  const { timesteps, sigmas, mu, original_inference_steps, strength } = set_timesteps_kwargs;
  const schedule = timesteps || sigmas ? { timesteps, sigmas, mu } : { steps: num_inference_steps, mu };
  if (scheduler instanceof LCMScheduler || scheduler instanceof TCDScheduler) {
    scheduler.setTimesteps(schedule, { originalInferenceSteps: original_inference_steps, strength });
  } else {
    scheduler.setTimesteps(mu === undefined && schedule.steps !== undefined ? num_inference_steps : schedule);
  }
}

/** Arguments of step(): `use_clipped_model_output` → `useClippedModelOutput`. */
function stepOptions({ step_kwargs, generator_seed }: Trace): StepOptions {
  const generator = generator_seed === null ? undefined : manualSeed(generator_seed);
  return { ...camelCased(step_kwargs), generator };
}
