import assert from "node:assert/strict";
import { size } from "../../src/core/shape.ts";
import { openDevice } from "../../src/gpu/open.ts";
import { manualSeed, randn } from "../../src/random/mod.ts";
import { DDIMScheduler, DDPMScheduler, type Scheduler } from "../../src/schedulers/mod.ts";
import { tensor } from "../../src/tensor/mod.ts";
import { type HostTensor, readTensors } from "../support/arrays.ts";
import { assertRelativelyClose } from "../support/close.ts";
import { fixture } from "../support/fixtures.ts";

/** Largest error of a whole trace, relative to its largest value; measured: 3e-6. */
const BOUND = 1e-5;

/** A sampling loop that diffusers ran; see test/fixtures/README.md. */
interface Trace {
  id: string;
  config: object;
  num_inference_steps: number;
  step_kwargs: Record<string, unknown>;
  generator_seed: number;
  init_noise_sigma: number;
  order: number;
  finite: boolean;
}

const common = await readTensors(fixture("schedulers/_common.safetensors"));
const [original, noise] = [common.get("sample0")!, common.get("noise")!];

const schedulers: Record<string, (config: object) => Scheduler> = {
  DDPMScheduler: (config) => DDPMScheduler.fromConfig(config),
  DDIMScheduler: (config) => DDIMScheduler.fromConfig(config),
};

for (const [name, make] of Object.entries(schedulers)) {
  Deno.test(`${name} follows diffusers' sampling loops`, async () => {
    using _device = await openDevice();
    const arrays = await readTensors(fixture(`schedulers/${name}.safetensors`));
    const { cases } = JSON.parse(await Deno.readTextFile(fixture(`schedulers/${name}.json`)));
    const finite = (cases as Trace[]).filter((trace) => trace.finite);
    assert.ok(finite.length > 80);
    for (const trace of finite) {
      await checkTrace(make(trace.config), trace, (array) => arrays.get(`${trace.id}/${array}`)!);
    }
  });
}

async function checkTrace(
  scheduler: Scheduler,
  trace: Trace,
  want: (array: string) => HostTensor,
) {
  const about = (what: string) => `${what} of ${trace.id}, ${JSON.stringify(trace.config)}`;
  scheduler.setTimesteps(trace.num_inference_steps);
  assert.deepEqual(scheduler.timesteps, [...want("timesteps").data], about("timesteps"));
  assert.equal(scheduler.initNoiseSigma, trace.init_noise_sigma);
  assert.equal(scheduler.order, trace.order);

  const options = { ...camelCased(trace.step_kwargs), generator: manualSeed(trace.generator_seed) };
  let sample = tensor([...want("sample_start").data], original.shape);
  const [prevSamples, originals]: number[][] = [[], []] as [never[], never[]];
  for (const t of scheduler.timesteps) {
    const input = await scheduler.scaleModelInput(sample, t).data();
    const output = tensor(fakeModel(input, t), original.shape);
    const step = scheduler.step(output, t, sample, options);
    sample = step.prevSample;
    prevSamples.push(...await sample.data());
    originals.push(...await step.predOriginalSample.data());
  }
  assertRelativelyClose(prevSamples, want("prev_samples").data, BOUND, about("prevSample"));
  assertRelativelyClose(originals, want("pred_original_samples").data, BOUND, about("predOriginalSample"));

  const noisy = scheduler.addNoise(
    tensor([...original.data], original.shape),
    tensor([...noise.data], noise.shape),
    [...want("add_noise_t").data],
  );
  assertRelativelyClose(await noisy.data(), want("add_noise").data, BOUND, about("addNoise"));
}

/** 0.3 x + 0.1 sin(t / 100 + i), what stood in for a model in diffusers. */
function fakeModel(x: ArrayLike<number>, t: number): Float32Array<ArrayBuffer> {
  return Float32Array.from(x, (value, i) => 0.3 * value + 0.1 * Math.sin(t / 100 + i));
}

/** `use_clipped_model_output` → `useClippedModelOutput`. */
function camelCased(kwargs: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(kwargs).map(([key, value]) => [
      key.replace(/_(.)/g, (_, letter: string) => letter.toUpperCase()),
      value,
    ]),
  );
}

Deno.test("DDPMScheduler and randn() repeat a sampling loop of a real UNet step by step", async () => {
  using _device = await openDevice();
  const arrays = await readTensors(fixture("ddpm/expected/sampling.safetensors"));
  const [outputs, samples] = ["model_outputs", "prev_samples"].map((name) => arrays.get(name)!) as [
    HostTensor,
    HostTensor,
  ];
  const shape = outputs.shape.slice(1);
  const count = size(shape);
  const scheduler = await DDPMScheduler.fromPretrained(fixture("ddpm/pipeline"));
  scheduler.setTimesteps(outputs.shape[0]!);
  assert.deepEqual(scheduler.timesteps, [...arrays.get("timesteps")!.data]);

  const generator = manualSeed(0);
  let sample = randn(shape, { generator });
  assert.deepEqual(await sample.data(), Float32Array.from(arrays.get("initial_noise")!.data));
  for (const [i, t] of scheduler.timesteps.entries()) {
    const part = (array: HostTensor) => array.data.subarray(i * count, (i + 1) * count);
    const output = tensor([...part(outputs)], shape);
    sample = scheduler.step(output, t, sample, { generator }).prevSample;
    assertRelativelyClose(await sample.data(), part(samples), BOUND, `sample after timestep ${t}`);
  }
});
