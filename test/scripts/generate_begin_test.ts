import assert from "node:assert/strict";
import { loadImage, manualSeed, randn, scope, type Tensor, tensor } from "denoise";
import { interpolate } from "denoise/ops";
import {
  type AnyParts,
  StableDiffusionImg2ImgPipeline,
  StableDiffusionInpaintPipeline,
  StableDiffusionPipeline,
} from "denoise/pipelines";
import { expectBegin } from "../../scripts/generate/begin_change.ts";
import { drawing, loadPictures } from "../../scripts/generate/draw.ts";
import { drawingSizeOf } from "../../scripts/generate/drawing_size.ts";
import { misfitOf, misfitTogether } from "../../scripts/generate/misfits.ts";
import { filled } from "../../scripts/generate/mask_fill.ts";
import type { Settings } from "../../scripts/generate/options.ts";
import { imagesOf, imageTensor } from "../../src/io/images/tensors.ts";
import { stagesOf } from "../../src/pipelines/memory/stages.ts";
import { drawLatents } from "../../src/pipelines/latents/init_image.ts";
import { device } from "../support/device.ts";
import { emoji } from "../support/emoji.ts";
import { fixture } from "../support/fixtures.ts";

let sd: StableDiffusionPipeline;
let image: Tensor;
Deno.test.beforeAll(async () => {
  sd = await StableDiffusionPipeline.fromPretrained(emoji, { dtype: "f32" });
  image = await loadImage(fixture("controlnet/init.png"), { size: [32, 32] });
});
Deno.test.afterAll(() => {
  for (const one of [sd, device]) one[Symbol.dispose]();
});

const seeds = [3n, 4n];
const settings = { prompt: "a flower", guidance: 4, strength: 0.7 };
const how = { numInferenceSteps: 3, progress: false } as const;
const words = { prompt: "a flower", guidanceScale: 4, strength: 0.7, numImagesPerPrompt: 2, ...how };
const none = { mask: undefined, control: [], ip: [] };

/** A mask of the right half of 32 x 32 pixels: of latents, columns 2 and 3. */
const half = () => tensor(Array.from({ length: 1024 }, (_, i) => i % 32 < 16 ? 0 : 1), [1, 1, 32, 32]);

for (const content of ["noise", "nothing"] as const) {
  Deno.test(`what is masked begins as ${content}, the rest as its latents, and the noise comes behind these`, async () => {
    using _made = scope();
    const pictures = { ...none, images: [image], mask: half() };
    const images = await drawing(sd, { ...settings, "mask-content": content }, pictures)(seeds, how);
    const generator = seeds.map((seed) => manualSeed(seed));
    const filling = await drawing(sd, { ...settings, "mask-content": "fill" }, pictures)(seeds, how);
    const [[picture], [hidden]] = [await imagesOf(image, "test"), await imagesOf(half(), "test")];
    const known = imageTensor(filled(picture, hidden));
    const latents = drawLatents(sd.parts.vae, known.mul(2).sub(1), { generator, rows: 2 });
    const [C, h, w] = latents.shape.slice(1) as [number, number, number];
    const shown = tensor(Array.from({ length: h * w }, (_, i) => i % w < w / 2 ? 1 : 0), [1, 1, h, w]);
    const fresh = randn([2, C, h, w], { generator: seeds.map((seed) => manualSeed(seed)) });
    const within = content === "noise" ? fresh.mul(shown.neg().add(1)) : 0;
    const begun = latents.mul(shown).add(within);
    const inpainting = new StableDiffusionInpaintPipeline(sd.parts);
    const want = await inpainting.run({ ...words, image: begun, mask: half(), generator });
    assert.deepEqual([...await images.data()], [...await want.images.data()]);
    const filledFirst = seeds.map((seed) => manualSeed(seed));
    const wantFilled = await inpainting.run({ ...words, image: known, mask: half(), generator: filledFirst });
    assert.deepEqual([...await filling.data()], [...await wantFilled.images.data()]);
  });
}

Deno.test("a picture's latents are drawn in its own size, and made larger", async () => {
  using _made = scope();
  const size = { width: 64, height: 48 };
  const named = { ...settings, size, resize: "latents", image: [fixture("controlnet/init.png")] } as const;
  const pictures = await loadPictures(named as unknown as Settings, { asTheyAre: false });
  const own = pictures.images[0]!;
  const [H, W] = own.shape.slice(2) as [number, number];
  const f = sd.parts.vae.scaleFactor;
  assert.deepEqual([H % f, W % f], [0, 0]); // so that nothing of it is cut
  const images = await drawing(sd, named, pictures)(seeds, how);
  const generator = seeds.map((seed) => manualSeed(seed));
  const latents = drawLatents(sd.parts.vae, own.mul(2).sub(1), { generator, rows: 2 });
  const large = interpolate(latents, { size: [48 / f, 64 / f], mode: "bilinear" });
  const changing = new StableDiffusionImg2ImgPipeline(sd.parts);
  const want = await changing.run({ ...words, image: large, generator });
  assert.deepEqual([...await images.data()], [...await want.images.data()]);
});

Deno.test("what does not fit is refused", () => {
  const setting = (name: string) => name;
  const together = (said: object) => misfitTogether({ ...said }, { setting })?.message;
  assert.match(
    together({ "mask-content": "fill", image: ["a"] })!,
    /^Cannot take mask-content alone: expected mask/,
  );
  for (const resize of ["latents", "pixels"]) {
    assert.match(together({ resize })!, /^Cannot take resize alone: expected image too/);
  }
  assert.match(
    together({ resize: "latents", image: ["a"], mask: "b" })!,
    /^Cannot take resize latents with mask/,
  );
  const noise = { "mask-content": "noise", image: ["a"], mask: "b" };
  for (
    const [name, message] of [["FluxFillPipeline", /^Cannot take mask-content noise with FluxFill/]] as const
  ) {
    assert.match(misfitOf(name, noise, { setting })!.message, message);
  }
  assert.equal(misfitOf("FluxPipeline", noise, { setting }), undefined);
  const seeing = { unet: { config: { in_channels: 9 } }, vae: { config: { latent_channels: 4 } } };
  assert.throws(
    () => expectBegin(seeing as unknown as AnyParts, { "mask-content": "nothing" }),
    /^TypeError: Cannot begin with nothing within the mask: this model sees the picture beside it; take original or/,
  );
  expectBegin(seeing as unknown as AnyParts, { "mask-content": "fill" });
});

Deno.test("memory is that of the larger of two passes, also where no size is said, and of a larger picture", () => {
  const bytes = (settings: Parameters<typeof drawingSizeOf>[1], images: [number, number][] = []) =>
    stagesOf({ ...sd.parts }, drawingSizeOf("StableDiffusionPipeline", settings, 1, { images, control: [] }))
      .map(({ activations }) => activations);
  const large = { width: 128, height: 96 };
  const usual = bytes({});
  assert.deepEqual(bytes({ hires: { width: 32, height: 32 } }), usual);
  assert.deepEqual(bytes({ hires: large }), bytes({ size: large }));
  assert.deepEqual(bytes({ size: large, hires: { width: 64, height: 64 } }), bytes({ size: large }));
  assert.notDeepEqual(bytes({ size: large }), usual);
  const size = { width: 64, height: 64 };
  const [latents, pixels] = (["latents", "pixels"] as const).map((resize) => (H: number, W: number) =>
    bytes({ size, resize }, [[H, W]])
  );
  assert.deepEqual(latents!(64, 64), pixels!(64, 64));
  const [own, drawn] = [latents!(96, 128), pixels!(96, 128)];
  assert.deepEqual(own.slice(0, -1), drawn.slice(0, -1)); // only the autoencoder sees the picture in its own size
  assert.ok(own.at(-1)! > drawn.at(-1)!);
  assert.deepEqual(latents!(97, 131), own); // what is over a multiple is cut
});
