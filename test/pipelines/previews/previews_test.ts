import type { Shape, Tuple } from "../../../src/core/shape.ts";
import assert from "node:assert/strict";
import { OutOfMemoryError } from "../../../src/gpu/errors.ts";
import { parseConfig } from "../../../src/io/config.ts";
import { type Image, manualSeed, randn, tensor } from "../../../src/mod.ts";
import { AutoencoderKL, AutoencoderKLFlux2, AutoencoderTiny } from "../../../src/models/mod.ts";
import {
  DDPMPipeline,
  pictureOf,
  preview,
  type PreviewOptions,
  previewPixels,
  StableDiffusionPipeline,
  StableDiffusionXLPipeline,
} from "../../../src/pipelines/mod.ts";
import { fitColors, type LatentColors, paint } from "../../../src/pipelines/previews/colors.ts";
import { PreviewDecoder } from "../../../src/pipelines/previews/decoder.ts";
import { colorsOf, fitToLatents } from "../../../src/pipelines/previews/fit.ts";
import { knownColors } from "../../../src/pipelines/previews/known.ts";
import { schedulerClasses } from "../../../src/schedulers/mod.ts";
import { assertRelativelyClose } from "../../support/close.ts";
import "../../support/device.ts";
import { fixture } from "../../support/fixtures.ts";

const root = `${import.meta.dirname}/../../..`;
const small = { prompt: "a nice flower", height: 32, width: 32, progress: false } as const;
const tiny = fixture("autoencoder_tiny/base");
const real = { // as the repositories have it
  block_out_channels: [128, 256, 512, 512],
  down_block_types: new Array(4).fill("DownEncoderBlock2D"),
  up_block_types: new Array(4).fill("UpDecoderBlock2D"),
  latent_channels: 4,
};
const flux = { latent_channels: 16, scaling_factor: 0.3611, shift_factor: 0.1159 };

let pipeline: StableDiffusionPipeline;
Deno.test.beforeAll(async () => {
  pipeline = await StableDiffusionPipeline.fromPretrained(`${root}/models/emoji-diffusion`, { dtype: "f32" });
});
Deno.test.afterAll(() => {
  pipeline[Symbol.dispose]();
});

for (const C of [1, 3, 4, 6, 16]) {
  Deno.test(`fitColors() finds the colours of ${C} channels from what they painted`, () => {
    const { colors, latents } = example(C, [2, C, 5, 3]);
    const planes = { shape: [2, 3, 5, 3], data: shades(latents, colors) };
    fitColors(latents, planes).forEach((row, i) => assertRelativelyClose(row, colors[i]!, 1e-4, `row ${i}`));
  });

  Deno.test(`paint() rounds the affine map of ${C} channels, the pictures of a batch side by side`, () => {
    const { colors, latents } = example(C, [2, C, 5, 3]);
    const { width, height, channels, data } = paint(latents, colors);
    assert.deepEqual([width, height, channels], [6, 5, 3]);
    shades(latents, colors).forEach((want, i) => { // [b, color, row, column]
      const [b, color, row, column] = [
        Math.floor(i / 45),
        Math.floor(i / 15) % 3,
        Math.floor(i / 3) % 5,
        i % 3,
      ];
      const got = data[3 * (row * 6 + b * 3 + column) + color]!;
      assert.ok(Math.abs(got - 255 * Math.min(1, Math.max(0, want!))) < 0.501, `${got} for ${want}`);
    });
  });
}

Deno.test("paint() makes NaN black instead of failing", () => {
  const { data } = paint({ shape: [1, 1, 1, 1], data: [NaN] }, [[1, 0], [1, 0], [1, 0]]);
  assert.deepEqual([...data], [0, 0, 0]);
});

Deno.test("fitColors() says the same of channels that are equal, where least squares have no one answer", () => {
  const data = [0.1, 0.4, 0.7, 0.2, 0.1, 0.4, 0.7, 0.2];
  const gray = { shape: [1, 1, 2, 2], data: data.slice(0, 4) };
  for (const [first, second, constant] of fitColors({ shape: [1, 2, 2, 2], data }, gray)) {
    assertRelativelyClose([first!, second!, constant! + 1], [0.5, 0.5, 1], 1e-3, "half of each");
  }
});

Deno.test("a preview of the embedded model's latents is near to what its autoencoder decodes", async () => {
  const { vae } = pipeline.parts;
  assert.ok(knownColors(vae.config));
  const { latents, images } = await pipeline.run({
    prompt: small.prompt,
    numInferenceSteps: 10,
    guidanceScale: 4.5,
    generator: manualSeed(0),
    progress: false,
  });
  const painted = await preview(latents, vae);
  assert.deepEqual([painted.width, painted.height], [16, 16]);
  const averages = images.reshape([1, 3, 16, 4, 16, 4]).mean([3, 5]);
  const off = averages.sub(pictureOf(painted));
  const deviation = async (x: typeof off) => Math.sqrt(await x.mul(x).mean().item());
  const flat = averages.sub(averages.mean([2, 3], { keepdim: true })); // what one colour would be off
  assert.ok(await deviation(off) < 0.6 * await deviation(flat));
});

Deno.test("an autoencoder without known colours gets its own, once, and leaves as it came", async () => {
  using vae = await AutoencoderKL.fromPretrained(`${root}/test/fixtures/flux/pipeline/vae`, { defer: true });
  assert.equal(knownColors(vae.config), undefined);
  const latents = randn([1, 16, 4, 6], { generator: manualSeed(1) });
  const { width, height, data } = await preview(latents, vae);
  assert.deepEqual([width, height, vae.loaded], [6, 4, false]);
  assert.ok(new Set(data).size > 10, "all pixels are alike");
  assert.equal(colorsOf(vae), colorsOf(vae));
  await vae.load();
  const own = await fitToLatents(vae, randn([4, 16, 8, 8], { generator: manualSeed(2) }));
  assert.deepEqual(own.map((row) => row.length), [17, 17, 17]);
});

Deno.test("colours whose fit failed are fitted again by the next run", async () => {
  using vae = await AutoencoderKL.fromPretrained(fixture("flux/pipeline/vae"));
  assert.equal(knownColors(vae.config), undefined);
  const { load } = vae;
  vae.load = () => Promise.reject(new Error("no room"));
  await assert.rejects(colorsOf(vae), /no room/);
  vae.load = load;
  assert.equal((await colorsOf(vae)).length, 3);
});

for (const className of ["PNDMScheduler", "UniPCMultistepScheduler", "EulerDiscreteScheduler"] as const) {
  Deno.test(`a run with ${className} shows every second step, and draws the same picture`, async () => {
    const scheduler = schedulerClasses[className]!.fromConfig(pipeline.parts.scheduler.config);
    const drawing = new StableDiffusionPipeline({ ...pipeline.parts, scheduler });
    const options = { ...small, numInferenceSteps: 5, generator: manualSeed(0) };
    const plain = await drawing.run(options);
    const shown: [step: number, picture: Image][] = [];
    const write: PreviewOptions["write"] = (picture, step) => void shown.push([step, picture]);
    const { latents } = await drawing.run({
      ...options,
      generator: manualSeed(0),
      preview: { every: 2, write },
    });
    assert.deepEqual(shown.map(([step]) => step), scheduler.timesteps.flatMap((_, i) => i % 2 ? [i] : []));
    assert.ok(shown.every(([, { width, height }]) => width === 8 && height === 8));
    assertRelativelyClose(await latents.data(), await plain.latents.data(), 1e-5, "latents");
  });
}

Deno.test("each step is shown, and the last one before the progress bar ends", async () => {
  const told: string[] = [];
  const preview: PreviewOptions = { write: (_picture, step) => void told.push(`step ${step}`) };
  const progress = { write: (text: string) => void told.push(text) };
  await pipeline.run({ ...small, numInferenceSteps: 4, progress, preview });
  const steps = told.filter((text) => text.startsWith("step"));
  assert.deepEqual(steps, ["step 0", "step 1", "step 2", "step 3", "step 4"]); // PNDM takes one more
  assert.match(told.at(-1)!, /100% 5\/5/);
});

Deno.test("only steps that are wanted are painted, as it is when they come", async () => {
  const [asked, shown]: [[step: number, steps: number][], number[]] = [[], []];
  const preview: PreviewOptions = {
    every: 2,
    wants: (...step) => asked.push(step) !== 2, // not the second
    write: (_picture, step) => void shown.push(step),
  };
  await pipeline.run({ ...small, numInferenceSteps: 6, progress: false, preview });
  assert.deepEqual([asked, shown], [[[1, 7], [3, 7], [5, 7]], [1, 5]]);
});

Deno.test("colours are fitted before the denoiser comes, so that memory for both is not needed", async () => {
  using xl = await StableDiffusionXLPipeline.fromPretrained(
    `${root}/test/fixtures/stable_diffusion_xl/pipeline`,
  );
  xl.parts.memory = 1; // each model leaves as soon as another comes
  const { unet, vae } = xl.parts;
  const seen: [denoiser: boolean, autoencoder: boolean][] = [];
  const write = () => void seen.push([unet.loaded, vae.loaded]);
  await xl.run({ ...small, numInferenceSteps: 2, preview: { write } });
  assert.deepEqual(seen, [[true, false], [true, false]]);
});

Deno.test("a small autoencoder decodes previews, at their size or smaller, and the picture stays the same", async () => {
  using vae = await AutoencoderTiny.fromPretrained(tiny, { dtype: "f32", defer: true, onNotice: () => {} });
  const options = { ...small, height: 64, width: 32, numInferenceSteps: 3 };
  const plain = await pipeline.run({ ...options, generator: manualSeed(0) });
  const shown: Image[] = [];
  for (const side of [undefined, 64, 1]) {
    const write = (picture: Image) => void shown.push(picture);
    const { latents } = await pipeline.run({
      ...options,
      generator: manualSeed(0),
      preview: { every: 4, vae, side, write }, // of PNDM's four calls
    });
    assert.equal(vae.needed, false);
    assertRelativelyClose(await latents.data(), await plain.latents.data(), 1e-5, "latents");
  }
  assert.deepEqual(shown.map(({ width, height }) => [width, height]), [[64, 128], [32, 64], [8, 8]]);
  const latents = randn([2, 4, 3, 5], { generator: manualSeed(3) });
  using decoder = await PreviewDecoder.open({ vae }, latents.shape, {});
  const decoded = await previewPixels(decoder!.decode(latents));
  assert.deepEqual(decoded, await previewPixels(vae.decode(latents).sample));
});

Deno.test("previews are painted by colours where the GPU has no room for their autoencoder", async () => {
  using vae = await AutoencoderTiny.fromPretrained(tiny, { dtype: "f32", onNotice: () => {} });
  const { reserve } = vae;
  vae.reserve = () => {
    throw new OutOfMemoryError("no memory", { wanted: 1, inUse: 0 });
  };
  const [told, sizes]: [string[], number[][]] = [[], []];
  const write = ({ width, height }: Image) => void sizes.push([width, height]);
  const onNotice = (line: string) => void told.push(line);
  await pipeline.run({ ...small, numInferenceSteps: 1, preview: { vae, write }, onNotice });
  assert.deepEqual(sizes, [[8, 8]]);
  assert.deepEqual(told, ["Previews are painted by colours, as the GPU has no room for their autoencoder"]);
  vae.reserve = reserve;
});

Deno.test("an autoencoder of other latents is refused for previews, and any where there are none", async () => {
  using vae = await AutoencoderTiny.fromPretrained(fixture("autoencoder_tiny/shallow"), { defer: true });
  const preview = { vae, write: () => {} };
  await assert.rejects(pipeline.run({ ...small, numInferenceSteps: 1, preview }), {
    name: "RangeError",
    message:
      "Cannot show previews by AutoencoderTiny: expected one whose latents have 4 channels, as those of the " +
      "pipeline, got 16; take the small autoencoder of its family",
  });
  using ddpm = await DDPMPipeline.fromPretrained(fixture("ddpm/pipeline"));
  await assert.rejects(
    ddpm.run({ numInferenceSteps: 1, preview }),
    /^TypeError: Cannot show previews by an autoencoder: this model draws pixels/,
  );
});

for (
  const [name, Class, config, C] of [
    ["Stable Diffusion 1 and 2", AutoencoderKL, { ...real, scaling_factor: 0.18215 }, 4],
    ["Stable Diffusion XL", AutoencoderKL, { ...real, scaling_factor: 0.13025 }, 4],
    ["FLUX.1 and Z-Image", AutoencoderKL, { ...real, ...flux }, 16],
    ["FLUX.2", AutoencoderKLFlux2, {}, 32],
    [
      "FLUX.2 with a small decoder",
      AutoencoderKLFlux2,
      { decoder_block_out_channels: [96, 192, 384, 384] },
      32,
    ],
    ["TAEF1", AutoencoderTiny, { latent_channels: 16 }, 16],
    ["TAEF2", AutoencoderTiny, { latent_channels: 32 }, 32],
  ] as const
) {
  Deno.test(`the colours of ${name} are known by its config`, () => {
    const colors = knownColors(
      parseConfig(Class.schema as typeof AutoencoderKL.schema, config, "config.json"),
    )!;
    assert.deepEqual(colors.map((row) => row.length), [C + 1, C + 1, C + 1]);
    assert.ok(colors.flat().every(Number.isFinite));
    const { data } = paint({ shape: [1, C, 1, 1], data: new Array(C).fill(0) }, colors);
    for (const value of data) assert.ok(Math.abs(value - 127) < 20, `no latents are gray, got ${data}`);
  });
}

Deno.test("of latents whose family is not known no colours are taken", () => {
  for (const config of [{ latent_channels: 4 }, { latent_channels: 8 }]) { // TAESD's or TAESDXL's: fitted
    const tiny = parseConfig(AutoencoderTiny.schema, config, "config.json");
    assert.equal(knownColors(tiny), undefined);
  }
});

Deno.test("a preview that cannot be written ends the run with its reason", async () => {
  const write = () => Promise.reject(new Error("the disk is full"));
  await assert.rejects(
    pipeline.run({ ...small, numInferenceSteps: 3, preview: { write } }),
    /the disk is full/,
  );
});

Deno.test("previews of every half step are refused", async () => {
  const preview = { every: 0.5, write: () => {} };
  await assert.rejects(pipeline.run({ ...small, numInferenceSteps: 1, preview }), {
    message: "Cannot run with preview.every 0.5: expected a whole number from 1",
  });
});

Deno.test("DDPM's previews are the picture as the model sees it", async () => {
  using ddpm = await DDPMPipeline.fromPretrained(`${root}/test/fixtures/ddpm/pipeline`);
  const sizes: number[][] = [];
  const write = ({ width, height }: Image) => void sizes.push([width, height]);
  const { images } = await ddpm.run({
    batchSize: 2,
    numInferenceSteps: 2,
    progress: false,
    preview: { write },
  });
  const [B, , H, W] = images.shape as Shape<4>;
  assert.deepEqual(sizes, [[B * W, H], [B * W, H]]);
});

Deno.test("latents of other channels than the autoencoder's are refused", async () => {
  await assert.rejects(preview(randn([1, 16, 4, 4]), pipeline.parts.vae), {
    message: "Cannot preview latents: expected shape [B, 4, h, w], got [1, 16, 4, 4]",
  });
});

Deno.test("previewPixels() brings [-1, 1] to bytes, of one channel to gray", async () => {
  const gray = await previewPixels(tensor([-1, 0, 1, 2], [1, 1, 1, 4]));
  assert.deepEqual([...gray.data], [0, 0, 0, 128, 128, 128, 255, 255, 255, 255, 255, 255]);
  const red = await previewPixels(tensor([1, -1, -1], [1, 3, 1, 1]));
  assert.deepEqual([...red.data], [255, 0, 0]);
});

/** Colours and latents that are alike at each run. */
function example(C: number, shape: number[]) {
  const generator = manualSeed(C);
  const colors: LatentColors = [0, 1, 2].map(() => [...generator.randn(C).map((x) => 0.2 * x), 0.5]);
  return { colors, latents: { shape, data: generator.randn(shape.reduce((a, b) => a * b)) } };
}

/** The affine map of each latent. → [B, 3, h, w] */
function shades({ shape, data }: ReturnType<typeof example>["latents"], colors: LatentColors) {
  const [B, C, h, w] = shape as Tuple<number, 4>;
  return Array.from({ length: B * 3 * h * w }, (_, i) => {
    const [b, color, place] = [Math.floor(i / (3 * h * w)), Math.floor(i / (h * w)) % 3, i % (h * w)];
    const row = colors[color]!;
    return row.slice(0, C).reduce(
      (sum, weight, c) => sum + weight * data[(b * C + c) * h * w + place]!,
      row[C]!,
    );
  });
}
