import assert from "node:assert/strict";
import { manualSeed } from "../../src/random/mod.ts";
import {
  DDIMScheduler,
  type DDIMStepOptions,
  DDPMScheduler,
  EDMEulerScheduler,
  EulerDiscreteScheduler,
  FlowMatchLCMScheduler,
  IPNDMScheduler,
  SASolverScheduler,
  type Scheduler,
  type StepOptions,
} from "../../src/schedulers/mod.ts";
import { schedulerClasses } from "../../src/schedulers/mod.ts";
import { type Tensor, tensor, zeros } from "../../src/tensor/mod.ts";
import { assertRelativelyClose } from "../support/close.ts";
import "../support/device.ts";

const BOUND = 1e-5; // relative to the largest value
const shape = [2, 1, 2, 2];
const start = Array.from({ length: 8 }, (_, i) => i / 4 - 1);

/** 0.1 sin(t / 100 + i), what stood in for a model where diffusers 0.42 made the numbers below. */
function fakeModel(t: number, channels = 1): Tensor {
  const values = Array.from({ length: 8 * channels }, (_, i) => 0.1 * Math.sin(t / 100 + i));
  return tensor(values, [2, channels, 2, 2]);
}

/** The last sample of a loop. */
async function run(
  scheduler: Scheduler,
  options: DDIMStepOptions,
  model: (t: number) => Tensor = fakeModel,
): Promise<ArrayLike<number>> {
  let sample = tensor(start, shape);
  for (const t of scheduler.timesteps) sample = scheduler.step(model(t), t, sample, options).prevSample;
  return await sample.data();
}

Deno.test("DDPMScheduler adds noise of a learned variance", async () => {
  const scheduler = new DDPMScheduler({ variance_type: "learned" });
  scheduler.setTimesteps(4);
  const positive = (t: number) => {
    const values = Array.from({ length: 16 }, (_, i) => 0.1 * Math.sin(t / 100 + i));
    return tensor(values.map((x, i) => i % 8 < 4 ? x : Math.abs(x)), [2, 2, 2, 2]);
  };
  const want = [
    -0.6423735022544861,
    -0.9388015270233154,
    0.3757012188434601,
    -0.8191145062446594,
    1,
    -0.15316830575466156,
    0.8784011602401733,
    0.7747730612754822,
  ];
  assertRelativelyClose(await run(scheduler, { generator: manualSeed(7) }, positive), want, BOUND, "sample");
});

Deno.test("DDPMScheduler adds noise of a variance learned between bounds", async () => {
  const scheduler = new DDPMScheduler({ variance_type: "learned_range" });
  scheduler.setTimesteps(4);
  const want = [
    -0.7831564545631409,
    -0.7363426089286804,
    1,
    -0.8343362808227539,
    1,
    -0.812533438205719,
    0.9678360223770142,
    0.9521928429603577,
  ];
  const got = await run(scheduler, { generator: manualSeed(7) }, (t) => fakeModel(t, 2));
  assertRelativelyClose(got, want, BOUND, "sample");
  assert.throws(() => scheduler.step(fakeModel(0), 0, tensor(start, shape)), {
    name: "RangeError",
    message: 'Cannot step with variance_type "learned_range": expected a model output of 2 channels, got 1',
  });
});

Deno.test("DDPMScheduler visits custom timesteps", async () => {
  const scheduler = new DDPMScheduler();
  scheduler.setTimesteps({ timesteps: [901, 400, 123, 7] });
  const want = [
    -0.9088283181190491,
    0.016483303159475327,
    1,
    -0.9262078404426575,
    1,
    -0.8185867071151733,
    0.9407444596290588,
    0.9758570790290833,
  ];
  assertRelativelyClose(await run(scheduler, { generator: manualSeed(7) }), want, BOUND, "sample");
});

Deno.test("DDPMScheduler draws each image's noise from its own generator of a list", async () => {
  const scheduler = new DDPMScheduler();
  scheduler.setTimesteps(4);
  const want = [
    0.40903958678245544,
    -0.6093694567680359,
    -1,
    0.9992765188217163,
    0.9969530701637268,
    -0.1321229189634323,
    1,
    -0.61158287525177,
  ];
  assertRelativelyClose(
    await run(scheduler, { generator: [1, 2].map((seed) => manualSeed(seed)) }),
    want,
    BOUND,
    "sample",
  );
});

Deno.test("DDPMScheduler follows diffusers with laplace betas", async () => {
  const scheduler = new DDPMScheduler({ beta_schedule: "laplace" });
  scheduler.setTimesteps(4);
  const want = [
    -0.6637880802154541,
    -0.9952965378761292,
    0.1472758650779724,
    -0.3133055865764618,
    0.8474709987640381,
    -0.06391405314207077,
    0.8014897704124451,
    0.9309526085853577,
  ];
  assertRelativelyClose(await run(scheduler, { generator: manualSeed(7) }), want, BOUND, "sample");
});

Deno.test("DDIMScheduler adds the noise that it is given", async () => {
  const scheduler = new DDIMScheduler();
  scheduler.setTimesteps(4);
  const want = [
    -0.5059093236923218,
    -0.5255656838417053,
    -0.8225446939468384,
    -0.8385195732116699,
    0.49044081568717957,
    0.8353221416473389,
    0.8250072002410889,
    0.9755796790122986,
  ];
  const options = { eta: 0.3, varianceNoise: fakeModel(0) };
  assertRelativelyClose(await run(scheduler, options), want, BOUND, "sample");
  assert.throws(
    () => scheduler.step(fakeModel(0), 0, tensor(start, shape), { ...options, generator: manualSeed(0) }),
    /^TypeError: Cannot step with both generator and varianceNoise/,
  );
  assert.throws(
    () => scheduler.step(fakeModel(0), 250, tensor(start, shape), { eta: 2 }),
    /expected eta from 0 to 1/,
  );
});

Deno.test("addNoise() and getVelocity() take a timestep for each image", async () => {
  const scheduler = new DDPMScheduler();
  const [sample, noise] = [tensor(start, shape), fakeModel(3)];
  const velocity = [
    0.04983118921518326,
    0.12076202034950256,
    0.11295967549085617,
    0.022832632064819336,
    -0.0012757877120748162,
    -0.25152790546417236,
    -0.5003442168235779,
    -0.7487819790840149,
  ];
  const noisy = [
    -0.9987621903419495,
    -0.7451618313789368,
    -0.4952530264854431,
    -0.2492041140794754,
    -0.07759635150432587,
    -0.09087580442428589,
    -0.016825955361127853,
    0.08025062084197998,
  ];
  assertRelativelyClose(
    await scheduler.getVelocity(sample, noise, [10, 900]).data(),
    velocity,
    BOUND,
    "velocity",
  );
  assertRelativelyClose(await scheduler.addNoise(sample, noise, [10, 900]).data(), noisy, BOUND, "noisy");
  assert.throws(() => scheduler.addNoise(sample, noise, [1, 2, 3]), /expected one timestep or 2, got 3/);
  assert.throws(
    () => scheduler.addNoise(sample, noise, 1000),
    /timestep 1000: expected a whole number from 0 to 999/,
  );
});

Deno.test("step() refuses a timestep that setTimesteps() did not choose", () => {
  for (const scheduler of [new DDPMScheduler(), new DDIMScheduler()]) {
    assert.throws(
      () => scheduler.step(fakeModel(0), 0, tensor(start, shape)),
      /call setTimesteps\(steps\) first/,
    );
    scheduler.setTimesteps(4);
    assert.throws(() => scheduler.step(fakeModel(0), 7, tensor(start, shape)), {
      name: "RangeError",
      message: "Cannot step at timestep 7: expected one of 4 from 750 to 0; pass an entry of timesteps",
    });
  }
});

Deno.test("step() from pure noise by ε wants bounds, within which a sign is left of the image", async () => {
  const config = { rescale_betas_zero_snr: true, timestep_spacing: "trailing" } as const;
  const [unbounded, bounded] = [
    new DDPMScheduler({ ...config, clip_sample: false }),
    new DDPMScheduler(config),
  ];
  for (const scheduler of [unbounded, bounded]) scheduler.setTimesteps(4);
  const output = fakeModel(999);
  assert.throws(() => unbounded.step(output, 999, tensor(start, shape)), {
    name: "Error",
    message:
      'Cannot step from pure noise (rescale_betas_zero_snr): expected prediction_type "v_prediction" or ' +
      '"sample", got "epsilon"; or set clip_sample',
  });
  const { predOriginalSample } = bounded.step(output, 999, tensor(start, shape));
  assert.deepEqual([...await predOriginalSample.data()], [-1, -1, -1, -1, -1, 1, 1, 1]);
});

Deno.test("step() refuses what does not belong together: shapes, outputs of models, options of another class", () => {
  const x = zeros([1, 1, 2, 2]);
  for (const Class of Object.values(schedulerClasses)) {
    const scheduler = Class.fromConfig({});
    scheduler.setTimesteps(5);
    const [t] = scheduler.timesteps as [number];
    const step = (output: unknown, sample: unknown, options?: unknown) =>
      scheduler.step(output as Tensor, t, sample as Tensor, options as StepOptions);
    assert.throws(() => step(zeros([2, 1, 2, 2]), x), {
      message: "Cannot step: expected a model's output [1, 1, 2, 2], as the sample is, got [2, 1, 2, 2]",
    });
    assert.throws(() => step({ sample: x, taps: {} }, x), {
      message:
        "Cannot step: expected the model's output and the sample as tensors, got an object with sample, taps; " +
        "take its sample",
    });
    assert.throws(() => step(5, x), {
      message: /expected the model's output and the sample as tensors, got 5$/,
    });
    assert.throws(() => step(x, x, manualSeed(0)), {
      message: /^Cannot step: expected options in an object/,
    });
    assert.throws(() => step(x, x, { generatr: 1 }), {
      message: "Cannot step with generatr: no such option; did you mean generator?",
    });
    step(x, x, { generator: manualSeed(0) }); // which not all of them need
  }
  const euler = new EulerDiscreteScheduler();
  euler.setTimesteps(5);
  assert.throws(() => euler.step(x, euler.timesteps[0]!, x, { eta: 1 } as StepOptions), {
    message: "Cannot step with eta: no such option; expected some of generator, sChurn, sTmin, sTmax, sNoise",
  });
  assert.throws(() => euler.setTimesteps("5" as unknown as number), {
    message:
      'Cannot set timesteps: expected a number of steps, or { steps } or { timesteps } or { sigmas }, got "5"',
  });
});

Deno.test("fromConfig() refuses overrides that the class does not know", () => {
  const { config } = new EulerDiscreteScheduler();
  assert.throws(() => DDIMScheduler.fromConfig(config, { use_karras_sigmas: true }), {
    message: /^Cannot make a DDIMScheduler with use_karras_sigmas: no such option; /,
  });
  assert.throws(() => EulerDiscreteScheduler.fromConfig(config, { useKarrasSigmas: true }), {
    message:
      "Cannot make a EulerDiscreteScheduler with useKarrasSigmas: no such option; did you mean use_karras_sigmas?",
  });
  assert.equal(
    EulerDiscreteScheduler.fromConfig(config, { use_karras_sigmas: true }).config.use_karras_sigmas,
    true,
  );
});

Deno.test("a scheduler shows its config and no tables", () => {
  const text = Deno.inspect(new EulerDiscreteScheduler());
  assert.match(text, /^EulerDiscreteScheduler \{\n {2}num_train_timesteps: 1000,\n/);
  assert.doesNotMatch(text, /Float32Array|Symbol/);
});

Deno.test("SASolverScheduler adds noise as its tau_func says: with 0 none", async () => {
  const sampled = async (tau: number, seed: number) => {
    const scheduler = new SASolverScheduler({ tau_func: () => tau });
    scheduler.setTimesteps(6);
    return Array.from(await run(scheduler, { generator: manualSeed(seed) }));
  };
  assert.deepEqual(await sampled(0, 1), await sampled(0, 2));
  assert.notDeepEqual(await sampled(0.5, 1), await sampled(0.5, 2));
});

Deno.test("schedulers refuse configs and steps that they cannot follow", () => {
  const refused: [() => unknown, RegExp][] = [
    [
      () => new SASolverScheduler({ algorithm_type: "noise_prediction", prediction_type: "flow_prediction" }),
      /expected algorithm_type to be "data_prediction", as prediction_type is "flow_prediction"/,
    ],
    [
      () => new SASolverScheduler({ tau_func: 1 } as never),
      /tau_func to be a function of the timestep, or null/,
    ],
    [() => new SASolverScheduler({ predictor_order: 5 }), /predictor_order/],
    [
      () => new FlowMatchLCMScheduler({ scale_factors: [0.5] } as never),
      /expected scale_factors to be null, got/,
    ],
    [() => new EDMEulerScheduler().setTimesteps(1001), /expected 1 to 1000 steps/],
    [
      () => new IPNDMScheduler({ trained_betas: [1, 0.5, 0] }).setTimesteps(3),
      /expected 2 steps, as trained_betas has/,
    ],
  ];
  for (const [make, message] of refused) assert.throws(make, { message });
});
