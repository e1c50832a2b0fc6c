import assert from "node:assert/strict";
import { manualSeed, type Tensor, tensor, zeros } from "../../../src/mod.ts";
import { FluxTransformer2DModel } from "../../../src/models/mod.ts";
import {
  FluxControlImg2ImgPipeline,
  FluxControlInpaintPipeline,
  type FluxControlInpaintRunOptions,
  FluxControlPipeline,
  type FluxControlRunOptions,
  FluxFillPipeline,
  type FluxFillRunOptions,
  FluxInpaintPipeline,
  FluxKontextPipeline,
  FluxPipeline,
} from "../../../src/pipelines/mod.ts";
import { kontextSize } from "../../../src/pipelines/flux/sizes.ts";
import { camelCased, readJson } from "../../conformance/json.ts";
import { readTensors } from "../../support/arrays.ts";
import { assertRelativelyClose } from "../../support/close.ts";
import "../../support/device.ts";
import { fixture } from "../../support/fixtures.ts";
import { upload } from "../../support/tensors.ts";

/** What meta.json says of a run of diffusers. */
interface Run {
  pipeline: keyof typeof GIVEN;
  /** Folder of test/fixtures; the plain one where LoRAs are said. */
  transformer?: string;
  /** LoRAs and their scales. */
  adapters?: Record<string, number>;
  /** One stream, or one for each picture. */
  seeds: number | number[];
  args: Record<string, unknown>;
}

type AllOptions = FluxFillRunOptions & FluxControlInpaintRunOptions;

const bound = 1e-3; // a whole loop in f32
const loading = { dtype: "f32", onNotice: () => {} } as const;
/** Pictures that each takes, and what expected.safetensors calls them. */
const GIVEN = {
  FluxInpaintPipeline: { image: "image", mask: "mask" },
  FluxFillPipeline: { image: "image", mask: "mask" },
  FluxKontextPipeline: { image: "image" },
  FluxControlPipeline: { controlImage: "image" },
  FluxControlImg2ImgPipeline: { image: "image", controlImage: "upside down" },
  FluxControlInpaintPipeline: { image: "image", mask: "mask", controlImage: "upside down" },
};
const classes = {
  FluxInpaintPipeline,
  FluxFillPipeline,
  FluxKontextPipeline,
  FluxControlPipeline,
  FluxControlImg2ImgPipeline,
  FluxControlInpaintPipeline,
};

const runs = await readJson<Record<string, Run>>(fixture("flux_tools/meta.json"));
const expected = await readTensors(fixture("flux_tools/expected.safetensors"));

let pipeline: FluxPipeline;
const transformers = new Map<string, FluxTransformer2DModel>();
Deno.test.beforeAll(async () => {
  pipeline = await FluxPipeline.fromPretrained(fixture("flux/pipeline"), loading);
  for (const path of ["flux_tools/transformer_fill", "flux_tools/transformer_control"]) {
    transformers.set(path, await FluxTransformer2DModel.fromPretrained(fixture(path), loading));
  }
});
Deno.test.afterAll(() => {
  for (const model of transformers.values()) model[Symbol.dispose]();
  pipeline[Symbol.dispose]();
});

for (const [name, run] of Object.entries(runs)) {
  Deno.test(`${run.pipeline} draws diffusers' latents of the run "${name}"`, async () => {
    const { latents, timesteps } = await draw(name, run);
    const times = expected.get(`${name}/timesteps`);
    if (times) assertRelativelyClose(timesteps, times.data, 1e-6, "timesteps");
    const want = expected.get(`${name}/latents`)!;
    assert.deepEqual(latents.shape, want.shape);
    assertRelativelyClose(await latents.data(), want.data, bound, "latents");
  });
}

async function draw(
  run: string,
  { pipeline: name, transformer = "flux/pipeline/transformer", adapters = {}, seeds, args }: Run,
): Promise<{ latents: Tensor; timesteps: readonly number[] }> {
  const one = new classes[name](partsWith(transformer));
  for (const [adapterName, scale] of Object.entries(adapters)) {
    await one.loadLoraWeights(fixture(`flux_tools/lora_${adapterName}.safetensors`), { adapterName, scale });
  }
  const { AutoResize: autoResize, ...others } = camelCased(args); // _auto_resize
  const given: Record<string, string> = run === "kontext_words" ? {} : GIVEN[name];
  const options: Record<string, unknown> = {
    ...others,
    ...autoResize === undefined ? {} : { autoResize },
    ...Object.fromEntries(Object.entries(given).map(([name, key]) => [name, pictureOf(key)])),
    generator: Array.isArray(seeds) ? seeds.map((seed) => manualSeed(seed)) : manualSeed(seeds),
    outputType: "latent",
    progress: false,
    onNotice: () => {},
  };
  const { images: latents } = await one.run(options as unknown as AllOptions);
  for (const adapterName of Object.keys(adapters)) await one.unloadLora(adapterName);
  return { latents, timesteps: one.scheduler.timesteps };
}

function pictureOf(key: string): Tensor {
  return key === "upside down" ? upload(expected.get("image")!).flip(2) : upload(expected.get(key)!);
}

function partsWith(transformer: string) {
  const { parts } = pipeline;
  return { ...parts, transformer: transformers.get(transformer) ?? parts.transformer };
}

Deno.test("a Control LoRA by Black Forest Labs' names is the same, whatever is loaded before it, and leaves nothing behind", async () => {
  const { parts } = pipeline;
  const control = new FluxControlPipeline(parts);
  const given = { prompt: "a", numInferenceSteps: 2, maxSequenceLength: 8, progress: false } as const;
  const drawn = async (one: FluxPipeline | FluxControlPipeline) => {
    const images = one instanceof FluxControlPipeline ? { controlImage: pictureOf("image") } : {};
    const options = {
      ...given,
      ...images,
      width: 64,
      height: 48,
      outputType: "latent",
      generator: manualSeed(0),
    };
    const { latents } = await one.run(options as unknown as FluxControlRunOptions);
    return await latents.data();
  };
  const load = (name: string) =>
    control.loadLoraWeights(fixture(`flux_tools/lora_${name}.safetensors`), { adapterName: name });
  const plain = await drawn(new FluxPipeline(parts));
  const { format, kinds, unmatched } = await load("control_bfl");
  assert.deepEqual([format, [...kinds].sort(), unmatched], [
    "BFL",
    ["LoRA", "difference", "whole weight"],
    [],
  ]);
  assert.equal(parts.transformer.inChannels, 128);
  await assert.rejects(
    new FluxPipeline(parts).run({ ...given, width: 32, height: 32 }),
    /^RangeError: Cannot draw with a transformer of 128 channels: expected 64, /,
  );
  await assert.rejects(
    parts.transformer.adapters.bake(),
    /^Error: Cannot bake adapter "control_bfl": it reads other channels than "x_embedder" does; leave it as it is$/,
  );
  const both = await drawn(control);
  await load("plain");
  await control.unloadLora("control_bfl");
  assert.equal(parts.transformer.inChannels, 64);
  await load("control"); // behind one that reads the latents alone
  await control.setAdapters(["control"]);
  assertRelativelyClose(await drawn(control), both, 1e-5, "by diffusers' names");
  await control.unloadLora("control", "plain");
  assert.equal(parts.transformer.inChannels, 64);
  assert.deepEqual(await drawn(new FluxPipeline(parts)), plain);
});

Deno.test("a LoRA for latents alone is loaded beside the picture that FLUX.1 Canny sees", async () => {
  const parts = partsWith("flux_tools/transformer_control");
  const control = new FluxControlPipeline(parts);
  await control.loadLoraWeights(fixture("flux_tools/lora_plain.safetensors"), { onNotice: () => {} });
  const { images } = await control.run({
    ...{ prompt: "a", controlImage: pictureOf("image"), numInferenceSteps: 1, maxSequenceLength: 8 },
    progress: false,
  });
  assert.ok((await images.data()).every(Number.isFinite));
  await control.unloadLora();
});

Deno.test("FluxFillPipeline decodes a picture as large as the one that is given", async () => {
  const fill = new FluxFillPipeline(partsWith("flux_tools/transformer_fill"));
  const options = {
    prompt: "a nice flower",
    image: upload(expected.get("image")!),
    mask: upload(expected.get("mask")!),
    maxSequenceLength: 8,
    progress: false,
  } as const;
  const { images } = await fill.run({ ...options, numInferenceSteps: 1 });
  assert.deepEqual(images.shape, [1, 3, 48, 64]);
  const onStep = (_step: number, _t: number, _sample: Tensor, steps: number) => {
    throw new Error(`one of ${steps} steps`);
  };
  await assert.rejects(fill.run({ ...options, onStep }), /^Error: one of 50 steps$/); // as in diffusers
});

Deno.test("kontextSize() is the trained size of the likest ratio, as height and width", () => {
  assert.deepEqual(kontextSize([500, 500]), [1024, 1024]);
  assert.deepEqual(kontextSize([100, 1000]), [672, 1568]);
  assert.deepEqual(kontextSize([1000, 100]), [1568, 672]);
  assert.deepEqual(kontextSize([768, 1024]), [880, 1184]);
});

Deno.test("FLUX pipelines refuse a transformer of another task, naming the pipeline for it", async () => {
  const options = {
    prompt: "a",
    image: upload(expected.get("image")!),
    mask: upload(expected.get("mask")!),
    maxSequenceLength: 8,
  };
  await assert.rejects(
    new FluxFillPipeline(pipeline.parts).run(options),
    /^RangeError: Cannot draw with a transformer of 64 channels: expected 384, .*of 128 for FluxControlPipeline/,
  );
  await assert.rejects(
    new FluxPipeline(partsWith("flux_tools/transformer_fill")).run({ prompt: "a", height: 32, width: 32 }),
    /^RangeError: Cannot draw with a transformer of 384 channels: expected 64, .*one of 384 is for FluxFillPipeline/,
  );
});

Deno.test("FluxFillPipeline and FluxInpaintPipeline refuse what they cannot fill", async () => {
  const image = upload(expected.get("image")!);
  const mask = upload(expected.get("mask")!);
  const fill = new FluxFillPipeline(partsWith("flux_tools/transformer_fill"));
  const latents = tensor(new Float32Array(16 * 6 * 8), [1, 16, 6, 8]);
  await assert.rejects(
    fill.run({ prompt: "a", image: latents, mask, maxSequenceLength: 8 }),
    /^TypeError: Cannot fill latents: expected a picture as image/,
  );
  await assert.rejects(
    fill.run({ prompt: "a", image, maxSequenceLength: 8 } as unknown as FluxFillRunOptions),
    /^TypeError: Cannot inpaint: expected mask, got none$/,
  );
  const given = { prompt: "a", image, mask, latents };
  await assert.rejects(
    new FluxInpaintPipeline(pipeline.parts).run(given),
    /^TypeError: Cannot run FluxInpaintPipeline with latents/,
  );
});

Deno.test("FluxControlPipeline and FluxKontextPipeline say what is wrong with a picture or an area", async () => {
  const control = new FluxControlPipeline(partsWith("flux_tools/transformer_control"));
  const image = upload(expected.get("image")!);
  const list = { prompt: "a", controlImage: [image] as unknown as Tensor };
  await assert.rejects(control.run(list), /expected controlImage to be a tensor/);
  await assert.rejects(
    control.run({ prompt: "a" } as unknown as FluxControlRunOptions),
    /^TypeError: Cannot control: expected controlImage, the depth or edges to follow, got none$/,
  );
  const changing = new FluxControlImg2ImgPipeline(partsWith("flux_tools/transformer_control"));
  const given = { prompt: "a", image, maxSequenceLength: 8 };
  const [latents, batch] = [[1, 16, 8, 8], [3, 3, 48, 64]].map((shape) => zeros(shape)) as [Tensor, Tensor];
  await assert.rejects(
    changing.run({ ...given, controlImage: latents }),
    /^RangeError: Cannot change latents of a picture of 64 x 64: expected that height and width, got 48 x 64$/,
  );
  await assert.rejects(
    changing.run({ ...given, controlImage: batch }),
    /expected \[1, 3, H, W\], got \[3, 3, 48, 64\]/,
  );
  const kontext = new FluxKontextPipeline(pipeline.parts);
  await assert.rejects(kontext.run({ prompt: "a", image, maxArea: 0.5 }), /Cannot run with maxArea 0.5/);
});

Deno.test("FluxKontextPipeline tells of a size that maxArea changes", async () => {
  const notices: string[] = [];
  const { images } = await new FluxKontextPipeline(pipeline.parts).run({
    prompt: "a",
    height: 64,
    width: 64,
    maxArea: 32 * 32,
    numInferenceSteps: 1,
    maxSequenceLength: 8,
    progress: false,
    onNotice: (line) => notices.push(line),
  });
  assert.deepEqual(images.shape, [1, 3, 32, 32]);
  assert.deepEqual(notices, ["The picture is drawn in 32x32 instead of 64x64, as maxArea is 1024"]);
});
