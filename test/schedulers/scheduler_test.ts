import assert from "node:assert/strict";
import {
  DDIMScheduler,
  DEISMultistepScheduler,
  DPMSolverMultistepScheduler,
  DPMSolverSinglestepScheduler,
  PNDMScheduler,
  type Scheduler,
  UniPCMultistepScheduler,
} from "../../src/schedulers/mod.ts";
import { type Tensor, tensor } from "../../src/tensor/mod.ts";
import { assertRelativelyClose } from "../support/close.ts";
import "../support/device.ts";

const solvers = [
  () => new PNDMScheduler({ skip_prk_steps: true }),
  () => new UniPCMultistepScheduler(),
  () => new DPMSolverMultistepScheduler(),
  () => new DPMSolverSinglestepScheduler(),
  () => new DEISMultistepScheduler(),
];
const sample = () => tensor([0.5, -1, 2, 0.25], [1, 1, 2, 2]);
const output = () => tensor([0.1, 0.4, -0.3, 1], [1, 1, 2, 2]);

Deno.test("step() of a scheduler that remembers steps refuses a step twice, out of turn, too early and too late", () => {
  for (const make of solvers) {
    const scheduler = make();
    const step = (t: number) => scheduler.step(output(), t, sample());
    const name = scheduler.constructor.name;
    assert.throws(() => step(999), {
      message: `Cannot use ${name}: expected timesteps, got none; call setTimesteps(steps) first`,
    });
    scheduler.setTimesteps(6);
    const [first, second, ...rest] = [...new Set(scheduler.timesteps)] as [number, number, ...number[]];
    assert.throws(() => step(1), /^RangeError: Cannot step at timestep 1: expected one of \d/);
    step(first);
    assert.throws(() => step(first), {
      message: `Cannot step at timestep ${first} twice: the next is ${second}; ` +
        "call setTimesteps(steps) to begin again",
    });
    assert.throws(() => step(rest[1]!), {
      name: "RangeError",
      message: `Cannot step at timestep ${rest[1]}: expected ${second}, the next one; ` +
        "call setTimesteps(steps) to begin again",
    });
    for (const t of scheduler.timesteps.slice(1)) step(t);
    assert.throws(() => step(first), {
      message: `Cannot step at timestep ${first}: all ${scheduler.timesteps.length} steps are done; ` +
        "call setTimesteps(steps) to begin again",
    });
  }
});

Deno.test("step() that failed may be taken again", async () => {
  for (const make of solvers) {
    const [interrupted, whole] = [make(), make()];
    for (const scheduler of [interrupted, whole]) scheduler.setTimesteps(5);
    const [t] = interrupted.timesteps as [number];
    assert.throws(() => interrupted.step(tensor([1, 2, 3], [3]), t, sample()));
    assert.deepEqual(await run(interrupted), await run(whole));
  }
});

Deno.test("setTimesteps() forgets the steps of a loop before", async () => {
  for (const make of solvers) {
    const scheduler = make();
    scheduler.setTimesteps(5);
    const fresh = await run(scheduler);
    scheduler.setTimesteps(8);
    for (const t of scheduler.timesteps.slice(0, 3)) scheduler.step(output(), t, sample());
    scheduler.setTimesteps(5);
    assert.deepEqual(await run(scheduler), fresh);
  }
});

Deno.test("clone() has the config, and its own steps", () => {
  const scheduler = new DPMSolverMultistepScheduler({ solver_order: 3, use_karras_sigmas: true });
  scheduler.setTimesteps(4);
  const copy = scheduler.clone();
  assert.deepEqual(copy.config, scheduler.config);
  assert.throws(() => copy.timesteps, /call setTimesteps\(steps\) first/);
  assert.equal(UniPCMultistepScheduler.fromConfig(copy.config).config.solver_order, 3);
  assert.equal(UniPCMultistepScheduler.fromConfig(copy.config).config.solver_type, "bh2"); // "midpoint" was a default
});

Deno.test("sliceByStrength() leaves a share of the steps, rounded down", () => {
  const scheduler = new DDIMScheduler();
  scheduler.setTimesteps(10);
  assert.deepEqual(scheduler.sliceByStrength(1), scheduler.timesteps);
  assert.deepEqual(scheduler.sliceByStrength(0.39), [200, 100, 0]);
  for (const strength of [0, -1, 1.01, NaN]) {
    assert.throws(() => scheduler.sliceByStrength(strength), {
      name: "RangeError",
      message: `Cannot slice by strength: expected more than 0 and at most 1, got ${strength}`,
    });
  }
  assert.throws(() => scheduler.sliceByStrength(0.09), {
    message: "Cannot slice by strength 0.09: none of 10 steps is left; set more steps or more strength",
  });
});

Deno.test("setBeginIndex() takes an index of timesteps, and not one within Runge-Kutta steps", () => {
  const scheduler = new PNDMScheduler();
  scheduler.setTimesteps(10);
  scheduler.setBeginIndex(0);
  for (const index of [-1, 19, 0.5, NaN]) assert.throws(() => scheduler.setBeginIndex(index), /Cannot begin/);
  assert.throws(
    () => scheduler.sliceByStrength(0.5),
    /within the Runge-Kutta steps of PNDM: set skip_prk_steps/,
  );
});

Deno.test("a loop of a solver may begin in the middle without having said so", async () => {
  for (
    const make of [() => new UniPCMultistepScheduler(), () => new PNDMScheduler({ skip_prk_steps: true })]
  ) {
    const [told, untold] = [make(), make()];
    for (const scheduler of [told, untold]) scheduler.setTimesteps(6);
    told.setBeginIndex(2);
    const timesteps = untold.timesteps.slice(2);
    assert.deepEqual(await run(untold, timesteps), await run(told, timesteps));
  }
  const kutta = new PNDMScheduler();
  kutta.setTimesteps(6);
  await assert.rejects(run(kutta, kutta.timesteps.slice(13)), /within the Runge-Kutta steps of PNDM/);
});

Deno.test("a loop of PNDM that began in the middle goes on from a snapshot", async () => {
  const [one, other] = [0, 1].map(() => new PNDMScheduler({ skip_prk_steps: true })) as [
    PNDMScheduler,
    PNDMScheduler,
  ];
  for (const scheduler of [one, other]) scheduler.setTimesteps(6);
  const timesteps = one.timesteps.slice(2);
  const whole = await run(one, timesteps);
  const [first] = timesteps as [number];
  const begun = other.step(output(), first, sample()).prevSample;
  const third = new PNDMScheduler({ skip_prk_steps: true });
  third.setTimesteps(6);
  third.restore(other.snapshot());
  const next = third.step(output(), timesteps[1]!, begun).prevSample;
  assert.deepEqual([...await next.data()], whole[1]);
});

Deno.test("solvers tell x̂_0 by the model's output alone", async () => {
  for (const make of solvers) {
    const scheduler = make();
    scheduler.setTimesteps(5);
    const [t] = scheduler.timesteps as [number];
    const { predOriginalSample } = scheduler.step(output(), t, sample());
    const back = scheduler.addNoise(predOriginalSample, output(), t); // the output is ε
    assertRelativelyClose(await back.data(), await sample().data(), 1e-5, scheduler.constructor.name);
  }
});

Deno.test("solvers refuse what their configs rule out", () => {
  const karras = new DPMSolverMultistepScheduler({ use_karras_sigmas: true });
  assert.throws(() => karras.setTimesteps({ timesteps: [900, 100] }), {
    message:
      "Cannot set timesteps: expected steps, as the config has use_karras_sigmas, got a list of timesteps",
  });
  assert.throws(
    () => karras.setTimesteps({ sigmas: [1, 0.5] }),
    /expected steps or timesteps or mu, got sigmas/,
  );
  assert.throws(
    () => karras.setTimesteps({ steps: 4, mu: 1 }),
    /expected use_dynamic_shifting in the config/,
  );
  assert.throws(() => karras.setTimesteps({}), /expected one of steps, timesteps, got none/);
  assert.throws(() => karras.setTimesteps(0), /expected 1 to 1000 steps/);
  assert.throws(() => new DPMSolverSinglestepScheduler({ algorithm_type: "dpmsolver" }), {
    message: "Cannot load DPMSolverSinglestepScheduler: expected final_sigmas_type to be " +
      '"sigma_min", as algorithm_type is not "dpmsolver++", got nothing; correct the config',
  });
  assert.throws(
    () => new UniPCMultistepScheduler({ shift_terminal: 0.1 }),
    /expected shift_terminal to be null, as use_flow_sigmas is false/,
  );
  const dynamic = new UniPCMultistepScheduler({ use_flow_sigmas: true, use_dynamic_shifting: true });
  assert.throws(() => dynamic.setTimesteps(4), /expected mu, as the config has use_dynamic_shifting/);
  const two = new DEISMultistepScheduler({ use_karras_sigmas: true, use_beta_sigmas: true });
  assert.throws(() => two.setTimesteps(4), /at most one spread, got use_karras_sigmas and use_beta_sigmas/);
  assert.throws(() => new PNDMScheduler().setTimesteps(3), /expected at least 4 steps, as PNDM begins with/);
});

Deno.test("UniPC refuses a last step of which nothing is left but infinities", async () => {
  const scheduler = new UniPCMultistepScheduler({ lower_order_final: false });
  scheduler.setTimesteps(3);
  await assert.rejects(run(scheduler), {
    message:
      'Cannot step to σ = 0 without predict_x0 or lower_order_final: set final_sigmas_type to "sigma_min"',
  });
});

Deno.test("UniPC may have another scheduler predict", async () => {
  const other = new DPMSolverMultistepScheduler({ solver_order: 1 });
  const scheduler = new UniPCMultistepScheduler({ solver_p: other, disable_corrector: [0, 1, 2, 3, 4] });
  scheduler.setTimesteps(4);
  const alone = other.clone();
  alone.setTimesteps(4);
  assert.deepEqual(await run(scheduler), await run(alone));
});

/** Samples of a loop whose model always says the same. */
async function run(
  scheduler: Scheduler,
  timesteps: readonly number[] = scheduler.timesteps,
): Promise<number[][]> {
  let x: Tensor = sample();
  const samples: number[][] = [];
  for (const t of timesteps) {
    x = scheduler.step(output(), t, x).prevSample;
    samples.push([...await x.data()]);
  }
  return samples;
}
