import assert from "node:assert/strict";
import { join } from "node:path";
import {
  DPMSolverMultistepScheduler,
  EulerDiscreteScheduler,
  FlowMatchEulerDiscreteScheduler,
  FlowMatchHeunDiscreteScheduler,
  KDiffusionScheduler,
  PNDMScheduler,
  SAMPLERS,
  type Scheduler,
  schedulerClasses,
  schedulerNamed,
  SIGMA_SCHEDULES,
  UNBUILT,
} from "../../src/schedulers/mod.ts";
import { setFlowTimesteps } from "../../src/pipelines/latents/flow.ts";
import { samplers } from "../../src/schedulers/names.ts";

const page = await Deno.readTextFile(join(import.meta.dirname!, "../../docs/schedulers.md"));
const rows = page.split("\n").filter((line) => line.startsWith("|")).map((line) =>
  line.split("|").slice(1, -1)
);

/** The config in a cell: `key: value, …`. */
function configIn(cell: string): object {
  const [, keys] = cell.match(/`(\w+: [^`]*)`/) ?? [];
  return keys ? JSON.parse(`{${keys.replace(/(\w+):/g, '"$1":')}}`) : {};
}

Deno.test("docs/schedulers.md names every class, and samplers that can be had", () => {
  const named = rows.map((cells) => ({
    name: cells[2]!.match(/`(\w+Scheduler)`/)?.[1] ?? "",
    config: cells[3],
  }))
    .filter(({ name }) => name);
  assert.deepEqual([...new Set(named.map(({ name }) => name))].sort(), Object.keys(schedulerClasses).sort());
  for (const { name, config } of named) {
    const scheduler = schedulerClasses[name]!.fromConfig(configIn(config!));
    scheduler.setTimesteps(20);
    assert.ok(scheduler.timesteps.length >= 20, name);
  }
});

/** Rows of schedules: the third cell is a `sigma_schedule`, the fourth the config of diffusers' classes. */
const schedules = rows.filter((cells) => SIGMA_SCHEDULES.some((name) => cells[2]!.trim() === `\`${name}\``));

Deno.test("docs/schedulers.md names all schedules, and which of them schedulers of all kinds take", () => {
  assert.equal(schedules.length, SIGMA_SCHEDULES.length);
  const known = schedules.filter((cells) => cells[3]!.includes(": ")).map((cells) => cells[3]!);
  assert.equal(known.length, 7);
  for (const schedule of known) {
    for (const name of ["EulerDiscreteScheduler", "DPMSolverMultistepScheduler"]) {
      const scheduler = schedulerClasses[name]!.fromConfig(configIn(schedule));
      scheduler.setTimesteps(20);
      assert.equal(scheduler.timesteps.length, 20, `${name} with ${schedule}`);
    }
  }
});

/** The names in the first two cells of a row: A1111's and ComfyUI's. */
function namesIn(cells: string[]): string[] {
  return cells.slice(0, 2).map((cell) => cell.match(/`(\w+)`/)?.[1] ?? cell.trim()).filter((name) =>
    name !== ""
  );
}

Deno.test("schedulerNamed() takes every name of docs/schedulers.md for what stands there", () => {
  const flow = new FlowMatchEulerDiscreteScheduler();
  const pndm = new PNDMScheduler();
  let count = 0;
  for (const cells of rows.filter((cells) => /`\w+Scheduler`/.test(cells[2]!))) {
    const className = cells[2]!.match(/`(\w+Scheduler)`/)![1];
    const flows = className!.startsWith("FlowMatch");
    const names = flows ? [cells[1]!.match(/`(\w+)`/)![1]!] : namesIn(cells);
    for (const name of names) {
      const named = schedulerNamed(name);
      assert.equal(named.from(flows ? flow : pndm).constructor.name, className, name);
      if (!flows) assert.deepEqual(named.config, configIn(cells[3]!), name);
      count++;
    }
  }
  assert.ok(count > 30, `${count} names`);
});

Deno.test("schedulerNamed() takes a schedule of docs/schedulers.md behind a sampler", () => {
  for (const cells of schedules) {
    const sigma_schedule = cells[2]!.match(/`(\w+)`/)![1];
    const known = configIn(cells[3]!);
    for (const name of namesIn(cells)) {
      for (const written of [`DPM++ 2M ${name}`, `dpmpp_2m_${name.toLowerCase()}`]) {
        const { className, config } = schedulerNamed(written);
        const isKnown = Object.keys(known).length > 0;
        assert.equal(className, isKnown ? "DPMSolverMultistepScheduler" : "KDiffusionScheduler", written);
        assert.deepEqual(config, isKnown ? known : { sampler: "dpmpp_2m", sigma_schedule }, written);
      }
      const { className, config } = schedulerNamed(`er_sde ${name}`);
      assert.deepEqual([className, config], ["KDiffusionScheduler", { sampler: "er_sde", sigma_schedule }]);
    }
  }
});

Deno.test("schedulerNamed() takes each sampler of KDiffusionScheduler, with a schedule that its own class does not know", () => {
  for (const sampler of SAMPLERS) {
    const { className, config } = schedulerNamed(`${sampler} kl_optimal`);
    assert.deepEqual([className, config], ["KDiffusionScheduler", { sampler, sigma_schedule: "kl_optimal" }]);
    const scheduler = schedulerNamed(`${sampler} kl_optimal`).from(new PNDMScheduler());
    scheduler.setTimesteps(8);
    assert.ok(scheduler.timesteps.length >= 8, sampler);
  }
  const { className, config } = schedulerNamed("Euler a Karras");
  assert.deepEqual(config, { sampler: "euler_ancestral", sigma_schedule: "karras" });
  assert.equal(className, "KDiffusionScheduler");
});

Deno.test("docs/schedulers.md names the schedulers of diffusers that are refused", () => {
  for (const name of UNBUILT) {
    assert.ok(page.includes(`\`${name}\``), name);
    assert.ok(!Object.hasOwn(schedulerClasses, name), name);
    assert.throws(
      () => schedulerNamed(name),
      new RegExp(`^TypeError: Cannot draw with ${name}: it is not built, as `),
    );
  }
});

Deno.test("schedulerNamed() takes names as they are written elsewhere", () => {
  const karras = { use_karras_sigmas: true };
  const cases: [string, string, object?][] = [
    ["EulerDiscreteScheduler", "EulerDiscreteScheduler"],
    ["EulerDiscrete", "EulerDiscreteScheduler"],
    ["  EULER  ", "EulerDiscreteScheduler"],
    ["euler-a", "EulerAncestralDiscreteScheduler"],
    ["sample_euler_ancestral", "EulerAncestralDiscreteScheduler"], // k-diffusion
    ["k_euler_a", "EulerAncestralDiscreteScheduler"], // A1111's API
    ["k_dpm_2_a_ka", "KDPM2AncestralDiscreteScheduler", karras],
    ["kdpm_2_a_k", "KDPM2AncestralDiscreteScheduler", karras], // InvokeAI
    ["dpmpp_2m_sde_k", "DPMSolverMultistepScheduler", { ...karras, algorithm_type: "sde-dpmsolver++" }],
    ["dpmpp_2m_sde_gpu", "DPMSolverMultistepScheduler", { algorithm_type: "sde-dpmsolver++" }], // ComfyUI
    ["DPM++2M Karras", "DPMSolverMultistepScheduler", karras],
    ["UniPCMultistepScheduler", "UniPCMultistepScheduler"], // the class with its own defaults
  ];
  for (const [name, className, config = {}] of cases) {
    const named = schedulerNamed(name);
    assert.deepEqual([named.className, named.config], [className, config], name);
  }
});

Deno.test("schedulerNamed() refuses what is no scheduler, and a schedule that its class does not know", () => {
  const refused: [string, RegExp][] = [
    [
      "dpm++ 2m karas",
      /^Cannot find the scheduler "dpm\+\+ 2m karas": .*did you mean "DPM\+\+ 2M Karras"\?$/,
    ],
    ["eulre", /did you mean "Euler"\?/],
    ["EulerDiscreteSchedule", /did you mean "EulerDiscreteScheduler"\?/],
    ["SCMScheduler", /^Cannot draw with SCMScheduler: it is not built, as it is for SANA-Sprint/],
    ["euler_cfg_pp", /^Cannot draw with euler_cfg_pp: it is not built, as CFG\+\+ needs the prediction on /],
    [
      "Restart",
      /^Cannot draw with Restart: it is not built, as its steps go back to more noise; take Heun, /,
    ],
    ["DPM adaptive Karras", /it is not built, as [^\n]*; loops call sampleDpmAdaptive\(\)$/],
    ["sa_solver_pece", /^Cannot draw with sa_solver_pece: it is not built, as [^\n]*; take sa_solver$/],
    ["ipnd", /did you mean "ipndm"\?/],
    ["toString", /did you mean/],
    ["", /did you mean/],
    [
      "LCM Karras",
      /expected a class that knows use_karras_sigmas, got LCMScheduler; leave/,
    ],
    [
      "TCD KL Optimal",
      /expected a class that knows the schedule "kl_optimal", got TCDScheduler; leave the end of the name out$/,
    ],
  ];
  for (const [name, message] of refused) {
    assert.throws(() => schedulerNamed(name), { name: "TypeError", message });
  }
});

Deno.test("a named scheduler has the rest of its config from the model's own", () => {
  const own = new EulerDiscreteScheduler({ beta_end: 0.012, use_exponential_sigmas: true });
  const scheduler = schedulerNamed("dpm++ 2m karras").from(own);
  assert.ok(scheduler instanceof DPMSolverMultistepScheduler);
  const { beta_end, use_karras_sigmas, use_exponential_sigmas } = scheduler.config;
  assert.deepEqual([beta_end, use_karras_sigmas, use_exponential_sigmas], [0.012, true, false]);
});

Deno.test("a named scheduler for a model of a flow goes along the flow", () => {
  const own = new FlowMatchEulerDiscreteScheduler({ shift: 3 });
  const heun = schedulerNamed("Heun").from(own);
  assert.ok(heun instanceof FlowMatchHeunDiscreteScheduler);
  assert.equal(heun.config.shift, 3);

  const solver = schedulerNamed("dpmpp_2m").from(own);
  assert.ok(solver instanceof DPMSolverMultistepScheduler);
  const { use_flow_sigmas, prediction_type, flow_shift } = solver.config;
  assert.deepEqual([use_flow_sigmas, prediction_type, flow_shift], [true, "flow_prediction", 3]);

  const back = schedulerNamed("euler").from(solver); // of the same flow
  assert.ok(back instanceof FlowMatchEulerDiscreteScheduler);
  assert.equal(back.config.shift, 3);

  const simple = schedulerNamed("euler simple").from(own);
  assert.ok(simple instanceof KDiffusionScheduler);
  simple.setTimesteps(4);
  assert.deepEqual(simple.sigmas, [1, Math.fround(0.9), 0.75, 0.5, 0]); // 3 σ / (1 + 2 σ) of 1, ¾, ½, ¼
  assert.ok(schedulerNamed("euler_ancestral").from(own) instanceof KDiffusionScheduler);
  assert.throws(
    () => schedulerNamed("lcm simple").from(own),
    /expected a class that knows timestep_spacing, got FlowMatchLCMScheduler/,
  );
});

Deno.test("samplers that follow no flow, or not one whose shift is each picture's own, are refused for it", () => {
  const fixed = new FlowMatchEulerDiscreteScheduler({ shift: 3 });
  const dynamic = new FlowMatchEulerDiscreteScheduler({ use_dynamic_shifting: true });
  for (const name of ["TCD", "DPM Solver SDE", "DDIM", "PNDM"]) {
    for (const own of [fixed, dynamic]) {
      assert.throws(
        () => schedulerNamed(name).from(own),
        /^TypeError: Cannot draw with \w+: expected a scheduler for flows, got one for noise; take FlowMatchEuler.*UniPC/,
      );
    }
  }
  schedulerNamed("SA Solver").from(fixed).setTimesteps(4);
  assert.throws(
    () => schedulerNamed("SA Solver").from(dynamic),
    /^TypeError: Cannot draw with SASolverScheduler: expected one that takes a shift .* got one of flow_shift alone; take Flow/,
  );
  for (const { names: [name] } of samplers) { // what is taken can be set as a pipeline of FLUX sets it
    for (const own of [fixed, dynamic]) {
      let made: Scheduler;
      try {
        made = schedulerNamed(name!).from(own);
      } catch (error) {
        assert.match((error as Error).message, /^Cannot draw with/);
        continue;
      }
      setFlowTimesteps(made, [1, 0.75, 0.5, 0.25], () => 1.1);
    }
  }
});

Deno.test("spreads behind a sampler's name stay within a flow, or are refused", () => {
  const own = new FlowMatchEulerDiscreteScheduler({ shift: 3 });
  const names = samplers.flatMap(({ names: [name] }) =>
    ["Karras", "Exponential", "Beta", "KL Optimal", "GITS", "VP", "Align Your Steps SD1"].map((
      end,
    ) => [name!, end])
  );
  let taken = 0;
  for (const [name, end] of names) {
    let made: Scheduler;
    try {
      made = schedulerNamed(`${name} ${end}`).from(own);
    } catch (error) {
      assert.match(
        (error as Error).message,
        /expected (a class that knows |σ up to 1|a scheduler for flows)/,
      );
      continue;
    }
    taken++;
    made.setTimesteps(4);
    if (made instanceof KDiffusionScheduler) {
      assert.ok(made.sigmas.every((at) => at >= 0 && at <= 1), `${name} ${end}`);
    }
  }
  assert.ok(taken > 40, `${taken} are taken`);
  assert.ok(schedulerNamed("DPM++ 2M Karras").from(own) instanceof KDiffusionScheduler);
  assert.throws(
    () => schedulerNamed("DEIS Beta").from(own),
    /^TypeError: Cannot take the scheduler "DEIS Beta" for a model of flows: expected a class that knows use_beta_sigmas of flows, got DEISMultistepScheduler; leave/,
  );
  assert.throws(
    () => schedulerNamed("Euler GITS").from(own),
    /expected σ up to 1, got those of "gits" for noise; leave/,
  );
});
