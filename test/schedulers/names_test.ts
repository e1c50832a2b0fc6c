import assert from "node:assert/strict";
import { join } from "node:path";
import { schedulerClasses } from "../../src/schedulers/mod.ts";

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
    name: cells[2].match(/`(\w+Scheduler)`/)?.[1] ?? "",
    config: cells[3],
  }))
    .filter(({ name }) => name);
  assert.deepEqual([...new Set(named.map(({ name }) => name))].sort(), Object.keys(schedulerClasses).sort());
  for (const { name, config } of named) {
    const scheduler = schedulerClasses[name].fromConfig(configIn(config));
    scheduler.setTimesteps(20);
    assert.ok(scheduler.timesteps.length >= 20, name);
  }
});

Deno.test("docs/schedulers.md names schedules that schedulers of all kinds take", () => {
  const schedules = rows.filter((cells) => cells.length === 3 && cells[2].includes(": ")).map((cells) =>
    cells[2]
  );
  assert.equal(schedules.length, 7);
  for (const schedule of schedules) {
    for (const name of ["EulerDiscreteScheduler", "DPMSolverMultistepScheduler"]) {
      const scheduler = schedulerClasses[name].fromConfig(configIn(schedule));
      scheduler.setTimesteps(20);
      assert.equal(scheduler.timesteps.length, 20, `${name} with ${schedule}`);
    }
  }
});
