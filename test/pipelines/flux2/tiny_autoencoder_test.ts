import assert from "node:assert/strict";
import { manualSeed } from "../../../src/mod.ts";
import { AutoencoderTiny } from "../../../src/models/mod.ts";
import { Flux2KleinPipeline, unpackLatents } from "../../../src/pipelines/mod.ts";
import { readTensors } from "../../support/arrays.ts";
import { fixture } from "../../support/fixtures.ts";
import { assertTensor, upload } from "../../support/tensors.ts";
import "../../support/device.ts";

const klein = fixture("flux2/pipeline");
const taef2 = fixture("autoencoder_tiny/taef2/taef2.safetensors");

Deno.test("klein draws what it draws in diffusers with TAEF2 in place of its autoencoder, which scales no latents", async () => {
  const want = await readTensors(fixture("autoencoder_tiny/taef2/run.safetensors"));
  const pipeline = await Flux2KleinPipeline.fromPretrained(klein, { dtype: "f32", vae: taef2 });
  assert.ok(pipeline.parts.vae instanceof AutoencoderTiny);
  const bytes = upload(want.get("reference")!); // [H, W, 3]
  const image = bytes.permute([2, 0, 1]).unsqueeze(0).div(255);
  const { images, latents } = await pipeline.run({
    prompt: "a nice flower",
    image,
    height: 32,
    width: 48,
    numInferenceSteps: 2,
    maxSequenceLength: 48,
    generator: manualSeed(5),
    progress: false,
  });
  await assertTensor(unpackLatents(latents, [4, 6]), want.get("latents")!, 1e-3, "latents");
  await assertTensor(images, want.get("image")!, 1e-3, "image");
});

Deno.test("TAEF2 decodes klein's previews, whose picture stays the same", async () => {
  using vae = await AutoencoderTiny.fromPretrained(taef2, { dtype: "f32" });
  using pipeline = await Flux2KleinPipeline.fromPretrained(klein, { dtype: "f32" });
  const options = {
    prompt: "x",
    height: 32,
    width: 48,
    numInferenceSteps: 2,
    maxSequenceLength: 8,
    progress: false,
  } as const;
  const plain = await pipeline.run({ ...options, generator: manualSeed(5) });
  const sizes: number[][] = [];
  const write = ({ width, height }: { width: number; height: number }) => void sizes.push([width, height]);
  const { latents } = await pipeline.run({ ...options, generator: manualSeed(5), preview: { vae, write } });
  assert.deepEqual(sizes, [[48, 32], [48, 32]]);
  assert.deepEqual(await latents.data(), await plain.latents.data());
});

Deno.test("klein refuses a tiny autoencoder of another family in one line", async () => {
  const pipeline = await Flux2KleinPipeline.fromPretrained(klein, {
    dtype: "f32",
    vae: fixture("autoencoder_tiny/base"),
  });
  await assert.rejects(
    pipeline.run({ prompt: "x", height: 32, width: 32, maxSequenceLength: 8, progress: false }),
    /^RangeError: Cannot draw with a transformer from 32 channels to 32: expected 16, those of 2×2 latents/,
  );
});
