import assert from "node:assert/strict";
import { manualSeed } from "../../../src/mod.ts";
import { DiffusionPipeline, ZImagePipeline } from "../../../src/pipelines/mod.ts";
import { Cache, filesOf, onHub } from "../../io/hub/hub_fixture.ts";
import { HubServer, noise } from "../../io/hub/hub_server.ts";
import "../../support/device.ts";
import { fixture } from "../../support/fixtures.ts";

const folder = fixture("zimage/pipeline");
const small = {
  prompt: "a nice flower",
  height: 64,
  width: 48,
  numInferenceSteps: 2,
  guidanceScale: 0,
} as const;

Deno.test("a name, a prompt and a LoRA draw from the hub what they draw from folders", async () => {
  const files = { ...filesOf(folder), "README.md": noise(9), "assets/showcase.jpg": noise(99) };
  await using hub = new HubServer({ repo: "Tongyi-MAI/Z-Image-Turbo", files });
  await using cache = await Cache.create();
  const lora = fixture("zimage/lora/kohya.safetensors");

  const fromHub = await onHub({ endpoint: hub.endpoint, cache }, async () => {
    using pipeline = await DiffusionPipeline.fromPretrained("Tongyi-MAI/Z-Image-Turbo");
    assert.ok(pipeline instanceof ZImagePipeline);
    const plain = await latentsOf(pipeline);
    const { matched, format } = await pipeline.loadLoraWeights(lora);
    assert.deepEqual([matched.length, format], [46, "kohya"]);
    const styled = await latentsOf(pipeline);
    await pipeline.unloadLora();
    assert.deepEqual(await latentsOf(pipeline), plain);
    return { plain, styled };
  });
  assert.deepEqual(hub.seen.filter(({ path }) => /README|assets/.test(path)), []);

  using pipeline = await ZImagePipeline.fromPretrained(folder);
  assert.deepEqual(await latentsOf(pipeline), fromHub.plain);
  await pipeline.loadLoraWeights(lora);
  assert.deepEqual(await latentsOf(pipeline), fromHub.styled);
  assert.notDeepEqual(fromHub.styled, fromHub.plain);
});

async function latentsOf(pipeline: ZImagePipeline): Promise<ArrayLike<number>> {
  const { latents } = await pipeline.run({ ...small, progress: false, generator: manualSeed(0) });
  return await latents.data();
}
