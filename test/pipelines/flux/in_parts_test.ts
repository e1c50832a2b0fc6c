import assert from "node:assert/strict";
import { manualSeed, OutOfMemoryError } from "../../../src/mod.ts";
import { FluxPipeline } from "../../../src/pipelines/mod.ts";
import { acquireModels } from "../../../src/pipelines/memory/acquire.ts";
import { SMALL_BUFFERS } from "../../../src/pipelines/memory/weight_modes.ts";
import "../../support/device.ts";
import { fixture } from "../../support/fixtures.ts";

for (const lora of [undefined, "kohya"]) { // which changes layers of either part
  const what = lora ? "FLUX with a LoRA" : "FLUX";
  Deno.test(`${what} draws the same bits where its transformer is in memory in parts, again and again`, async () => {
    using pipeline = await open();
    if (lora) await pipeline.loadLoraWeights(fixture(`flux/lora/${lora}.safetensors`));
    const want = await draw(pipeline);
    const { parts } = pipeline;
    const { transformer } = parts;
    const entries = watchLoads(pipeline);
    transformer.unload();
    parts.memory = transformer.bytes + transformer.adapters.bytes + transformer.workspace + SMALL_BUFFERS - 1;
    for (let time = 0; time < 2; time++) assert.deepEqual(await draw(pipeline), want, `run ${time}`);
    assert.deepEqual(entries, ["condition", "step", "condition", "step"]);
    parts.memory += 1; // there is just room for all
    assert.deepEqual(await draw(pipeline), want);
    assert.deepEqual(entries.slice(4), [undefined, undefined]);
  });
}

Deno.test("where the GPU turns out to be full, a transformer comes in parts from then on", async () => {
  using pipeline = await open();
  const { parts } = pipeline;
  parts.memory = undefined;
  const entries = watchLoads(pipeline, (only) => {
    if (!only) throw new OutOfMemoryError("full");
  });
  for (const only of ["condition", "step"]) {
    using _part = await acquireModels(parts, [parts.transformer], { only, onNotice: () => {} });
  }
  assert.deepEqual(entries, [undefined, "condition", "step"]);
  await assert.rejects(acquireModels(parts, [parts.transformer]), { message: "full" });
});

/** What the transformer is told to load, from now on. */
function watchLoads({ parts: { transformer } }: FluxPipeline, told?: (only?: string) => void) {
  const entries: (string | undefined)[] = [];
  const acquire = transformer.acquire.bind(transformer);
  transformer.acquire = async (options) => {
    entries.push(options?.only);
    told?.(options?.only);
    return await acquire(options);
  };
  return entries;
}

function open(): Promise<FluxPipeline> {
  return FluxPipeline.fromPretrained(fixture("flux/pipeline"), { dtype: "f32", onNotice: () => {} });
}

async function draw(pipeline: FluxPipeline): Promise<ArrayLike<number>> {
  const { images } = await pipeline.run({
    prompt: "a cat",
    height: 64,
    width: 64,
    numInferenceSteps: 2,
    progress: false,
    generator: manualSeed(1),
  });
  return await images.data();
}
