import assert from "node:assert/strict";
import { openDevice } from "../../src/mod.ts";
import { StableDiffusionPipeline } from "../../src/pipelines/mod.ts";
import { stagesOf } from "../../src/pipelines/stages.ts";

const folder = `${import.meta.dirname}/../../models/emoji-diffusion`;
const size = { width: 128, height: 128 };
const run = { ...size, prompt: "a nice flower", numInferenceSteps: 3, progress: false } as const;

Deno.test("a pipeline takes the memory that was planned for it, all models together", async () => {
  const { planned, measured } = await planAndRun();
  const together = planned.reduce((sum, bytes) => sum + bytes, 0);
  assert.ok(measured > 0.9 * together && measured < 1.1 * together, `${measured} of ${together}`);
});

Deno.test("a pipeline takes the memory that was planned for its largest model, one at a time", async () => {
  const { planned, measured } = await planAndRun(1);
  const largest = Math.max(...planned);
  assert.ok(measured > 0.9 * largest && measured < 1.1 * largest, `${measured} of ${largest}`);
});

/** What was planned for each model, and the most bytes that a run took on a device of its own. */
async function planAndRun(memory?: number): Promise<{ planned: number[]; measured: number }> {
  using device = await openDevice();
  using pipeline = await StableDiffusionPipeline.fromPretrained(folder, { dtype: "f32" });
  if (memory) pipeline.parts.memory = memory;
  const planned = stagesOf({ ...pipeline.parts }, size)
    .map(({ model, activations }) => model.bytes + activations);
  const { images } = await pipeline.run(run);
  await images.data();
  return { planned, measured: device.buffers.usage().peak };
}
