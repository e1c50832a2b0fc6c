import assert from "node:assert/strict";
import { manualSeed, tensor } from "../../src/mod.ts";
import { type Scheduler, schedulerClasses } from "../../src/schedulers/mod.ts";
import "../support/device.ts";
import { fixture } from "../support/fixtures.ts";

type Config = Record<string, unknown>;

/** What diffusers makes of configs of which one key is null; see generator/scheduler_nulls.py. */
interface Nulls {
  start: number[];
  configs: Record<string, Config>;
  /** By class and config: keys whose null changes nothing, and samples at the end where it does. */
  classes: Record<string, Record<string, { fine: string[]; else: Record<string, number[]> }>>;
}

const { start, configs, classes } = JSON.parse(
  await Deno.readTextFile(fixture("scheduler_nulls.json")),
) as Nulls;

for (const [name, kinds] of Object.entries(classes)) {
  const from = (config: Config) => schedulerClasses[name]!.fromConfig(config);

  Deno.test(`${name} takes null for what diffusers does not read or takes for the default`, () => {
    for (const [kind, { fine }] of Object.entries(kinds)) {
      for (const key of fine) {
        const { config } = from({ ...configs[kind], [key]: null }) as { config: Config };
        if (typeof config[key] === "boolean") assert.equal(config[key], false, `${kind} ${key}`);
      }
    }
  });

  const changed = Object.entries(kinds).filter(([, { else: samples }]) => Object.keys(samples).length > 0);
  if (changed.length === 0) continue;
  Deno.test(`${name} computes what diffusers does where null is false, or no limit`, async () => {
    for (const [kind, { else: samples }] of changed) {
      for (const [key, want] of Object.entries(samples)) {
        const got = await sampled(from({ ...configs[kind], [key]: null }), kind === "dynamic");
        const worst = Math.max(...want.map((x, i) => Math.abs(x - got[i]!)));
        const bound = 2e-5 * Math.max(...want.map(Math.abs));
        assert.ok(worst <= bound, `${kind} ${key}: off by ${worst}, more than ${bound}`);
      }
    }
  });
}

Deno.test("a scheduler refuses null for what it reads, in one line", () => {
  const refused: [string, Config, RegExp][] = [
    [
      "DDPMScheduler",
      { beta_start: null },
      /expected beta_start to be a number, got null; correct the config$/,
    ],
    ["DDIMScheduler", { steps_offset: null }, /expected steps_offset to be a number, got null/],
    ["EulerDiscreteScheduler", { timestep_spacing: "leading", steps_offset: null }, /steps_offset/],
    ["DDPMScheduler", { clip_sample_range: null }, /expected clip_sample_range to be a number, got null/],
    ["DDIMScheduler", { thresholding: true, dynamic_thresholding_ratio: null }, /dynamic_thresholding_ratio/],
    [
      "DEISMultistepScheduler",
      { use_flow_sigmas: true, flow_shift: null },
      /flow_shift to be a number, got null/,
    ],
    ["FlowMatchEulerDiscreteScheduler", { shift: null }, /expected shift to be a number, got null/],
    [
      "PNDMScheduler",
      { prediction_type: null },
      /prediction_type to be one of "epsilon", "v_prediction", got null/,
    ],
    [
      "LMSDiscreteScheduler",
      { num_train_timesteps: null },
      /num_train_timesteps to be a number, got null/,
    ],
  ];
  for (const [name, config, message] of refused) {
    assert.throws(() => schedulerClasses[name]!.fromConfig(config), { name: "TypeError", message });
  }
});

/** What the generator's loop of 6 steps ends with. */
async function sampled(scheduler: Scheduler, dynamic: boolean): Promise<ArrayLike<number>> {
  const takesMu = /FlowMatchEuler|Multistep|Singlestep/.test(scheduler.constructor.name);
  scheduler.setTimesteps(dynamic && takesMu ? { steps: 6, mu: 1.1 } : { steps: 6 });
  const generator = manualSeed(1);
  let x = tensor(new Float32Array(start), [1, 2, 2, 2]);
  for (const t of scheduler.timesteps) {
    const more = tensor(Float32Array.from(start, (_, i) => 0.1 * Math.cos(Math.fround(i + t / 300))), [
      1,
      2,
      2,
      2,
    ]);
    const said = scheduler.scaleModelInput(x, t).mul(0.3).add(more);
    x = scheduler.step(said, t, x, { generator }).prevSample;
  }
  return await x.data() as Float32Array;
}
