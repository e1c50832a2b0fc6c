import assert from "node:assert/strict";
import { DDIMScheduler, DDPMScheduler } from "../../src/schedulers/mod.ts";
import { fixture } from "../support/fixtures.ts";

Deno.test("a scheduler completes its config with diffusers' defaults", () => {
  const { config } = new DDPMScheduler();
  assert.deepEqual({ ...JSON.parse(JSON.stringify(config)) }, {
    num_train_timesteps: 1000,
    beta_start: 0.0001,
    beta_end: 0.02,
    beta_schedule: "linear",
    trained_betas: null,
    variance_type: "fixed_small",
    clip_sample: true,
    prediction_type: "epsilon",
    thresholding: false,
    dynamic_thresholding_ratio: 0.995,
    clip_sample_range: 1,
    sample_max_value: 1,
    timestep_spacing: "leading",
    steps_offset: 0,
    rescale_betas_zero_snr: false,
  });
  assert.equal(new DDIMScheduler().config.set_alpha_to_one, true);
});

Deno.test("a scheduler names the key, the choices and the wrong value of a config", () => {
  assert.throws(() => new DDPMScheduler({ beta_schedule: "wavy" as "linear" }), {
    name: "TypeError",
    message: 'Cannot load DDPMScheduler: expected beta_schedule to be one of "linear", "scaled_linear", ' +
      '"squaredcos_cap_v2", "laplace", "sigmoid", got "wavy"; correct the config',
  });
  assert.throws(
    () => new DDIMScheduler({ num_train_timesteps: 0 }),
    /num_train_timesteps to be more than 0, got 0/,
  );
  assert.throws(
    () => DDPMScheduler.fromConfig({ variance_type: "fixed_large_log" }),
    /expected variance_type to be one of .*, got "fixed_large_log"/,
  );
  assert.throws(() => DDIMScheduler.fromConfig({ beta_schedule: "sigmoid" }), /got "sigmoid"/);
});

Deno.test("fromConfig() leaves behind what was only a default of the other class", () => {
  const ddim = new DDIMScheduler({ beta_end: 0.012, clip_sample: false });
  const ddpm = DDPMScheduler.fromConfig({ ...ddim.config, timestep_spacing: "trailing" }); // now it is given
  assert.equal(ddpm.config.beta_end, 0.012);
  assert.equal(ddpm.config.clip_sample, false);
  assert.equal(ddpm.config.timestep_spacing, "trailing");
  assert.ok(!("set_alpha_to_one" in ddpm.config)); // DDIM's default, which DDPM never had
});

Deno.test("fromConfig() keeps given keys of other classes for the way back", () => {
  const ddpm = DDPMScheduler.fromConfig({ set_alpha_to_one: false, skip_prk_steps: true });
  const { config } = DDIMScheduler.fromConfig(ddpm.config);
  assert.equal(config.set_alpha_to_one, false);
  assert.ok("skip_prk_steps" in config);
});

Deno.test("fromConfig() knows defaults from given keys through a spread too", () => {
  const { config } = DDPMScheduler.fromConfig({ variance_type: "fixed_large" });
  const ddim = DDIMScheduler.fromConfig({ ...config, steps_offset: 1 });
  const again = DDPMScheduler.fromConfig(ddim.config);
  assert.equal(again.config.variance_type, "fixed_large");
  assert.equal(again.config.steps_offset, 1);
  assert.ok(!("set_alpha_to_one" in again.config));
});

Deno.test("fromPretrained() finds the config in a pipeline's folder, a flat folder and its own folder", async () => {
  for (const folder of ["ddpm/pipeline", "ddpm/legacy_flat_bin", "ddpm/pipeline/scheduler"]) {
    const scheduler = await DDPMScheduler.fromPretrained(fixture(folder));
    assert.equal(scheduler.config.variance_type, "fixed_small");
    assert.ok("_class_name" in scheduler.config);
  }
  const ddim = await DDIMScheduler.fromPretrained(fixture("ddpm/pipeline"), { subfolder: "scheduler" });
  assert.equal(ddim.config.clip_sample, true);
});

Deno.test("fromPretrained() refuses a folder without a scheduler", async () => {
  await assert.rejects(DDPMScheduler.fromPretrained(fixture("ddpm/expected")), /scheduler_config\.json/);
});

Deno.test("timesteps and step() ask for setTimesteps() first", () => {
  assert.throws(() => new DDIMScheduler().timesteps, {
    message: "Cannot use DDIMScheduler: expected timesteps, got none; call setTimesteps(steps) first",
  });
});
