import assert from "node:assert/strict";
import {
  EulerDiscreteScheduler,
  FlowMatchEulerDiscreteScheduler,
  KDiffusionScheduler,
  SIGMA_SCHEDULES,
  sigmaSchedule,
  type SigmaScheduleName,
  type SigmaScheduleOptions,
} from "../../src/schedulers/mod.ts";
import { assertRelativelyClose } from "../support/close.ts";
import { fixture } from "../support/fixtures.ts";

/** What ComfyUI or k-diffusion gave; see generator/k_diffusion_cases.py. */
interface Case {
  name: SigmaScheduleName;
  flow: boolean;
  steps: number;
  options: SigmaScheduleOptions;
  sigmas: number[];
}

const cases = JSON.parse(await Deno.readTextFile(fixture("sigma_schedules.json"))) as Case[];
const sd = { beta_start: 0.00085, beta_end: 0.012, beta_schedule: "scaled_linear" } as const;

for (const name of SIGMA_SCHEDULES) {
  Deno.test(`sigmaSchedule() spreads by ${name} as its defining code`, () => {
    const own = cases.filter((one) => one.name === name);
    assert.ok(own.length >= 3);
    for (const { flow, steps, options, sigmas } of own) {
      const scheduler = flow
        ? new FlowMatchEulerDiscreteScheduler({ shift: 3 })
        : new EulerDiscreteScheduler(sd);
      const got = sigmaSchedule(name, steps, scheduler, options);
      assert.equal(got.length, sigmas.length, `${name} in ${steps} steps`);
      assertRelativelyClose(got, sigmas, 1e-6, `${name} in ${steps} steps, flow ${flow}`);
    }
  });
}

Deno.test("KDiffusionScheduler spreads by sigma_schedule, of noise and of a flow", () => {
  const usual = cases.filter(({ options }) => Object.keys(options).length === 0);
  for (const { name, flow, steps, sigmas } of usual) {
    const levels = flow
      ? { use_flow_sigmas: true, prediction_type: "flow_prediction", flow_shift: 3 } as const
      : sd;
    const scheduler = new KDiffusionScheduler({ ...levels, sampler: "dpmpp_2m", sigma_schedule: name });
    scheduler.setTimesteps(steps);
    assertRelativelyClose(scheduler.sigmas, sigmas, 1e-6, name);
    assert.equal(scheduler.timesteps.length, sigmas.length - 1);
  }
});

Deno.test("sigmaSchedule() spreads from one step on", () => {
  for (const name of SIGMA_SCHEDULES) {
    const sigmas = sigmaSchedule(name, 1, new EulerDiscreteScheduler(sd));
    assert.deepEqual([sigmas.length, sigmas[1]], [2, 0], name);
    const first = name === "ddim_uniform"
      ? 0.0413
      : name.endsWith("svd")
      ? 700
      : name === "vp"
      ? 152.17
      : 14.6146;
    assertRelativelyClose(sigmas.slice(0, 1), [first], 1e-3, name); // ComfyUI's one of ddim_uniform is timestep 1
  }
});

Deno.test("sigmaSchedule() gives what EulerDiscreteScheduler takes, and refuses unknown names and counts", () => {
  const scheduler = new EulerDiscreteScheduler(sd);
  const sigmas = sigmaSchedule("kl_optimal", 12, scheduler);
  scheduler.setTimesteps({ sigmas });
  assert.deepEqual(scheduler.sigmas, sigmas);
  assert.throws(() => sigmaSchedule("kl" as SigmaScheduleName, 12, scheduler), {
    name: "TypeError",
    message: /^Cannot spread sigmas by "kl": expected one of normal, karras, /,
  });
  assert.equal(sigmaSchedule("gits", 1, scheduler).length, 2);
  assert.throws(
    () => sigmaSchedule("gits", 9, scheduler, { coeff: 2 }),
    /coefficient of 0.80, .*, 1.50, got 2$/,
  );
  assert.throws(() => sigmaSchedule("simple", 0, scheduler), /expected 1 to 1000 steps/);
});
