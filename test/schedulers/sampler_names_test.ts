import assert from "node:assert/strict";
import { PNDMScheduler, schedulerNamed } from "../../src/schedulers/mod.ts";
import { samplers } from "../../src/schedulers/names.ts";
import { samplerNamesOf } from "../../src/schedulers/sampler_names.ts";

const base = new PNDMScheduler();

for (const { names: [name] } of samplers) {
  Deno.test(`a scheduler that was named has its name: ${name}`, () => {
    const { sampler } = samplerNamesOf(schedulerNamed(name!).from(base))!;
    // those of flows have the names of their methods
    assert.equal(sampler, name!.replace(/^Flow match Euler$/, "Euler").replace(/^Flow match Heun$/, "Heun"));
  });
}

for (
  const [name, want] of [
    ["DPM++ 2M Karras", { sampler: "DPM++ 2M", schedule: "Karras" }],
    ["er_sde kl_optimal", { sampler: "er_sde", schedule: "KL Optimal" }],
    ["Euler Beta", { sampler: "Euler", schedule: "Beta" }],
    ["Euler", { sampler: "Euler", schedule: undefined }],
  ] as const
) {
  Deno.test(`a scheduler has the name of the spread of its steps: ${name}`, () => {
    assert.deepEqual(samplerNamesOf(schedulerNamed(name).from(base)), want);
  });
}
