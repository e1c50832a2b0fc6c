import assert from "node:assert/strict";
import { manualSeed } from "../../src/random/mod.ts";
import {
  DPMSolverSDEScheduler,
  KDiffusionScheduler,
  type SamplerName,
  SAMPLERS,
  type Scheduler,
} from "../../src/schedulers/mod.ts";
import { scope, type Tensor, tensor } from "../../src/tensor/mod.ts";
import { assertRelativelyClose } from "../support/close.ts";
import "../support/device.ts";
import { fakeModel } from "../support/sampling_loops.ts";

const shape = [2, 1, 2, 2];
const sd = { beta_start: 0.00085, beta_end: 0.012, beta_schedule: "scaled_linear" } as const;
const start = () => tensor(Array.from({ length: 8 }, (_, i) => Math.sin(3 * i)), shape);

/** The last sample of a loop over such timesteps. */
async function run(
  scheduler: Scheduler,
  timesteps: readonly number[],
  from: Tensor,
  seed = 7,
): Promise<number[]> {
  const generator = manualSeed(seed);
  let sample = from;
  for (const t of timesteps) {
    using step = scope(sample);
    const output = tensor(fakeModel(await scheduler.scaleModelInput(sample, t).data(), t), shape);
    sample = step.keep(scheduler.step(output, t, sample, { generator }).prevSample);
  }
  return [...await sample.data()];
}

for (const sampler of SAMPLERS.filter((name) => name !== "dpm_fast")) {
  Deno.test(`${sampler} cut by a strength goes as one that has no σ before`, async () => {
    const whole = new KDiffusionScheduler({ ...sd, sampler });
    whole.setTimesteps(8);
    const timesteps = whole.sliceByStrength(0.5);
    const rest = new KDiffusionScheduler({ ...sd, sampler });
    rest.setTimesteps({ sigmas: sigmasOf(8).slice(4) });
    assert.deepEqual(timesteps, rest.timesteps);
    const got = await run(whole, timesteps, start());
    assertRelativelyClose(got, await run(rest, rest.timesteps, start()), 1e-6, sampler);

    whole.setTimesteps(8); // without setBeginIndex(), by the timestep alone
    assertRelativelyClose(await run(whole, timesteps, start()), got, 1e-6, sampler);
  });
}

/** σ of so many steps of Euler. */
function sigmasOf(steps: number): number[] {
  const euler = new KDiffusionScheduler({ ...sd, sampler: "euler" });
  euler.setTimesteps(steps);
  return euler.sigmas;
}

Deno.test("a loop of KDiffusionScheduler goes on from a snapshot, in the middle of a step too", async () => {
  for (const sampler of ["seeds_3", "dpmpp_3m_sde", "heunpp2", "ipndm"] satisfies SamplerName[]) {
    const [one, other] = [0, 1].map(() => new KDiffusionScheduler({ ...sd, sampler, noise_sampler_seed: 3 }));
    for (const scheduler of [one!, other!]) scheduler.setTimesteps(5);
    const { timesteps } = one!;
    const outputs = timesteps.map((t) => tensor(fakeModel([1, 2, 3, 4, 5, 6, 7, 8], t), shape));
    const [mine, theirs] = [manualSeed(1), manualSeed(1)];
    let sample = start();
    const half = Math.min(4, timesteps.length - 1);
    for (let i = 0; i < half; i++) {
      sample = one!.step(outputs[i]!, timesteps[i]!, sample, { generator: mine }).prevSample;
    }
    let copy = start();
    for (let i = 0; i < half; i++) {
      copy = other!.step(outputs[i]!, timesteps[i]!, copy, { generator: theirs }).prevSample;
    }
    const saved = other!.snapshot();
    other!.step(outputs[half]!, timesteps[half]!, copy, { generator: theirs.clone() });
    other!.restore(saved);
    for (let i = half; i < timesteps.length; i++) {
      sample = one!.step(outputs[i]!, timesteps[i]!, sample, { generator: mine }).prevSample;
      copy = other!.step(outputs[i]!, timesteps[i]!, copy, { generator: theirs }).prevSample;
    }
    assert.deepEqual(await copy.data(), await sample.data(), sampler);
  }
});

Deno.test("Brownian noise follows the generator's seed, of each image its own, and not how often it was drawn from", async () => {
  for (
    const make of [
      () => new DPMSolverSDEScheduler(sd),
      () => new KDiffusionScheduler({ ...sd, sampler: "dpmpp_2m_sde" }),
    ]
  ) {
    const scheduler = make();
    scheduler.setTimesteps(3);
    const [t] = scheduler.timesteps as [number];
    const output = tensor(fakeModel([1, 2, 3, 4, 5, 6, 7, 8], t), shape);
    const at = async (generator: ReturnType<typeof manualSeed> | ReturnType<typeof manualSeed>[]) => {
      scheduler.setTimesteps(3);
      return [...await scheduler.step(output, t, start(), { generator }).prevSample.data()];
    };
    const used = manualSeed(5);
    used.randn(100);
    assert.deepEqual(await at(used), await at(manualSeed(5)));
    assert.notDeepEqual(await at(manualSeed(6)), await at(manualSeed(5)));
    const both = await at([manualSeed(5), manualSeed(6)]);
    const turned = await at([manualSeed(6), manualSeed(6)]);
    assert.notDeepEqual(both.slice(0, 4), turned.slice(0, 4));
    assert.deepEqual(both.slice(4), turned.slice(4));
  }
});

Deno.test("KDiffusionScheduler begins at the first σ̂ where churn raises it", () => {
  const plain = new KDiffusionScheduler({ ...sd, sampler: "heun" });
  const churned = new KDiffusionScheduler({ ...sd, sampler: "heun", s_churn: 2 });
  for (const scheduler of [plain, churned]) scheduler.setTimesteps(5);
  assertRelativelyClose([churned.initNoiseSigma], [plain.initNoiseSigma * 1.4], 1e-6, "σ̂");
});

Deno.test("KDiffusionScheduler refuses what it cannot do, in one line", () => {
  const scheduler = new KDiffusionScheduler({ sampler: "dpm_2" });
  scheduler.setTimesteps(4);
  assert.throws(() => scheduler.setBeginIndex(1), {
    name: "RangeError",
    message: "Cannot begin at index 1: expected the first model call of a step, got number 2",
  });
  assert.throws(() => scheduler.setTimesteps({ sigmas: [3] }), /expected at least two, the last being where/);
  assert.throws(() => scheduler.setTimesteps({ steps: 4, mu: 1 }), /expected steps or sigmas, got mu/);
  const flow = new KDiffusionScheduler({ use_flow_sigmas: true, prediction_type: "flow_prediction" });
  assert.throws(() => flow.setTimesteps({ steps: 4, mu: 1 }), /expected use_dynamic_shifting in the config/);
  assert.throws(() => flow.setTimesteps({ sigmas: [5, 1, 0] }), {
    message: "Cannot set sigmas: expected numbers that fall from at most 1 to at least 0, got 5 at index 0",
  });
  assert.throws(() => new KDiffusionScheduler({ sampler: "dpm" as SamplerName }), /sampler/);
});

Deno.test("dpm_fast in one step goes to the image, as Euler's method", async () => {
  const inOne = async (sampler: SamplerName) => {
    const scheduler = new KDiffusionScheduler({ ...sd, sampler });
    scheduler.setTimesteps({ sigmas: [5, 0] });
    return await run(scheduler, scheduler.timesteps, start());
  };
  const fast = await inOne("dpm_fast");
  const euler = await inOne("euler");
  assert.deepEqual(fast, euler);
});
