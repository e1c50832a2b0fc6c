import assert from "node:assert/strict";
import type { AutoencoderKL } from "../../../src/models/mod.ts";
import { cat, loadPng, manualSeed, ones, rand, randn, zeros } from "../../../src/mod.ts";
import {
  DiffusionPipeline,
  type LatentLoopOptions,
  pictureOf,
  StableDiffusionImg2ImgPipeline,
  StableDiffusionInpaintPipeline,
  type StableDiffusionOptions,
  StableDiffusionPipeline,
  type StableDiffusionRunOptions,
} from "../../../src/pipelines/mod.ts";
import { schedulerClasses } from "../../../src/schedulers/mod.ts";
import { readTensors } from "../../support/arrays.ts";
import { assertPicture } from "../../support/close.ts";
import "../../support/device.ts";
import { assertRefused } from "../../support/refused.ts";
import { assertTensor, onHost } from "../../support/tensors.ts";

const models = `${import.meta.dirname}/../../../models`;
const bound = 1e-3; // a whole loop in f32
const prompt = "a nice flower";
const small = { prompt, height: 32, width: 32, numInferenceSteps: 2, progress: false } as const;

let pipeline: StableDiffusionPipeline;
let img2img: StableDiffusionImg2ImgPipeline;
let inpaint: StableDiffusionInpaintPipeline;
Deno.test.beforeAll(async () => {
  const loaded = await DiffusionPipeline.fromPretrained(`${models}/emoji-diffusion`, { dtype: "f32" });
  assert.ok(loaded instanceof StableDiffusionPipeline);
  pipeline = loaded;
  img2img = new StableDiffusionImg2ImgPipeline(pipeline.parts);
  inpaint = new StableDiffusionInpaintPipeline(pipeline.parts);
});
Deno.test.afterAll(() => {
  pipeline[Symbol.dispose]();
});

for (const [name, className] of [["pndm", "PNDMScheduler"], ["unipc", "UniPCMultistepScheduler"]] as const) {
  Deno.test(`StableDiffusionPipeline draws diffusers' flower with ${className}`, async () => {
    const want = await readTensors(`${models}/expected/flower_${name}_25.safetensors`);
    const scheduler = schedulerClasses[className]!.fromConfig(pipeline.parts.scheduler.config);
    const { latents, images } = await new StableDiffusionPipeline({ ...pipeline.parts, scheduler }).run({
      prompt,
      numInferenceSteps: 25,
      guidanceScale: 4.5,
      generator: manualSeed(0),
      progress: false,
    });
    assert.deepEqual(scheduler.timesteps, [...want.get("timesteps")!.data]);
    await assertTensor(latents, want.get("latents")!, bound, "latents");
    const png = await loadPng(`${models}/expected/flower_${name}_25.png`);
    await assertPicture(images, pictureOf(png));
  });
}

Deno.test("a picture of a batch is the one that its generator draws alone", async () => {
  const generator = [0, 1].map((seed) => manualSeed(seed));
  const both = await pipeline.run({ ...small, numImagesPerPrompt: 2, generator });
  const alone = await pipeline.run({ ...small, generator: manualSeed(1) });
  assert.deepEqual(both.images.shape, [2, 3, 32, 32]);
  const [, second] = both.latents.chunk(2);
  await assertTensor(second, await onHost(alone.latents), bound, "the second");
});

Deno.test("the noise to begin with may be given, and a negative prompt changes the picture", async () => {
  const latents = randn([1, 4, 8, 8], { generator: manualSeed(3) });
  const drawn = await pipeline.run({ ...small, generator: manualSeed(3) });
  const given = await pipeline.run({ ...small, latents });
  await assertTensor(given.latents, await onHost(drawn.latents), bound, "latents");
  const other = await pipeline.run({ ...small, latents, negativePrompt: "red" });
  assert.notDeepEqual(await other.latents.data(), await given.latents.data());
});

Deno.test("a signal ends a run between two steps, and onStep sees each", async () => {
  const controller = new AbortController();
  const seen: number[] = [];
  const onStep: LatentLoopOptions["onStep"] = (step) => {
    seen.push(step);
    controller.abort(new Error("enough"));
  };
  const { signal } = controller;
  await assert.rejects(pipeline.run({ ...small, numInferenceSteps: 5, signal, onStep }), /enough/);
  assert.deepEqual(seen, [0]);
});

Deno.test("img2img changes the more of a picture, the stronger it is", async () => {
  const image = rand([1, 3, 32, 32], { generator: manualSeed(5) });
  const steps: number[] = [];
  const change = async (strength: number) => {
    let count = 0;
    const { images } = await img2img.run({
      ...small,
      numInferenceSteps: 10,
      image,
      strength,
      generator: manualSeed(0),
      onStep: () => count++,
    });
    steps.push(count);
    return await images.sub(image).abs().mean().item();
  };
  assert.ok(await change(0.1) < await change(0.8));
  assert.deepEqual(steps, [2, 9]); // PNDM takes one step twice
});

Deno.test("img2img draws one picture for each generator of a list", async () => {
  const image = rand([1, 3, 32, 32], { generator: manualSeed(5) });
  const both = await img2img.run({
    ...small,
    image,
    numImagesPerPrompt: 2,
    generator: [0, 1].map((seed) => manualSeed(seed)),
  });
  const alone = await img2img.run({ ...small, image, generator: manualSeed(1) });
  await assertTensor(both.latents.chunk(2)[1], await onHost(alone.latents), bound, "the second");
});

Deno.test("inpainting keeps the latents outside of the mask", async () => {
  const image = rand([1, 3, 32, 32], { generator: manualSeed(5) });
  const mask = cat([zeros([1, 1, 32, 16]), ones([1, 1, 32, 16])], 3); // the right half
  const { vae } = pipeline.parts;
  const { latentDist } = (vae as AutoencoderKL).encode(image.mul(2).sub(1));
  const original = vae.scaleLatents(latentDist.sample({ generator: manualSeed(0) }));
  for (const strength of [1, 0.5]) {
    const { latents } = await inpaint.run({ ...small, image, mask, strength, generator: manualSeed(0) });
    const [left, right] = latents.chunk(2, 3);
    const [kept, replaced] = original.chunk(2, 3);
    await assertTensor(left, await onHost(kept), bound, "the left half");
    assert.notDeepEqual(await right.data(), await replaced.data());
  }
});

const bad: Record<string, [options: Partial<StableDiffusionRunOptions>, line: RegExp]> = {
  "a height that 4 does not divide": [
    { height: 30 },
    /^Cannot draw with height 30: expected a multiple of 4 /,
  ],
  "a width of 0": [{ width: 0 }, /^Cannot draw with width 0: /],
  "no steps": [{ numInferenceSteps: 0 }, /^Cannot .*steps.* 0/],
  "NaN as guidance": [{ guidanceScale: NaN }, /^Cannot draw with guidanceScale NaN: expected a number$/],
  "half a picture a prompt": [{ numImagesPerPrompt: 0.5 }, /^Cannot run with numImagesPerPrompt 0.5: /],
  "no prompts": [{ prompt: [] }, /^Cannot draw: expected a prompt, got an empty list$/],
  "negative prompts of another number": [
    { negativePrompt: ["", ""] },
    /^Cannot draw: expected one negative /,
  ],
  "more layers to skip than there are": [{ clipSkip: 9 }, /^Cannot skip 9 layers of the text encoder: /],
  "a list of generators of another length": [
    { generator: [manualSeed(0), manualSeed(1)] },
    /^Cannot draw a tensor .*: expected one generator or 1, got 2$/,
  ],
};
for (const [what, [options, line]] of Object.entries(bad)) {
  Deno.test(`StableDiffusionPipeline refuses ${what} in one line`, async () => {
    await assertRefused(pipeline.run({ ...small, ...options }), line);
  });
}

Deno.test("latents, pictures and masks of another shape are refused", async () => {
  await assertRefused(
    pipeline.run({ ...small, latents: zeros([1, 4, 4, 4]) }),
    /^Cannot draw: expected latents \[1, 4, 8, 8\], got \[1, 4, 4, 4\]$/,
  );
  const image = zeros([1, 3, 32, 32]);
  await assertRefused(
    img2img.run({ ...small, image: zeros([3, 32, 32]) }),
    /^Cannot change a picture: expected \[1, 3, H, W\], got \[3, 32, 32\]$/,
  );
  await assertRefused(
    img2img.run({ ...small, height: undefined, image: zeros([1, 3, 3, 32]) }),
    /^Cannot change a picture of height 3: expected at least 4 pixels; /,
  );
  await assertRefused(img2img.run({ ...small, image, strength: NaN }), /^Cannot slice by strength: /);
  await assertRefused(
    img2img.run({ ...small, image: image.sub(1) }),
    /^Cannot change a picture: expected values from 0 to 1, got -1$/,
  );
  const mask = zeros([2, 1, 16, 32]);
  await assertRefused(
    inpaint.run({ ...small, image, mask }),
    /^Cannot inpaint: expected a mask \[1, 1 or 3, H, W\], got \[2, 1, 16, 32\]$/,
  );
});

Deno.test("of a prompt of 10,000 words the rest is told, and lone surrogates and emoji are drawn", async () => {
  const notices: string[] = [];
  const onNotice = (line: string) => notices.push(line);
  await draws({ prompt: "flower ".repeat(10_000), onNotice });
  assert.equal(notices.length, 1);
  assert.match(notices[0]!, /^The prompt is longer than 32 tokens; [^\n]*$/);
  await draws({ prompt: "\ud83d a 🐶 \udc36" });
});

async function draws(options: Partial<StableDiffusionOptions>): Promise<void> {
  const { images } = await pipeline.run({ ...small, ...options });
  assert.ok((await images.data()).every(Number.isFinite));
}
