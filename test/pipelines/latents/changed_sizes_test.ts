import assert from "node:assert/strict";
import { loadImage, manualSeed, tensor, zeros } from "../../../src/mod.ts";
import { UNet2DConditionModel } from "../../../src/models/mod.ts";
import {
  FluxImg2ImgPipeline,
  FluxPipeline,
  StableDiffusionImg2ImgPipeline,
  StableDiffusionInpaintPipeline,
  StableDiffusionXLImg2ImgPipeline,
  StableDiffusionXLInpaintPipeline,
  StableDiffusionXLPipeline,
} from "../../../src/pipelines/mod.ts";
import { schedulerClasses } from "../../../src/schedulers/mod.ts";
import { camelCased, readJson } from "../../conformance/json.ts";
import { readTensors } from "../../support/arrays.ts";
import { assertRelativelyClose } from "../../support/close.ts";
import "../../support/device.ts";
import { fixture } from "../../support/fixtures.ts";
import { assertRefused } from "../../support/refused.ts";

/** What meta.json says of a run of diffusers. */
interface Run {
  pipeline: string;
  /** A folder of test/fixtures/stable_diffusion_xl; null for FLUX. */
  unet: string | null;
  scheduler: string;
  args: Record<string, unknown>;
}

const bound = 1e-3; // a whole loop in f32
const loading = { dtype: "f32", onNotice: () => {} } as const;
const { generator_seed, runs } = await readJson<{ generator_seed: number; runs: Record<string, Run> }>(
  fixture("changed_sizes/meta.json"),
);
const expected = await readTensors(fixture("changed_sizes/expected.safetensors"));
const classes = {
  FluxImg2ImgPipeline,
  StableDiffusionImg2ImgPipeline,
  StableDiffusionInpaintPipeline,
  StableDiffusionXLImg2ImgPipeline,
  StableDiffusionXLInpaintPipeline,
} as unknown as Record<string, new (parts: unknown) => StableDiffusionXLInpaintPipeline>;

let xl: StableDiffusionXLPipeline;
let flux: FluxPipeline;
Deno.test.beforeAll(async () => {
  xl = await StableDiffusionXLPipeline.fromPretrained(fixture("stable_diffusion_xl/pipeline"), loading);
  flux = await FluxPipeline.fromPretrained(fixture("flux/pipeline"), loading);
});
Deno.test.afterAll(() => {
  xl[Symbol.dispose]();
  flux[Symbol.dispose]();
});

const image = () => loadImage(fixture("changed_sizes/image.png")); // 45 x 37
const mask = () => loadImage(fixture("changed_sizes/mask.png")); // 50 x 29, in colours

for (const [name, { pipeline, unet, scheduler, args }] of Object.entries(runs)) {
  Deno.test(`${pipeline} resizes pictures as diffusers does: ${name.replaceAll("_", " ")}`, async () => {
    using model = unet === null
      ? undefined
      : await UNet2DConditionModel.fromPretrained(fixture(`stable_diffusion_xl/${unet}`), loading);
    const config = (model ? xl : flux).parts.scheduler.config;
    const steps = { scheduler: schedulerClasses[scheduler]!.fromConfig(config) };
    const parts = model ? { ...xl.parts, ...steps, unet: model } : { ...flux.parts, ...steps };
    const { latents, images } = await new classes[pipeline]!(parts).run({
      ...camelCased(args) as { prompt: string },
      image: await image(),
      ...pipeline.includes("Inpaint") ? { mask: await mask() } : {} as { mask: never },
      generator: manualSeed(generator_seed),
      outputType: "latent",
      progress: false,
    });
    const want = expected.get(`${name}/latents`)!;
    const got = latents ?? images;
    assert.deepEqual(got.shape, want.shape);
    assertRelativelyClose(await got.data(), want.data, bound, "latents");
  });
}

const told = { prompt: "a nice flower", numInferenceSteps: 2, strength: 0.8, progress: false } as const;

Deno.test("a picture is drawn in its own size, less what the model cannot draw, or in the one that is asked for", async () => {
  const change = new StableDiffusionXLImg2ImgPipeline(xl.parts);
  const own = await change.run({ ...told, image: zeros([1, 3, 37, 45]) });
  assert.deepEqual(own.images.shape, [1, 3, 36, 44]);
  const wide = await change.run({ ...told, image: zeros([1, 3, 37, 45]), width: 64 });
  assert.deepEqual(wide.images.shape, [1, 3, 36, 64]);
});

Deno.test("sizes that a model cannot draw are refused, with one that it can", async () => {
  const change = new StableDiffusionXLImg2ImgPipeline(xl.parts);
  await assertRefused(
    change.run({ ...told, image: zeros([1, 3, 37, 45]), height: 31 }),
    /^Cannot draw with height 31: expected a multiple of 2 from 2, such as 32$/,
  );
  await assertRefused(
    change.run({ ...told, image: zeros([1, 3, 1, 45]) }),
    /^Cannot change a picture of height 1: expected at least 2 pixels; make it larger, or say height$/,
  );
  await assertRefused(
    change.run({ ...told, image: zeros([1, 4, 16, 16]), height: 64 }),
    /^Cannot change latents of a picture of 32 x 32: expected that height and width, got 64 x 32$/,
  );
});

Deno.test("a mask is cut at the middle after it is resized, and each picture may have its own", async () => {
  const inpaint = new StableDiffusionXLInpaintPipeline(xl.parts);
  const run = (mask: number[]) =>
    inpaint.run({
      ...told,
      prompt: ["a", "b"],
      image: zeros([2, 3, 8, 8]),
      mask: tensor(mask, [mask.length / 4, 1, 2, 2]),
      generator: manualSeed(0),
    });
  const whole = await (await run([1, 1, 1, 1])).latents.data();
  const cut = await (await run([0.5, 0.5, 0.5, 0.5])).latents.data();
  assert.deepEqual(cut, whole);
  const first = await (await run([0.6, 0.6, 0.6, 0.6, 0.49, 0, 0.2, 0])).latents.data();
  assert.deepEqual(first.slice(0, 64), whole.slice(0, 64));
  assert.notDeepEqual(first.slice(64), whole.slice(64));
});
