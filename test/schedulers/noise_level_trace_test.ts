import assert from "node:assert/strict";
import { openDevice } from "../../src/gpu/open.ts";
import { manualSeed } from "../../src/random/mod.ts";
import { type Schedule, type Scheduler, schedulerClasses } from "../../src/schedulers/mod.ts";
import { scope, type Tensor, tensor } from "../../src/tensor/mod.ts";
import { type HostTensor, readTensors } from "../support/arrays.ts";
import { assertRelativelyClose } from "../support/close.ts";
import { fixture } from "../support/fixtures.ts";
import { camelCased, fakeModel, forEachLoop, type SamplingLoop } from "../support/sampling_loops.ts";

/** What LCM and TCD are told beside the schedule. */
type SetTimesteps = (schedule: Schedule, options: object) => void;

type Wanted = (array: string) => HostTensor;

const common = await readTensors(fixture("schedulers/_common.safetensors"));
const { shape } = common.get("sample0")!;
const upload = (name: string) => tensor([...common.get(name)!.data], shape);

const classes = [
  "EulerDiscreteScheduler",
  "EulerAncestralDiscreteScheduler",
  "HeunDiscreteScheduler",
  "KDPM2DiscreteScheduler",
  "KDPM2AncestralDiscreteScheduler",
  "LMSDiscreteScheduler",
  "LCMScheduler",
  "TCDScheduler",
  "FlowMatchEulerDiscreteScheduler",
  "FlowMatchHeunDiscreteScheduler",
];

for (const name of classes) {
  Deno.test(`${name} follows diffusers' sampling loops`, async () => {
    using _device = await openDevice();
    await forEachLoop(`schedulers/${name}`, async (loop, want) => {
      const scheduler = schedulerClasses[name]!.fromConfig(loop.config);
      setTimesteps(scheduler, loop);
      checkTimesteps(scheduler.timesteps, loop, want);
      assertRelativelyClose([scheduler.initNoiseSigma], [loop.init_noise_sigma], 1e-6, describe(loop));
      assert.equal(scheduler.order, loop.order);
      if ("sigmas" in scheduler) {
        assertRelativelyClose(scheduler.sigmas as number[], want("sigmas").data, 1e-6, describe(loop));
      }
      const start = upload("sample0").mul(scheduler.initNoiseSigma);
      await checkSteps(scheduler, scheduler.timesteps, start, loop, want);
      setTimesteps(scheduler, loop);
      await checkNoise(scheduler, loop, want);
    });
  });
}

Deno.test("sliceByStrength() and addNoise() begin on noise levels where image to image of diffusers does", async () => {
  using _device = await openDevice();
  await forEachLoop("schedulers/image_to_image/noise_levels", async (loop, want) => {
    const scheduler = schedulerClasses[loop.class]!.fromConfig(loop.config);
    scheduler.setTimesteps(loop.num_inference_steps);
    const timesteps = scheduler.sliceByStrength(loop.strength);
    checkTimesteps(timesteps, loop, want);
    const noisy = await checkNoise(scheduler, loop, want);
    await checkSteps(scheduler, timesteps, noisy, loop, want);
  });
});

/** Timesteps that follow from σ go through logarithms, which numpy rounds otherwise. */
function checkTimesteps(timesteps: readonly number[], loop: SamplingLoop, want: Wanted): void {
  const { data } = want("timesteps");
  assertRelativelyClose(timesteps, data, loop.timesteps_dtype === "int64" ? 0 : 1e-5, describe(loop));
}

/** Each step within a scope, as in a pipeline: what the scheduler remembers must outlive it. */
async function checkSteps(
  scheduler: Scheduler,
  timesteps: readonly number[],
  start: Tensor,
  loop: SamplingLoop,
  want: Wanted,
): Promise<void> {
  const options = { ...camelCased(loop.step_kwargs), generator: manualSeed(loop.generator_seed ?? 0) };
  const samples: number[] = [];
  let sample = start;
  for (const t of timesteps) {
    using step = scope(sample);
    const input = scheduler.scaleModelInput(sample, t);
    const output = tensor(fakeModel(await input.data(), t), shape);
    sample = step.keep(scheduler.step(output, t, sample, options).prevSample);
    samples.push(...await sample.data());
  }
  assertRelativelyClose(samples, want("prev_samples").data, boundOf(loop), describe(loop));
}

async function checkNoise(scheduler: Scheduler, loop: SamplingLoop, want: Wanted): Promise<Tensor> {
  const at = want("add_noise_t").data[0]!;
  const t = scheduler.timesteps.reduce((a, b) => Math.abs(b - at) < Math.abs(a - at) ? b : a);
  const noisy = scheduler.addNoise(upload("sample0"), upload("noise"), t);
  assertRelativelyClose(await noisy.data(), want("add_noise").data, 1e-5, describe(loop));
  return noisy;
}

/**
 * Largest error of a whole loop, relative to its largest value; measured: 2e-6, but where σ² cancels 9e-5.
 */
function boundOf({ class: name, config }: SamplingLoop): number {
  const cancels = config["beta_schedule"] === "squaredcos_cap_v2" ||
    name === "KDPM2AncestralDiscreteScheduler" ||
    (config["rescale_betas_zero_snr"] && name.startsWith("Euler"));
  return cancels ? 1e-4 : 1e-5;
}

function setTimesteps(scheduler: Scheduler, { num_inference_steps, set_timesteps_kwargs }: SamplingLoop) {
  const { timesteps, sigmas, mu, ...options } = set_timesteps_kwargs;
  const steps = timesteps ?? sigmas ? undefined : num_inference_steps;
  const set = scheduler.setTimesteps.bind(scheduler) as SetTimesteps;
  set({ steps, timesteps, sigmas, mu }, camelCased(options));
}

function describe({ id, class: name, config }: SamplingLoop): string {
  return `${name} ${id}, ${JSON.stringify(config)}`;
}
