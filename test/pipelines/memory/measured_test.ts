import assert from "node:assert/strict";
import { openDevice } from "../../../src/mod.ts";
import { StableDiffusionPipeline } from "../../../src/pipelines/mod.ts";
import { acquireModels } from "../../../src/pipelines/memory/acquire.ts";
import { stagesOf } from "../../../src/pipelines/memory/stages.ts";
import { emoji } from "../../support/emoji.ts";

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

Deno.test("a model that is brought in leaves the memory of the GPU again", async () => {
  using device = await openDevice(); // on which nothing else is freed meanwhile
  using pipeline = await StableDiffusionPipeline.fromPretrained(emoji, { dtype: "f32" });
  const { parts } = pipeline;
  (await acquireModels(parts, [parts.unet]))[Symbol.dispose]();
  assert.ok(device.buffers.usage().bytes >= parts.unet.bytes);
  parts.memory = 1;
  (await acquireModels(parts, [parts.textEncoder]))[Symbol.dispose]();
  const { bytes } = device.buffers.usage();
  assert.ok(bytes >= parts.textEncoder.bytes && bytes < parts.textEncoder.bytes + 1_000_000, `${bytes}`);
});

/** What was planned for each model, and the most bytes that a run took on a device of its own. */
async function planAndRun(memory?: number): Promise<{ planned: number[]; measured: number }> {
  using device = await openDevice();
  using pipeline = await StableDiffusionPipeline.fromPretrained(emoji, { dtype: "f32" });
  if (memory) pipeline.parts.memory = memory;
  const planned = stagesOf({ ...pipeline.parts }, size)
    .map(({ model, activations }) => model.bytes + activations);
  const { images } = await pipeline.run(run);
  await images.data();
  return { planned, measured: device.buffers.usage().peak };
}
