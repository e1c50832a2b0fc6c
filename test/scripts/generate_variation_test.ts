import assert from "node:assert/strict";
import { loadImage, manualSeed, openDevice, scope, type Tensor, tensor, type TorchGenerator } from "denoise";
import {
  Flux2KleinPipeline,
  FluxControlPipeline,
  StableDiffusionImg2ImgPipeline,
  StableDiffusionInpaintPipeline,
  StableDiffusionPipeline,
} from "denoise/pipelines";
import { drawing } from "../../scripts/generate/draw.ts";
import { recipeOfPicture } from "../../scripts/generate/recipe.ts";
import { noisesOf, readVariation, type VariationSettings } from "../../scripts/generate/variation.ts";
import { assertClose, assertRelativelyClose } from "../support/close.ts";
import { emoji } from "../support/emoji.ts";
import { fixture } from "../support/fixtures.ts";
import { fluxFolder } from "../support/pipeline_folders.ts";

// The first noise [2, 4, 6] of ImageRNG in A1111's modules/rng.py with seed 3 and torch 2.13's CPU stream
const CASES: Record<string, [settings: VariationSettings, noise: number[]]> = {
  "with another seed's": [{ variation: "7:0.3" }, [
    -0.535025,
    0.398467,
    -0.28995,
    -0.418136,
    0.685844,
    -0.131899,
    1.282409,
    -1.481487,
    0.435186,
    -0.41188,
    -0.557371,
    -0.494146,
    1.319327,
    0.488217,
    0.679237,
    0.683298,
    -0.855182,
    0.773933,
    0.553867,
    -1.334901,
    1.121814,
    0.658116,
    0.567419,
    -0.361831,
    0.516016,
    2.084798,
    0.996365,
    -0.971301,
    -0.208715,
    0.587555,
    1.935155,
    -0.856519,
    -0.844454,
    -0.218694,
    -0.271298,
    1.072571,
    0.717807,
    -0.413236,
    -0.216798,
    -0.817761,
    -1.182423,
    0.563189,
    1.308301,
    0.109176,
    -1.801076,
    -0.033029,
    1.038648,
    0.717939,
  ]],
  "with that of a smaller size in its middle": [{ "seed-size": { width: 24, height: 16 } }, [
    -0.076644,
    0.359882,
    -0.782017,
    0.071528,
    0.664839,
    -0.28678,
    1.620551,
    0.803276,
    0.174833,
    0.088978,
    0.248502,
    -0.222561,
    0.913152,
    -0.613718,
    0.046182,
    -1.368259,
    0.261501,
    0.931124,
    -0.514462,
    -1.651665,
    1.046023,
    0.522187,
    -0.166809,
    0.053033,
    0.563763,
    2.256557,
    1.86926,
    -1.195234,
    0.997922,
    0.45918,
    2.436397,
    0.337495,
    1.011116,
    -1.435179,
    -0.348089,
    0.348746,
    0.037067,
    0.977432,
    0.52205,
    1.237917,
    -0.271215,
    0.141628,
    0.129518,
    0.681411,
    -0.9583,
    0.063924,
    0.658914,
    0.819459,
  ]],
  "with both, from a larger size": [{ variation: "7:0.6", "seed-size": { width: 72, height: 56 } }, [
    0.672285,
    1.066807,
    0.715946,
    -0.733307,
    0.203067,
    -0.28678,
    0.717407,
    0.45488,
    -1.141428,
    -0.48687,
    -0.229845,
    -0.222561,
    -0.378816,
    -1.141855,
    -1.243439,
    1.510511,
    1.634702,
    0.931124,
    -0.514462,
    -1.651665,
    1.046023,
    0.522187,
    -0.166809,
    0.053033,
    -0.254007,
    1.35795,
    -0.495403,
    0.625016,
    0.622754,
    0.45918,
    0.019144,
    0.150459,
    0.015665,
    1.026827,
    -0.635933,
    0.348746,
    0.682431,
    -0.593019,
    0.399039,
    0.121736,
    2.191599,
    0.141628,
    0.129518,
    0.681411,
    -0.9583,
    0.063924,
    0.658914,
    0.819459,
  ]],
};
const NEXT = [-0.39215, 0.151915, -1.183733, 0.534361]; // of the stream, whatever the first noise became

for (const [what, [settings, want]] of Object.entries(CASES)) {
  Deno.test(`noise is mixed as in A1111: ${what}`, () => {
    const seeds = [settings.variation ? 7n : 3n];
    const [stream] = noisesOf(seeds, { seed: 3n, ...settings }, 8);
    assertRelativelyClose(stream!.firstNoise!([2, 4, 6]), want, 1e-5, "noise");
    assertRelativelyClose(stream!.randn(4), NEXT, 1e-5, "what comes after");
  });
}

Deno.test("a recipe keeps a variation's strength as it was said, which numbers write otherwise", () => {
  const settings = { seed: 1n, variation: "7:0.0000001" };
  const { variation } = recipeOfPicture({}, settings, { width: 8, height: 8 }, 8n);
  assert.equal(variation, "8:0.0000001");
  assert.equal(readVariation(variation as string).strength, 1e-7);
});

Deno.test("what is drawn before the noise and behind it stays as it is, also by a copy of the stream", () => {
  const [stream] = noisesOf([7n], { seed: 3n, variation: "7:1" }, 8);
  const own = manualSeed(3n);
  assert.deepEqual(stream!.randn(48), own.randn(48));
  for (const one of [stream!.clone(), stream!]) {
    assertRelativelyClose(one.firstNoise!([2, 4, 6]), manualSeed(7n).randn(48), 1e-6, "noise");
  }
  own.randn(48);
  assert.deepEqual(stream!.randn(48), own.randn(48));
});

Deno.test("variations are read", () => {
  assert.deepEqual(readVariation("-1:.5"), { seed: -1n, strength: 0.5 });
  for (const text of ["7", "7:0", "7:1.1", "x:0.3", "7:0.3:1", "99999999999999999999:0.3"]) {
    assert.throws(
      () => readVariation(text),
      /^RangeError: Cannot mix noise by [^ ]+: expected SEED:STRENGTH /,
    );
  }
});

Deno.test("noise of another size is in the middle of FLUX.2's, too, which is drawn in patches", async () => {
  using _device = await openDevice();
  using pipeline = await Flux2KleinPipeline.fromPretrained(fixture("flux2/pipeline"), { dtype: "f32" });
  using _made = scope();
  const words = { prompt: "a sign", maxSequenceLength: 24, width: 128, height: 128 };
  const how = { numInferenceSteps: 1, progress: false } as const;
  const settings = {
    ...{ prompt: words.prompt, "max-sequence-length": 24, seed: 3n },
    ...{ size: { width: 128, height: 128 }, "seed-size": { width: 64, height: 64 } },
  };
  const drawn = await drawing(pipeline, settings, { images: [], mask: undefined, control: [], ip: [] })(
    [3n],
    how,
  );
  const { in_channels: width } = pipeline.parts.transformer.config;
  const [large, small] = [64, 16].map((L) => [...manualSeed(3n).randn(width * L)]) as [number[], number[]];
  for (let i = 0; i < small.length; i++) { // 4 x 4 patches within 8 x 8
    const [c, y, x] = [Math.floor(i / 16), Math.floor(i / 4) % 4, i % 4];
    large[64 * c + 8 * (y + 2) + x + 2] = small[i]!;
  }
  const latents = tensor(large).reshape([1, width, 64]).permute([0, 2, 1]);
  const { images } = await pipeline.run({ ...words, ...how, latents });
  assert.deepEqual([...await drawn.data()], [...await images.data()]);
});

/** Streams of seed 9 whose n-th draw, counted from 0, is the first of other seeds. */
function replacing(draws: readonly (readonly [seed: bigint, n: number])[]): TorchGenerator[] {
  return draws.map(([seed, n]) => {
    const [own, stream] = [manualSeed(9n), manualSeed(9n)];
    let draws = 0;
    const randn: TorchGenerator["randn"] = (count, dtype) =>
      (draws++ === n ? manualSeed(seed) : own).randn(count, dtype);
    return Object.assign(stream, { randn });
  });
}

Deno.test("variations of a changed picture have the noise of the other seeds, behind its latents", async () => {
  using _device = await openDevice();
  using sd = await StableDiffusionPipeline.fromPretrained(emoji, { dtype: "f32" });
  using _made = scope();
  const image = await loadImage(fixture("controlnet/init.png"), { size: [32, 32] });
  const mask = await loadImage(fixture("controlnet/mask.png"), { size: [32, 32] });
  const settings = { prompt: "a flower", guidance: 4, strength: 0.7, seed: 9n, variation: "3:1" };
  const how = { numInferenceSteps: 3, progress: false } as const;
  const words = { prompt: "a flower", guidanceScale: 4, strength: 0.7, numImagesPerPrompt: 2, ...how };
  const drawn = async (mask: Tensor | undefined) => {
    const images = await drawing(sd, settings, { images: [image], mask, control: [], ip: [] })([3n, 4n], how);
    return await images.data();
  };
  const changing = new StableDiffusionImg2ImgPipeline(sd.parts);
  const changed = await changing.run({ ...words, image, generator: replacing([[3n, 1], [4n, 1]]) });
  assertClose(await drawn(undefined), await changed.images.data(), 1e-4, "pictures");
  const inpainting = new StableDiffusionInpaintPipeline(sd.parts); // of which the first stream alone draws latents
  const within = await inpainting.run({ ...words, image, mask, generator: replacing([[3n, 1], [4n, 0]]) });
  assertClose(await drawn(mask), await within.images.data(), 1e-4, "pictures with a mask");
});

Deno.test("a variation's noise goes to what is drawn, not to the latents of the picture that FLUX.1 Canny follows", async () => {
  using _device = await openDevice();
  const folder = await Deno.makeTempDir({ prefix: "denoise-variation-" });
  try {
    await fluxFolder(`${folder}/canny`, "FluxControlPipeline", "flux_tools/transformer_control");
    using flux = await FluxControlPipeline.fromPretrained(`${folder}/canny`, { dtype: "f32" });
    using _made = scope();
    const edges = await loadImage(fixture("controlnet/control.png"), { size: [32, 32] });
    const words = { prompt: "a sign", maxSequenceLength: 24 };
    const how = { numInferenceSteps: 2, progress: false } as const;
    const settings = { prompt: "a sign", "max-sequence-length": 24, seed: 9n, variation: "3:1" };
    const images = await drawing(flux, settings, { images: [], mask: undefined, control: [edges], ip: [] })(
      [3n],
      how,
    );
    const want = await flux.run({ ...words, ...how, controlImage: edges, generator: replacing([[3n, 1]]) });
    assertClose(await images.data(), await want.images.data(), 1e-4, "pictures");
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
