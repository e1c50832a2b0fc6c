import assert from "node:assert/strict";
import { join } from "node:path";
import { loadImage, manualSeed, scope, type Tensor } from "denoise";
import { interpolate } from "denoise/ops";
import {
  DiffusionPipeline,
  FluxControlImg2ImgPipeline,
  FluxControlPipeline,
  FluxImg2ImgPipeline,
  FluxPipeline,
  StableDiffusionControlNetImg2ImgPipeline,
  type StableDiffusionControlNetPipeline,
  unpackLatents,
  ZImageImg2ImgPipeline,
  ZImagePipeline,
} from "denoise/pipelines";
import { drawing, loadPictures } from "../../scripts/generate/draw.ts";
import type { Settings } from "../../scripts/generate/options.ts";
import { resizeImage } from "../../src/io/images/resize.ts";
import { fixture } from "../support/fixtures.ts";
import { controlledFolder, fluxFolder } from "../support/pipeline_folders.ts";
import "../support/device.ts";

const none = { images: [], mask: undefined, control: [], ip: [] };
const small = { width: 32, height: 48 };
const hires = { width: 64, height: 64 };
const settings = { prompt: "a sign", "max-sequence-length": 24, size: small, hires, "hires-strength": 0.6 };
const how = { numInferenceSteps: 4, hiresSteps: 3, progress: false } as const;
const seeds = [3n, 4n];
const generator = () => seeds.map((seed) => manualSeed(seed));
const words = { prompt: "a sign", maxSequenceLength: 24, numImagesPerPrompt: 2, progress: false } as const;
const again = { strength: 0.6, numInferenceSteps: 5, ...hires }; // the last 3 of ⌊3 / 0.6⌋ steps

const folder = Deno.makeTempDirSync({ prefix: "denoise-hires-" });
Deno.test.beforeAll(() => controlledFolder(join(folder, "sd")));
Deno.test.beforeAll(() =>
  fluxFolder(join(folder, "canny"), "FluxControlPipeline", "flux_tools/transformer_control")
);
Deno.test.afterAll(() => Deno.removeSync(folder, { recursive: true }));

/** Latents [2, C, 6, 4] as an upscaler makes them larger, cut to 8 × 8. */
function enlarged(x: Tensor): Tensor {
  return interpolate(x, { size: [12, 8], mode: "bilinear" }).slice(2, 2, 10).clone();
}

Deno.test("a second pass of FLUX.1 takes its steps from the first one's latents, unpacked, with the same guidance", async () => {
  using flux = await FluxPipeline.fromPretrained(fixture("flux/pipeline"), { dtype: "f32" });
  using _made = scope();
  const steps: number[] = [];
  const onStep = (step: number) => void steps.push(step);
  const images = await drawing(flux, settings, none)(seeds, { ...how, onStep });
  assert.deepEqual(steps, [0, 1, 2, 3, 4, 5, 6]);
  const plain = { ...words, guidanceScale: 3.5 };
  const first = await flux.run({
    ...{ ...plain, ...small, numInferenceSteps: 4, generator: generator(), outputType: "latent" },
  });
  const image = enlarged(unpackLatents(first.images, [6, 4]));
  const changing = new FluxImg2ImgPipeline(flux.parts);
  const want = await changing.run({ ...plain, ...again, image, generator: generator() });
  assert.deepEqual([...await images.data()], [...await want.images.data()]);
});

Deno.test("FLUX.1 Canny follows its picture in both passes, in the size of each", async () => {
  using flux = await FluxControlPipeline.fromPretrained(join(folder, "canny"), { dtype: "f32" });
  using _made = scope();
  const edges = await loadImage(fixture("controlnet/control.png"));
  const images = await drawing(flux, settings, { ...none, control: [edges] })(seeds, how);
  const plain = { ...words, guidanceScale: 3.5 };
  const first = await flux.run({
    ...{ ...plain, ...small, numInferenceSteps: 4, generator: generator(), outputType: "latent" },
    controlImage: edges,
  });
  const image = enlarged(unpackLatents(first.images, [6, 4]));
  const controlImage = (await resizeImage(edges, [96, 64])).slice(2, 16, 80).clone();
  const changing = new FluxControlImg2ImgPipeline(flux.parts);
  const want = await changing.run({ ...plain, ...again, image, controlImage, generator: generator() });
  assert.deepEqual([...await images.data()], [...await want.images.data()]);
});

Deno.test("a second pass of Z-Image draws its first one's latents once more", async () => {
  using zImage = await ZImagePipeline.fromPretrained(fixture("zimage/pipeline"), { dtype: "f32" });
  using _made = scope();
  const images = await drawing(zImage, settings, none)(seeds, how);
  const first = await zImage.run({
    ...{ ...words, ...small, numInferenceSteps: 4, generator: generator(), outputType: "latent" },
  });
  const changing = new ZImageImg2ImgPipeline(zImage.parts);
  const image = enlarged(first.images);
  const want = await changing.run({ ...words, ...again, image, generator: generator() });
  assert.deepEqual([...await images.data()], [...await want.images.data()]);
});

Deno.test("a ControlNet controls both passes with its scale, by its picture in the size of each", async () => {
  using sd = await DiffusionPipeline.fromPretrained(join(folder, "sd"), {
    dtype: "f32",
    controlnet: fixture("controlnet/controlnet"),
  }) as StableDiffusionControlNetPipeline;
  using _made = scope();
  const f = sd.parts.vae.scaleFactor;
  const file = fixture("controlnet/control.png");
  const named = {
    control: [file],
    controlnet: ["edges:0.7"],
    ...settings,
    guidance: 4,
    "max-sequence-length": undefined,
  };
  const pictures = await loadPictures(named as unknown as Settings, { asTheyAre: false });
  const images = await drawing(sd, named, pictures)(seeds, how);
  const { maxSequenceLength: _, ...plain } = { ...words, guidanceScale: 4, controlnetConditioningScale: 0.7 };
  const edges = await loadImage(file);
  const first = await sd.run({
    ...{ ...plain, ...small, numInferenceSteps: 4, generator: generator(), outputType: "latent" },
    image: edges,
  });
  const large = interpolate(first.images, { size: [96 / f, 64 / f], mode: "bilinear" });
  const changing = new StableDiffusionControlNetImg2ImgPipeline(sd.parts);
  const want = await changing.run({
    ...{ ...plain, ...again, strength: 0.7, generator: generator() },
    image: large.slice(2, 16 / f, 80 / f).clone(),
    controlImage: (await resizeImage(edges, [96, 64])).slice(2, 16, 80).clone(),
  });
  assert.deepEqual([...await images.data()], [...await want.images.data()]);
});

Deno.test("where no size is said, the first pass has that of the picture that controls", async () => {
  using sd = await DiffusionPipeline.fromPretrained(join(folder, "sd"), {
    dtype: "f32",
    controlnet: fixture("controlnet/controlnet"),
  });
  using _made = scope();
  const edges = await resizeImage(await loadImage(fixture("controlnet/control.png")), [50, 33]);
  const named = { ...settings, controlnet: ["edges"], "max-sequence-length": undefined };
  const pictures = { ...none, control: [edges] };
  const f = "vae" in sd.parts ? sd.parts.vae.scaleFactor : 1;
  const own = { width: 33 - 33 % f, height: 50 - 50 % f };
  const draw = async (size: typeof own | undefined) => {
    const images = await drawing(sd, { ...named, size }, pictures)(seeds, how);
    return [...await images.data()];
  };
  assert.deepEqual(await draw(undefined), await draw(own));
});
