import assert from "node:assert/strict";
import { manualSeed, randn } from "../../src/mod.ts";
import { AutoencoderTiny } from "../../src/models/mod.ts";
import {
  DDPMPipeline,
  StableDiffusionImg2ImgPipeline,
  StableDiffusionPipeline,
} from "../../src/pipelines/mod.ts";
import { fixture } from "../support/fixtures.ts";
import { assertTensor, onHost } from "../support/tensors.ts";
import { device } from "../support/device.ts";

const models = `${import.meta.dirname}/../../models`;
const tiny = fixture("autoencoder_tiny/base");
const small = { prompt: "the sun", numInferenceSteps: 2, progress: false, height: 64, width: 64 } as const;

for (const how of ["by its folder", "as a model"]) {
  Deno.test(`pipelines draw with a tiny autoencoder in place of their own: ${how}`, async () => {
    using given = await AutoencoderTiny.fromPretrained(tiny, { dtype: "f32" });
    const vae = how === "as a model" ? given : tiny;
    const options = { dtype: "f32", vae } as const;
    using pipeline = await StableDiffusionPipeline.fromPretrained(`${models}/emoji-diffusion`, options);
    assert.ok(pipeline.parts.vae instanceof AutoencoderTiny);
    const { images, latents } = await pipeline.run({ ...small, generator: manualSeed(0) });
    assert.deepEqual(latents.shape, [1, 4, 8, 8]);
    const want = given.decode(latents).sample.div(2).add(0.5).clamp(0, 1);
    await assertTensor(images, await onHost(want), 0, "image");

    const changing = new StableDiffusionImg2ImgPipeline(pipeline.parts);
    const seen: number[][] = [];
    await changing.run({
      ...small,
      image: randn([1, 3, 64, 64], { generator: manualSeed(1) }).clamp(0, 1),
      generator: manualSeed(0),
      preview: { write: (picture) => void seen.push([picture.width, picture.height]) },
    });
    assert.deepEqual(seen.at(-1), [8, 8]);
  });
}

Deno.test("an autoencoder is refused where there is none to replace, or none is named", async () => {
  await assert.rejects(
    DDPMPipeline.fromPretrained(`${models}/emoji-ddpm`, { vae: tiny }),
    /Cannot load .* with vae: its pipeline has no autoencoder/,
  );
  await assert.rejects(
    StableDiffusionPipeline.fromPretrained(`${models}/emoji-diffusion`, { vae: fixture("controlnet/unet") }),
    /AutoencoderKL/,
  );
  assert.ok(device);
});
