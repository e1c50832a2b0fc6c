import assert from "node:assert/strict";
import { checkedTimesteps, spacedTimesteps } from "../../src/schedulers/timesteps.ts";

const base = { num_train_timesteps: 1000, steps_offset: 0 };

Deno.test("spacedTimesteps() follows numpy for each spacing", () => {
  const spaced = (timestep_spacing: "leading" | "linspace" | "trailing", count: number, steps_offset = 0) =>
    spacedTimesteps({ ...base, timestep_spacing, steps_offset }, count);
  assert.deepEqual(spaced("leading", 4), [750, 500, 250, 0]);
  assert.deepEqual(spaced("leading", 3, 1), [667, 334, 1]);
  assert.deepEqual(spaced("linspace", 3), [999, 500, 0]); // 499.5 goes to the even 500
  assert.deepEqual(spaced("linspace", 1), [0]);
  assert.deepEqual(spaced("trailing", 4), [999, 749, 499, 249]);
  assert.deepEqual(spaced("trailing", 3), [999, 666, 332]);
});

Deno.test("spacedTimesteps() has as many trailing timesteps as asked for, where diffusers adds -1", () => {
  for (const count of [61, 103, 121, 122, 201]) {
    const timesteps = spacedTimesteps({ ...base, timestep_spacing: "trailing" }, count);
    assert.equal(timesteps.length, count);
    assert.ok(timesteps.at(-1)! > 0);
  }
});

Deno.test("spacedTimesteps() refuses counts outside the training range", () => {
  for (const count of [0, -1, 2.5, NaN, 1001]) {
    assert.throws(() => spacedTimesteps({ ...base, timestep_spacing: "leading" }, count), {
      name: "RangeError",
      message: `Cannot set timesteps: expected 1 to 1000 steps (num_train_timesteps), got ${count}`,
    });
  }
  assert.throws(
    () => spacedTimesteps({ ...base, timestep_spacing: "leading", steps_offset: 1 }, 1000),
    /expected all below 1000 \(num_train_timesteps\), got 1000 with steps_offset 1; use fewer steps/,
  );
});

Deno.test("checkedTimesteps() wants whole numbers that fall within the training range", () => {
  const check = (timesteps: number[]) =>
    checkedTimesteps({ ...base, timestep_spacing: "leading" }, timesteps);
  assert.deepEqual(check([999, 500, 0]), [999, 500, 0]);
  assert.throws(() => check([]), /got none/);
  assert.throws(() => check([1000, 5]), /got 1000 at index 0/);
  assert.throws(() => check([500, 500]), /got 500 at index 1/);
  assert.throws(() => check([500, 1.5]), /got 1.5 at index 1/);
  assert.throws(() => check([500, -1]), /got -1 at index 1/);
});
