import assert from "node:assert/strict";
import { manualSeed, rand, randn, type Tensor, zeros } from "../../../src/mod.ts";
import { AutoencoderKLFlux2, Flux2Transformer2DModel } from "../../../src/models/mod.ts";
import { empiricalMu, Flux2Pipeline, type Flux2RunOptions } from "../../../src/pipelines/mod.ts";
import { readReference } from "../../../src/pipelines/flux2/references.ts";
import { FlowMatchEulerDiscreteScheduler } from "../../../src/schedulers/mod.ts";
import "../../support/device.ts";
import { fixture } from "../../support/fixtures.ts";
import { assertRefused } from "../../support/refused.ts";
import { assertTensor, onHost } from "../../support/tensors.ts";

const bound = 1e-3; // a whole loop in f32
const small = { height: 64, width: 48, numInferenceSteps: 2, progress: false } as const;

let pipeline: Flux2Pipeline;
let promptEmbeds: Tensor;
Deno.test.beforeAll(async () => {
  const source = { dtype: "f32" } as const;
  const [transformer, vae, scheduler] = await Promise.all([
    Flux2Transformer2DModel.fromPretrained(fixture("flux2/transformer_dev"), source),
    AutoencoderKLFlux2.fromPretrained(fixture("flux2/pipeline/vae"), source),
    FlowMatchEulerDiscreteScheduler.fromPretrained(fixture("flux2/pipeline"), { subfolder: "scheduler" }),
  ]);
  pipeline = new Flux2Pipeline({ transformer, vae, scheduler });
  promptEmbeds = randn([2, 7, 48], { generator: manualSeed(9) });
});
Deno.test.afterAll(() => pipeline[Symbol.dispose]());

const one = () => promptEmbeds.slice(0, 1, 2);
const picture = (H: number, W: number, seed = 5) => rand([1, 3, H, W], { generator: manualSeed(seed) });

Deno.test("a picture of a batch is the one that its embedding and its generator draw alone", async () => {
  const generator = [0, 1].map((seed) => manualSeed(seed));
  const both = await pipeline.run({ ...small, promptEmbeds, generator });
  const alone = await pipeline.run({ ...small, promptEmbeds: one(), generator: manualSeed(1) });
  assert.deepEqual([both.images.shape, both.latents.shape], [[2, 3, 64, 48], [2, 12, 32]]);
  await assertTensor(both.latents.chunk(2)[1], await onHost(alone.latents), bound, "the second");
  const several = await pipeline.run({
    ...small,
    promptEmbeds: one(),
    numImagesPerPrompt: 2,
    generator: [3, 1].map((seed) => manualSeed(seed)),
  });
  await assertTensor(
    several.latents.chunk(2)[1],
    await onHost(alone.latents),
    bound,
    "the second of one prompt",
  );
});

Deno.test("noise may be given in place of a generator, and latents are what pictures are decoded from", async () => {
  const noise = randn([1, 32, 4, 3], { generator: manualSeed(3) });
  const latents = noise.reshape([1, 32, 12]).permute([0, 2, 1]);
  const drawn = await pipeline.run({ ...small, promptEmbeds: one(), generator: manualSeed(3) });
  const given = { ...small, promptEmbeds: one(), latents, outputType: "latent" as const };
  for (let run = 0; run < 2; run++) { // what is given outlives the run
    const { images } = await pipeline.run(given);
    await assertTensor(images, await onHost(drawn.latents), bound, "latents");
  }
});

Deno.test("references change the picture, in their order, and the first gives the size", async () => {
  const draw = (options: Partial<Flux2RunOptions>) =>
    pipeline.run({
      numInferenceSteps: 1,
      progress: false,
      promptEmbeds: one(),
      generator: manualSeed(1),
      ...options,
    });
  const [a, b] = [picture(70, 100), picture(64, 64, 6)];
  const first = await draw({ image: a });
  assert.deepEqual(first.images.shape, [1, 3, 64, 96]);
  const both = await draw({ image: [a, b] });
  const swapped = await draw({ image: [b, a], height: 64, width: 96 });
  assert.deepEqual([both.images.shape, swapped.images.shape], [[1, 3, 64, 96], [1, 3, 64, 96]]);
  const [x, y, z] = await Promise.all([first, both, swapped].map(({ latents }) => latents.data()));
  assert.notDeepEqual(x, y);
  assert.notDeepEqual(y, z);
});

Deno.test("a run with previews, a callback and recovery draws the same picture", async () => {
  const options = { ...small, promptEmbeds: one(), image: [picture(64, 64)] };
  const plain = await pipeline.run({ ...options, generator: manualSeed(2) });
  const shown: string[] = [];
  const steps: number[] = [];
  const seen = await pipeline.run({
    ...options,
    generator: manualSeed(2),
    recover: true,
    onStep: (step) => void steps.push(step),
    preview: { write: ({ width, height }, step) => void shown.push(`${step}: ${width}x${height}`) },
  });
  assert.deepEqual([shown, steps], [["0: 6x8", "1: 6x8"], [0, 1]]);
  assert.deepEqual(await seen.latents.data(), await plain.latents.data());
});

Deno.test("readReference() cuts around the middle, and resizes only above 1024²", async () => {
  const x = picture(67, 90);
  const cut = await readReference(x, 16);
  assert.deepEqual(cut.shape, [1, 3, 64, 80]);
  assert.deepEqual(await cut.data(), await x.slice(2, 1, 65).slice(3, 5, 85).mul(2).sub(1).data());
  assert.deepEqual((await readReference(zeros([1, 3, 1000, 1300]), 16)).shape, [1, 3, 896, 1152]);
});

Deno.test("empiricalMu() follows one line above 4300 tokens, and falls with the steps below", () => {
  assert.equal(empiricalMu(4301, 4), empiricalMu(4301, 50));
  assert.ok(empiricalMu(4300, 4) > empiricalMu(4300, 50));
});

Deno.test("what cannot be drawn is refused in one line", async () => {
  const refused = (options: object, message: RegExp) =>
    assertRefused(
      pipeline.run({ ...small, promptEmbeds: one(), ...options } as Flux2RunOptions),
      message,
    );
  await refused(
    { promptEmbeds: undefined },
    /^Cannot draw: expected promptEmbeds, got none; the text encoder /,
  );
  await refused({ prompt: "a cat" }, /^Cannot draw: expected promptEmbeds, got a prompt; the text encoder /);
  await refused(
    { promptEmbeds: zeros([1, 7, 47]) },
    /^Cannot draw: expected promptEmbeds \[B, N, 48\], got /,
  );
  await refused(
    { height: 60 },
    /^Cannot draw with height 60: expected a multiple of 16 from 16, such as 64$/,
  );
  await refused(
    { latents: zeros([1, 32, 4, 3]) },
    /^Cannot draw: expected latents \[1, 12, 32\], packed as /,
  );
  await refused(
    { image: zeros([1, 3, 64, 63]) },
    /^Cannot refer to a picture of 63x64: expected sides from 64, /,
  );
  await refused({ image: zeros([1, 3, 64, 640]) }, /^Cannot refer to a picture of 640x64: expected sides /);
  await refused(
    { image: zeros([2, 3, 64, 64]) },
    /^Cannot refer to a picture: expected \[1, 3, H, W\], got \[2, /,
  );
  await refused({ image: [zeros([1, 3, 64, 64]).sub(1)] }, /^Cannot change a picture that is referred to: /);
  await refused(
    { image: ["a.png"] },
    /^Cannot run Flux2Pipeline: expected image to be a tensor, got string; /,
  );
  await refused({ strength: 0.5 }, /^Cannot run Flux2Pipeline with strength: no such option; it is one of /);
  await refused({ guidanceScale: NaN }, /^Cannot draw with guidanceScale NaN: expected a number$/);
  await refused(
    { numInferenceSteps: 0 },
    /^Cannot run with numInferenceSteps 0: expected a whole number from 1$/,
  );
});
