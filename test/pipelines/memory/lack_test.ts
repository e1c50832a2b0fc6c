import assert from "node:assert/strict";
import { manualSeed, rand, scope, type Tensor, tensor } from "../../../src/mod.ts";
import {
  DDPMPipeline,
  StableDiffusionImg2ImgPipeline,
  StableDiffusionInpaintPipeline,
  StableDiffusionPipeline,
  StableDiffusionXLImg2ImgPipeline,
  StableDiffusionXLInpaintPipeline,
  StableDiffusionXLPipeline,
} from "../../../src/pipelines/mod.ts";
import { device } from "../../support/device.ts";

const root = `${import.meta.dirname}/../../..`;
const settled = 3; // pictures after which nothing new is needed
const told = { prompt: "a nice flower", numInferenceSteps: 2, progress: false } as const;

let pipeline: StableDiffusionPipeline;
let xl: StableDiffusionXLPipeline;
let image: Tensor;
let mask: Tensor;
Deno.test.beforeAll(async () => {
  pipeline = await StableDiffusionPipeline.fromPretrained(`${root}/models/emoji-diffusion`);
  xl = await StableDiffusionXLPipeline.fromPretrained(`${root}/test/fixtures/stable_diffusion_xl/pipeline`);
  image = rand([1, 3, 32, 32], { generator: manualSeed(1) });
  mask = tensor(Float32Array.from({ length: 1024 }, (_, i) => i % 2), [1, 1, 32, 32]);
  for (const given of [image, mask]) await given.data();
});
Deno.test.afterAll(() => {
  pipeline[Symbol.dispose]();
  xl[Symbol.dispose]();
});

const runs: Record<
  string,
  [count: number, draw: (seed: number) => Promise<{ images: Tensor; latents?: Tensor }>]
> = {
  "StableDiffusionPipeline": [
    20,
    (seed) => pipeline.run({ ...told, height: 32, width: 32, ...seeded(seed) }),
  ],
  "StableDiffusionImg2ImgPipeline": [
    8,
    (seed) => new StableDiffusionImg2ImgPipeline(pipeline.parts).run({ ...told, image, ...seeded(seed) }),
  ],
  "StableDiffusionInpaintPipeline": [
    8,
    (seed) =>
      new StableDiffusionInpaintPipeline(pipeline.parts).run({ ...told, image, mask, ...seeded(seed) }),
  ],
  "StableDiffusionXLPipeline": [8, (seed) => xl.run({ ...told, height: 32, width: 32, ...seeded(seed) })],
  "StableDiffusionXLImg2ImgPipeline": [
    8,
    (seed) => {
      const options = { ...told, image, strength: 0.5, ...seeded(seed) };
      return new StableDiffusionXLImg2ImgPipeline(xl.parts).run(options);
    },
  ],
  "StableDiffusionXLInpaintPipeline": [
    8,
    (seed) => new StableDiffusionXLInpaintPipeline(xl.parts).run({ ...told, image, mask, ...seeded(seed) }),
  ],
};
for (const [name, [count, draw]] of Object.entries(runs)) {
  Deno.test(`${name} takes no more GPU memory for ${count} pictures than for ${settled}`, async () => {
    await assertFlat(count, draw);
  });
}

Deno.test("DDPMPipeline takes no more GPU memory for 8 pictures than for 3", async () => {
  using ddpm = await DDPMPipeline.fromPretrained(`${root}/test/fixtures/ddpm/pipeline`);
  await assertFlat(8, (seed) => ddpm.run({ numInferenceSteps: 2, progress: false, ...seeded(seed) }));
});

Deno.test("previews take no memory that they do not give back", async () => {
  await assertFlat(8, (seed) => {
    const preview = { write: () => {} };
    return pipeline.run({ ...told, height: 32, width: 32, preview, ...seeded(seed) });
  });
});

/** Draws one picture after another, and frees what a run returns when it is read. */
async function assertFlat(
  count: number,
  draw: (seed: number) => Promise<{ images: Tensor; latents?: Tensor }>,
): Promise<void> {
  const bytes: number[] = [];
  for (let seed = 0; seed < count; seed++) {
    const { images, latents } = await draw(seed);
    {
      using _read = scope(images, ...(latents ? [latents] : []));
      await images.data();
    }
    bytes.push(device.buffers.usage().bytes);
  }
  const most = Math.max(...bytes.slice(0, settled));
  assert.ok(bytes.every((now) => now <= most), `bytes after each picture: ${bytes.join(", ")}`);
}

function seeded(seed: number) {
  return { generator: manualSeed(seed) };
}
