import assert from "node:assert/strict";
import { openDevice } from "../../src/gpu/open.ts";
import { manualSeed } from "../../src/random/mod.ts";
import { type Schedule, type Scheduler, schedulerClasses } from "../../src/schedulers/mod.ts";
import { scope, type Tensor, tensor } from "../../src/tensor/mod.ts";
import { type HostTensor, readTensors } from "../support/arrays.ts";
import { assertRelativelyClose } from "../support/close.ts";
import { fixture } from "../support/fixtures.ts";

/** A sampling loop that diffusers ran; see test/fixtures/generator/solver_cases.py. */
interface Trace {
  id: string;
  class: string;
  config: { beta_schedule?: string; solver_order?: number };
  num_inference_steps: number;
  set_timesteps_kwargs: Schedule;
  generator_seed: number | null;
  init_noise_sigma: number;
  order: number;
  strength: number;
}

type Wanted = (array: string) => HostTensor;

const common = await readTensors(fixture("schedulers/_common.safetensors"));
const { shape } = common.get("sample0")!;
const upload = (name: string) => tensor([...common.get(name)!.data], shape);

const classes = [
  "PNDMScheduler",
  "UniPCMultistepScheduler",
  "DPMSolverMultistepScheduler",
  "DPMSolverSinglestepScheduler",
  "DEISMultistepScheduler",
];

for (const name of classes) {
  Deno.test(`${name} follows diffusers' sampling loops`, async () => {
    using _device = await openDevice();
    await forEachTrace(`schedulers/${name}`, async (trace, want) => {
      const scheduler = schedulerClasses[name]!.fromConfig(trace.config);
      setTimesteps(scheduler, trace);
      const about = describe(trace);
      assert.deepEqual(scheduler.timesteps, [...want("timesteps").data], about);
      assert.equal(scheduler.initNoiseSigma, trace.init_noise_sigma);
      assert.equal(scheduler.order, trace.order);
      if ("sigmas" in scheduler) {
        assertRelativelyClose(scheduler.sigmas as number[], want("sigmas").data, 1e-6, about);
      }
      await checkSteps(scheduler, scheduler.timesteps, upload("sample0"), trace, want);
      setTimesteps(scheduler, trace);
      await checkNoise(scheduler, trace, want);
    });
  });
}

Deno.test("sliceByStrength() and addNoise() begin where image to image of diffusers does", async () => {
  using _device = await openDevice();
  await forEachTrace("schedulers/image_to_image/solvers", async (trace, want) => {
    const scheduler = schedulerClasses[trace.class]!.fromConfig(trace.config);
    scheduler.setTimesteps(trace.num_inference_steps);
    const timesteps = scheduler.sliceByStrength(trace.strength);
    assert.deepEqual(timesteps, [...want("timesteps").data], describe(trace));
    const noisy = await checkNoise(scheduler, trace, want);
    await checkSteps(scheduler, timesteps, noisy, trace, want);
  });
});

async function forEachTrace(path: string, check: (trace: Trace, want: Wanted) => Promise<void>) {
  const arrays = await readTensors(fixture(`${path}.safetensors`));
  const { cases } = JSON.parse(await Deno.readTextFile(fixture(`${path}.json`)));
  assert.ok(cases.length > 5);
  for (const trace of cases as Trace[]) {
    await check(trace, (array) => arrays.get(`${trace.id}/${array}`)!);
  }
}

/** Each step within a scope, as in a pipeline: what the scheduler remembers must outlive it. */
async function checkSteps(
  scheduler: Scheduler,
  timesteps: readonly number[],
  start: Tensor,
  trace: Trace,
  want: Wanted,
): Promise<void> {
  const generator = manualSeed(trace.generator_seed ?? 0);
  const samples: number[] = [];
  let sample = start;
  for (const t of timesteps) {
    using step = scope(sample);
    const output = tensor(fakeModel(await sample.data(), t), shape);
    sample = step.keep(scheduler.step(output, t, sample, { generator }).prevSample);
    samples.push(...await sample.data());
  }
  assertRelativelyClose(samples, want("prev_samples").data, boundOf(trace), describe(trace));
}

async function checkNoise(scheduler: Scheduler, trace: Trace, want: Wanted): Promise<Tensor> {
  const noisy = scheduler.addNoise(upload("sample0"), upload("noise"), [...want("add_noise_t").data]);
  assertRelativelyClose(await noisy.data(), want("add_noise").data, 1e-5, describe(trace));
  return noisy;
}

/** Largest error of a whole trace, relative to its largest value; measured: 7e-6, order 3 1.4e-5. */
function boundOf({ config: { beta_schedule, solver_order = 2 } }: Trace): number {
  return beta_schedule === "squaredcos_cap_v2" || solver_order > 2 ? 1e-4 : 1e-5;
}

function setTimesteps(scheduler: Scheduler, { num_inference_steps, set_timesteps_kwargs }: Trace): void {
  const { timesteps, sigmas } = set_timesteps_kwargs;
  const steps = timesteps ?? sigmas ? undefined : num_inference_steps;
  scheduler.setTimesteps({ steps, ...set_timesteps_kwargs });
}

function describe({ id, class: name, config }: Trace): string {
  return `${name} ${id}, ${JSON.stringify(config)}`;
}

/** 0.3 x + 0.1 sin(t / 100 + i), what stood in for a model in diffusers. */
function fakeModel(x: ArrayLike<number>, t: number): Float32Array<ArrayBuffer> {
  return Float32Array.from(x, (value, i) => 0.3 * value + 0.1 * Math.sin(t / 100 + i));
}
