import assert from "node:assert/strict";
import { manualSeed } from "../../src/random/mod.ts";
import {
  EDMDPMSolverMultistepScheduler,
  EDMEulerScheduler,
  EulerDiscreteScheduler,
  FlowMatchEulerDiscreteScheduler,
  FlowMatchHeunDiscreteScheduler,
  HeunDiscreteScheduler,
  KDPM2AncestralDiscreteScheduler,
  KDPM2DiscreteScheduler,
  LCMScheduler,
  LMSDiscreteScheduler,
  TCDScheduler,
} from "../../src/schedulers/mod.ts";
import { getAncestralStep } from "../../src/schedulers/euler_ancestral.ts";
import { tensor } from "../../src/tensor/mod.ts";
import { assertRelativelyClose } from "../support/close.ts";
import "../support/device.ts";

const sample = () => tensor([1, -2, 3, -4], [1, 1, 2, 2]);
const output = () => tensor([0.5, 0.25, -0.5, 1], [1, 1, 2, 2]);

Deno.test("schedulers over noise levels say what is missing before setTimesteps()", () => {
  const scheduler = new EulerDiscreteScheduler();
  const message =
    "Cannot use EulerDiscreteScheduler: expected timesteps, got none; call setTimesteps(steps) first";
  assert.throws(() => scheduler.initNoiseSigma, { message });
  assert.throws(() => scheduler.sigmas, { message });
});

Deno.test("a step is refused twice, and with another timestep, before the model's input is scaled", () => {
  const scheduler = new EulerDiscreteScheduler();
  scheduler.setTimesteps(3);
  assert.deepEqual(scheduler.timesteps, [999, 499.5, 0]);
  scheduler.step(output(), 999, sample());
  assert.throws(() => scheduler.scaleModelInput(sample(), 999), /timestep 999 twice: the next is 499\.5/);
  assert.throws(() => scheduler.step(output(), 0, sample()), /timestep 0: expected 499\.5, the next one/);
});

Deno.test("a step of two model calls cannot begin at its second", () => {
  for (const scheduler of [new HeunDiscreteScheduler(), new KDPM2DiscreteScheduler()]) {
    scheduler.setTimesteps(4);
    scheduler.setBeginIndex(3);
    const t = scheduler.timesteps[3]!;
    assert.throws(() => scheduler.step(output(), t, sample()), {
      name: "RangeError",
      message: `Cannot step at timestep ${t}: a step of two model calls cannot begin at its second`,
    });
  }
});

Deno.test("lists are refused where the config spreads sigmas, where they rise, and where the class takes none", () => {
  const karras = new EulerDiscreteScheduler({ use_karras_sigmas: true });
  assert.throws(() => karras.setTimesteps({ timesteps: [900, 100] }), {
    message: "Cannot set timesteps by a list: the config spreads sigmas by use_karras_sigmas",
  });
  const both = new HeunDiscreteScheduler({ use_karras_sigmas: true, use_beta_sigmas: true });
  assert.throws(
    () => both.setTimesteps(5),
    /expected at most one spread, got use_karras_sigmas and use_beta/,
  );
  const euler = new EulerDiscreteScheduler();
  assert.throws(() => euler.setTimesteps({ timesteps: [100, 900] }), /got 900 at index 1/);
  assert.throws(() => euler.setTimesteps({ sigmas: [1] }), /expected at least two/);
  assert.throws(() => euler.setTimesteps(0), /expected 1 to 1000 steps \(num_train_timesteps\), got 0/);
  const lms = new LMSDiscreteScheduler();
  assert.throws(() => lms.setTimesteps({ timesteps: [900, 100] }), /expected steps, got timesteps/);
});

Deno.test("LMSDiscreteScheduler steps in order 16, of more derivatives than an adapter binds buffers", async () => {
  const lms = new LMSDiscreteScheduler();
  lms.setTimesteps(20);
  let x = sample().mul(lms.initNoiseSigma);
  for (const t of lms.timesteps) x = lms.step(output(), t, x, { order: 16 }).prevSample;
  // Of a constant ε every order takes Euler's step: x falls by σ ε in all.
  const want = [1, -2, 3, -4].map((value, i) => (value - [0.5, 0.25, -0.5, 1][i]!) * lms.initNoiseSigma);
  assertRelativelyClose(await x.data(), want, 1e-5, "sample");
});

Deno.test("LMSDiscreteScheduler refuses an order of 0", () => {
  const lms = new LMSDiscreteScheduler();
  lms.setTimesteps(10);
  assert.throws(
    () => lms.step(output(), lms.timesteps[0]!, sample(), { order: 0 }),
    /order of at least 1, got 0/,
  );
});

Deno.test("distilled models are refused more steps than their distillation had", () => {
  for (const scheduler of [new LCMScheduler(), new TCDScheduler()]) {
    assert.throws(() => scheduler.setTimesteps(51), {
      name: "RangeError",
      message: "Cannot set timesteps: expected 1 to 50 steps, as many as the model was distilled for, got 51",
    });
    assert.throws(() => scheduler.setTimesteps(4, { strength: 0 }), /strength above 0 and up to 1, got 0/);
    scheduler.setTimesteps(4, { strength: 0.5 });
    assert.deepEqual(scheduler.timesteps, [499, 379, 259, 139]);
  }
  const wide = new LCMScheduler({ original_inference_steps: 2000 });
  assert.throws(() => wide.setTimesteps(4), /expected 1 to 1000 original_inference_steps .*, got 2000/);
});

Deno.test("TCDScheduler refuses an eta beyond 1, and ε from pure noise", () => {
  const scheduler = new TCDScheduler({ rescale_betas_zero_snr: true });
  scheduler.setTimesteps(4);
  assert.throws(() => scheduler.step(output(), 999, sample(), { eta: 2 }), /expected eta from 0 to 1, got 2/);
  assert.throws(() => scheduler.step(output(), 999, sample()), /Cannot step from pure noise/);
});

Deno.test("FlowMatchEulerDiscreteScheduler finds mu on the line through the config's two points", () => {
  const scheduler = new FlowMatchEulerDiscreteScheduler({ use_dynamic_shifting: true });
  assert.equal(scheduler.muFor(256), 0.5);
  assert.ok(Math.abs(scheduler.muFor(4096) - 1.15) < 1e-12);
  assert.ok(Math.abs(scheduler.muFor(1024) - 0.63) < 1e-12);
  assert.throws(() => scheduler.setTimesteps(4), {
    name: "TypeError",
    message:
      "Cannot set timesteps: expected mu, as use_dynamic_shifting is set, got undefined; take muFor(imageSeqLen)",
  });
  scheduler.setTimesteps({ sigmas: [1, 0.75, 0.5, 0.25], mu: scheduler.muFor(1024) });
  assert.equal(scheduler.timesteps[0], 1000);
});

Deno.test("FlowMatchEulerDiscreteScheduler refuses lists that do not match, and one σ to stretch", () => {
  const scheduler = new FlowMatchEulerDiscreteScheduler();
  assert.throws(() => scheduler.setTimesteps({ sigmas: [1, 0.5], timesteps: [1000] }), {
    message: "Cannot set timesteps: expected as many as sigmas, got 1 and 2",
  });
  assert.throws(
    () => scheduler.setTimesteps({ sigmas: [1.5, 0.5] }),
    /at most 1 to at least 0, got 1.5 at index 0/,
  );
  const stretching = new FlowMatchEulerDiscreteScheduler({ shift_terminal: 0.1 });
  assert.throws(() => stretching.setTimesteps(1), /expected the last below 1; use more steps/);
});

Deno.test("ancestral noise levels stay numbers where torch's rounding makes them NaN", async () => {
  const scheduler = new KDPM2AncestralDiscreteScheduler({ beta_schedule: "squaredcos_cap_v2" });
  scheduler.setTimesteps(4);
  const generator = manualSeed(7);
  let x = sample();
  for (const t of scheduler.timesteps) x = scheduler.step(output(), t, x, { generator }).prevSample;
  assert.ok([...await x.data()].every(Number.isFinite));
});

Deno.test("FlowMatchHeun takes the sigmas of FLUX's pipeline, shifted as FlowMatchEuler shifts them", () => {
  const sigmas = [1, 0.75, 0.5, 0.25];
  for (const [config, mu] of [[{ shift: 3 }, undefined], [{ use_dynamic_shifting: true }, 1.1]] as const) {
    const euler = new FlowMatchEulerDiscreteScheduler(config);
    const heun = new FlowMatchHeunDiscreteScheduler(config);
    euler.setTimesteps({ sigmas, mu });
    heun.setTimesteps({ sigmas, mu });
    const [a, b, c, d] = euler.sigmas;
    assert.deepEqual(heun.sigmas, [a, b, b, c, c, d, d, 0]);
    assert.deepEqual(heun.timesteps, [0, 1, 1, 2, 2, 3, 3].map((i) => euler.timesteps[i]));
  }
  const dynamic = new FlowMatchHeunDiscreteScheduler({ use_dynamic_shifting: true });
  assert.throws(
    () => dynamic.setTimesteps({ sigmas }),
    /expected mu, as use_dynamic_shifting is set, got undefined/,
  );
  assert.throws(() => dynamic.setTimesteps({ steps: 4, mu: 1 }), /expected sigmas beside it, got steps/);
});

Deno.test("LMS that begins in the middle takes the polynomial of diffusers' order", async () => {
  const scheduler = new LMSDiscreteScheduler({
    beta_schedule: "scaled_linear",
    beta_start: 0.00085,
    beta_end: 0.012,
  });
  scheduler.setTimesteps(10);
  scheduler.setBeginIndex(4);
  let x = tensor([10, -5, 2]);
  for (const t of scheduler.timesteps.slice(4)) x = scheduler.step(x.sin(), t, x).prevSample;
  const want = [11.756857872009277, -6.211751937866211, 0.35138779878616333]; // of diffusers 0.42.1
  assertRelativelyClose(await x.data(), want, 1e-5, "LMS");
});

Deno.test("the middle of a step is found where the squares that give σ_down cancel", () => {
  const scheduler = new KDPM2AncestralDiscreteScheduler({ beta_schedule: "squaredcos_cap_v2" });
  scheduler.setTimesteps(10);
  const [first, middle, next] = scheduler.timesteps as [number, number, number];
  assert.deepEqual([first, next], [999, 888]);
  assertRelativelyClose([middle], [next], 1e-3, "timestep"); // √(σ · σ_down) = σ', without roundings
  assertRelativelyClose([getAncestralStep(8, 8 * (1 - 2 ** -24)).down], [8], 1e-6, "σ_down");
});

Deno.test("a loop of EDM ends at sigma_min, of one step too", () => {
  for (const Class of [EDMEulerScheduler, EDMDPMSolverMultistepScheduler]) {
    const scheduler = new Class({ final_sigmas_type: "sigma_min" });
    for (const steps of [1, 4]) {
      scheduler.setTimesteps(steps);
      assert.equal(scheduler.sigmas.at(-1), Math.fround(0.002));
    }
  }
});
