import assert from "node:assert/strict";
import { manualSeed } from "../../../src/mod.ts";
import { DiffusionPipeline, Flux2KleinPipeline } from "../../../src/pipelines/mod.ts";
import { Cache, filesOf, onHub } from "../../io/hub/hub_fixture.ts";
import { HubServer, noise } from "../../io/hub/hub_server.ts";
import "../../support/device.ts";
import { fixture } from "../../support/fixtures.ts";

const repo = "black-forest-labs/FLUX.2-klein-4B";
const folder = fixture("flux2/pipeline");
const lora = fixture("flux2/lora/kohya.safetensors");
const small = {
  prompt: "a nice flower",
  height: 64,
  width: 48,
  numInferenceSteps: 2,
  progress: false,
} as const;

Deno.test("klein's name, a prompt and a LoRA draw from the hub what they draw from folders", async () => {
  const files = {
    ...filesOf(folder),
    "README.md": noise(9),
    "flux-2-klein-4b.safetensors": noise(99), // the transformer once more, for other programs
    "teaser.jpg": noise(99),
  };
  await using hub = new HubServer({ repo, files });
  await using cache = await Cache.create();

  const fromHub = await onHub({ endpoint: hub.endpoint, cache }, async () => {
    using pipeline = await DiffusionPipeline.fromPretrained(repo);
    assert.ok(pipeline instanceof Flux2KleinPipeline);
    return await drawn(pipeline);
  });
  assert.deepEqual(hub.seen.filter(({ path }) => /README|klein-4b\.safetensors|teaser/.test(path)), []);

  using pipeline = await Flux2KleinPipeline.fromPretrained(folder);
  assert.deepEqual(await drawn(pipeline), fromHub);
  assert.notDeepEqual(fromHub.styled, fromHub.plain);
});

/** Latents of a picture without and with the LoRA. */
async function drawn(pipeline: Flux2KleinPipeline): Promise<Record<"plain" | "styled", ArrayLike<number>>> {
  const plain = await latentsOf(pipeline);
  await pipeline.loadLoraWeights(lora);
  return { plain, styled: await latentsOf(pipeline) };
}

async function latentsOf(pipeline: Flux2KleinPipeline): Promise<ArrayLike<number>> {
  const { latents } = await pipeline.run({ ...small, generator: manualSeed(0) });
  return await latents.data();
}
