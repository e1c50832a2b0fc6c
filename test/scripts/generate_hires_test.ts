import assert from "node:assert/strict";
import { manualSeed, scope, type Tensor } from "denoise";
import { StableDiffusionImg2ImgPipeline, StableDiffusionPipeline } from "denoise/pipelines";
import { interpolate } from "denoise/ops";
import { drawing } from "../../scripts/generate/draw.ts";
import { resizeImage } from "../../src/io/images/resize.ts";
import { device } from "../support/device.ts";
import { emoji } from "../support/emoji.ts";

let sd: StableDiffusionPipeline;
Deno.test.beforeAll(async () => {
  sd = await StableDiffusionPipeline.fromPretrained(emoji, { dtype: "f32" });
});
Deno.test.afterAll(() => {
  for (const one of [sd, device]) one[Symbol.dispose]();
});

const none = { images: [], mask: undefined, control: [], ip: [] };
const seeds = [3n, 4n];
const settings = { prompt: "a nice flower", size: { width: 32, height: 48 }, guidance: 4 };
const generator = () => seeds.map((seed) => manualSeed(seed));

/** What two runs of pipelines draw, with `enlarge` between them. */
async function byHand(latent: boolean, enlarge: (x: Tensor) => Promise<Tensor>): Promise<number[]> {
  const words = {
    prompt: settings.prompt,
    guidanceScale: 4,
    numImagesPerPrompt: 2,
    progress: false,
  } as const;
  const first = await sd.run({
    ...{ ...words, ...settings.size, numInferenceSteps: 4, generator: generator() },
    outputType: latent ? "latent" : undefined,
  });
  const image = await enlarge(first.images);
  const again = new StableDiffusionImg2ImgPipeline(sd.parts);
  // the last 3 of ⌊3 / 0.6⌋ steps
  const second = await again.run({
    ...words,
    image,
    strength: 0.7,
    numInferenceSteps: 5,
    generator: generator(),
  });
  return [...await second.images.data()];
}

Deno.test("a second pass draws the first one's latents, made larger and cut to size, once more, with noise of the same seed", async () => {
  using _made = scope();
  const hires = { width: 64, height: 64 };
  const draw = drawing(sd, { ...settings, hires, "hires-strength": 0.6 }, none);
  const steps: [number, number][] = [];
  const images = await draw(seeds, {
    ...{ numInferenceSteps: 4, hiresSteps: 3, progress: false },
    onStep: (step, _t, _x, all) => void steps.push([step, all]),
  });
  const want = await byHand(true, (x) => {
    const large = interpolate(x, { size: [24, 16], mode: "bilinear" });
    return Promise.resolve(large.slice(2, 4, 20).clone());
  });
  assert.deepEqual([...await images.data()], want);
  assert.deepEqual(steps.map(([step]) => step), [0, 1, 2, 3, 4, 5, 6, 7, 8]); // PNDM takes one more in each
  assert.deepEqual(steps.at(-1), [8, 9]);
});

Deno.test("a second pass begins with the first one's picture where the upscaler is for pictures", async () => {
  using _made = scope();
  const hires = { width: 64, height: 96 };
  const draw = drawing(sd, { ...settings, hires, "hires-strength": 0.6, "hires-upscaler": "lanczos" }, none);
  const images = await draw(seeds, { numInferenceSteps: 4, hiresSteps: 3, progress: false });
  assert.deepEqual([...await images.data()], await byHand(false, (x) => resizeImage(x, [96, 64])));
});
