import assert from "node:assert/strict";
import { manualSeed, scope, type Tensor, type TorchGenerator } from "denoise";
import { StableDiffusionImg2ImgPipeline, StableDiffusionPipeline } from "denoise/pipelines";
import { interpolate } from "denoise/ops";
import { drawing } from "../../scripts/generate/draw.ts";
import { resizeImage } from "../../src/io/images/resize.ts";
import { device } from "../support/device.ts";
import { emoji } from "../support/emoji.ts";
import { assertClose } from "../support/close.ts";

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
async function byHand(
  latent: boolean,
  enlarge: (x: Tensor) => Promise<Tensor>,
  again = generator,
): Promise<number[]> {
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
  const changing = new StableDiffusionImg2ImgPipeline(sd.parts);
  // the last 3 of ⌊3 / 0.6⌋ steps
  const second = await changing.run({
    ...words,
    image,
    strength: 0.7,
    numInferenceSteps: 5,
    generator: again(),
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

Deno.test("both passes have a variation's noise, and the encoder between them draws as without one", async () => {
  using _made = scope();
  const hires = { width: 64, height: 96 };
  const varied = { ...settings, hires, "hires-strength": 0.6, seed: 9n, variation: "3:1" };
  const draw = drawing(sd, { ...varied, "hires-upscaler": "lanczos" }, none);
  const images = await draw(seeds, { numInferenceSteps: 4, hiresSteps: 3, progress: false });
  const again = () =>
    seeds.map((seed) => {
      const [own, stream] = [manualSeed(9n), manualSeed(9n)];
      let draws = 0;
      const randn: TorchGenerator["randn"] = (count, dtype) =>
        // the second draw is the noise
        (draws++ === 1 ? manualSeed(seed) : own).randn(count, dtype);
      return Object.assign(stream, { randn });
    });
  const want = await byHand(false, (x) => resizeImage(x, [96, 64]), again);
  assertClose(await images.data(), want, 1e-4, "pictures");
});

Deno.test("previews count the steps of a second pass on from the first", async () => {
  using _made = scope();
  const draw = drawing(sd, { ...settings, hires: { width: 64, height: 96 } }, none);
  const [asked, written]: [number[], number[]] = [[], []];
  const preview = {
    wants: (step: number) => asked.push(step) > 0,
    write: (_picture: unknown, step: number) => void written.push(step),
  };
  await draw(seeds, { numInferenceSteps: 3, hiresSteps: 2, progress: false, preview });
  for (const steps of [asked, written]) {
    assert.deepEqual(steps, [...new Set(steps)].toSorted((a, b) => a - b));
  }
  assert.ok(asked.at(-1)! > 3, `${asked}`); // of the second pass
});

Deno.test("a second pass that ends early gives the first one's results back", async () => {
  const draw = drawing(sd, { ...settings, hires: { width: 64, height: 96 } }, none);
  const bytes: number[] = [];
  for (let i = 0; i < 5; i++) {
    const leaving = new AbortController();
    const onStep = (step: number) => {
      if (step === 4) leaving.abort(new Error("enough")); // PNDM takes 3 in the first pass
    };
    const how = {
      numInferenceSteps: 2,
      hiresSteps: 2,
      progress: false,
      signal: leaving.signal,
      onStep,
    } as const;
    await assert.rejects(draw(seeds, how), /enough/);
    await device.settle();
    bytes.push(device.buffers.usage().bytes);
  }
  assert.ok(bytes.at(-1)! <= Math.max(...bytes.slice(0, 2)), `bytes after each run: ${bytes}`);
});
