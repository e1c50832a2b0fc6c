import assert from "node:assert/strict";
import { loadImage, manualSeed, type Tensor } from "../../../src/mod.ts";
import { loadLora, ZImageControlNetModel, ZImageTransformer2DModel } from "../../../src/models/mod.ts";
import {
  DiffusionPipeline,
  ZImageControlNetInpaintPipeline,
  type ZImageControlNetInpaintRunOptions,
  ZImageControlNetPipeline,
  ZImagePipeline,
} from "../../../src/pipelines/mod.ts";
import { camelCased } from "../../conformance/json.ts";
import { difference, readTensors } from "../../support/arrays.ts";
import { assertPicture, assertRelativelyClose } from "../../support/close.ts";
import "../../support/device.ts";
import { fixture } from "../../support/fixtures.ts";
import { controlled, type ControlledRun, controlNetFolder } from "../../support/z_image_controlnet.ts";

const bound = 1e-3; // a whole loop in f32
const base = fixture("zimage/pipeline");
const expected = await readTensors(fixture("z_image_controlnet/expected.safetensors"));
const classes = { ZImageControlNetPipeline, ZImageControlNetInpaintPipeline };
const NAMES: Record<string, string> = { mask_image: "mask", control_image: "controlImage", image: "image" };

const nets = new Map<string, ZImageControlNetModel>();
let pipeline: ZImagePipeline;
Deno.test.beforeAll(async () => {
  pipeline = await ZImagePipeline.fromPretrained(base, { dtype: "f32" });
  for (const version of Object.keys(controlled.nets)) {
    using folder = await controlNetFolder(version);
    nets.set(version, await ZImageControlNetModel.fromPretrained(folder.path, { dtype: "f32" }));
  }
});
Deno.test.afterAll(() => {
  for (const net of nets.values()) net[Symbol.dispose]();
  pipeline[Symbol.dispose]();
});

const read = (name: string) => loadImage(fixture(`controlnet/${name}.png`));

/** The pipeline of a run, and what it is told. */
async function prepared({ pipeline: name, net, seed, args, pictures }: ControlledRun) {
  const images: Record<string, Tensor> = {};
  for (const [name, file] of Object.entries(pictures)) images[NAMES[name]!] = await read(file);
  const drawing = new classes[name]({ ...pipeline.parts, controlnet: nets.get(net)! });
  const options = {
    ...camelCased(args),
    ...images,
    generator: manualSeed(seed),
    outputType: "latent",
    progress: false,
    onNotice: () => {},
  };
  return { drawing, options: options as unknown as ZImageControlNetInpaintRunOptions };
}

for (const [name, run] of Object.entries(controlled.runs)) {
  Deno.test(`${run.pipeline} draws diffusers' latents of the run "${name}"`, async () => {
    const { drawing, options } = await prepared(run);
    const { images: latents } = await drawing.run(options);
    const want = expected.get(`${name}/latents`)!;
    assert.deepEqual(latents.shape, want.shape);
    assertRelativelyClose(await latents.data(), want.data, bound, "latents");
  });
}

Deno.test("ZImageControlNetPipeline draws diffusers' picture", async () => {
  const { drawing, options } = await prepared(controlled.runs["v1"]!);
  const { outputType: _, ...given } = options;
  const { images } = await drawing.run(given);
  await assertPicture(images, await loadImage(fixture("z_image_controlnet/v1.png")));
});

Deno.test("a LoRA on Z-Image counts for the layers that its ControlNet shares, as weights with it do", async () => {
  using transformer = await ZImageTransformer2DModel.fromPretrained(`${base}/transformer`, { dtype: "f32" });
  const { drawing, options } = await prepared(controlled.runs["v2.0"]!);
  const parts = { ...drawing.parts, transformer };
  const draw = async () => {
    const generator = manualSeed(0);
    return await (await new ZImageControlNetPipeline(parts).run({ ...options, generator })).images.data();
  };
  const plain = await draw();
  await loadLora(fixture("zimage/lora/diffusers.safetensors"), { transformer }, { onNotice: () => {} });
  const added = await draw();
  assert.ok(difference(added, plain).rel > 1e-3);
  await transformer.adapters.bake();
  assertRelativelyClose(await draw(), added, 1e-4, "baked");
});

Deno.test("a ControlNet of Z-Image is loaded with a pipeline, and draws in the size of its picture", async () => {
  using folder = await controlNetFolder("v1");
  using chosen = await DiffusionPipeline.fromPretrained(base, { controlnet: folder.path, dtype: "f32" });
  assert.ok(chosen instanceof ZImageControlNetPipeline);
  const { images } = await chosen.run({
    prompt: "a nice flower",
    controlImage: await read("second"), // 30 x 41
    numInferenceSteps: 1,
    guidanceScale: 0,
    maxSequenceLength: 48,
    progress: false,
  });
  const { shape } = await read("second");
  assert.deepEqual(images.shape, [1, 3, shape[2]! - shape[2]! % 16, shape[3]! - shape[3]! % 16]);
});

Deno.test("what does not fit is refused before anything is drawn", async () => {
  const { drawing, options } = await prepared(controlled.runs["v1"]!);
  const inpaint = new ZImageControlNetInpaintPipeline({ ...pipeline.parts, controlnet: nets.get("v1")! });
  const image = options.controlImage;
  const cases: [() => Promise<unknown>, string][] = [
    [
      () => drawing.run({ ...options, controlImage: undefined as unknown as Tensor }),
      "Cannot control: expected controlImage, got none",
    ],
    [
      () => drawing.run({ ...options, controlImage: image.repeat([3, 1, 1, 1]) }),
      `Cannot control by a picture: expected [1, 3, H, W], got [3, 3, 24, 32]`,
    ],
    [
      () => drawing.run({ ...options, controlnetConditioningScale: NaN }),
      "Cannot draw with controlnetConditioningScale NaN: expected a number",
    ],
    [
      () => inpaint.run({ ...options, image, mask: image }),
      "Cannot inpaint by this ControlNet: expected control_in_dim 33, as of version 2, got 16",
    ],
    [
      () => inpaint.run({ ...options, image: undefined as unknown as Tensor, mask: image }),
      "Cannot control: expected image, got none",
    ],
    [
      () => ZImagePipeline.fromPretrained(base, { controlnet: fixture("controlnet/controlnet") }),
      "Cannot load ZImagePipeline with controlnet: expected a pipeline that is controlled, e.g. StableDiffusionControlNetPipeline",
    ],
    [
      () => ZImageControlNetPipeline.fromPretrained(base, { controlnet: ["a", "b"] }),
      "Cannot control by 2 ControlNets: expected one, as Z-Image takes one",
    ],
  ];
  for (const [work, message] of cases) await assert.rejects(work, { message });
  await assert.rejects(
    ZImageControlNetPipeline.fromPretrained(base, { controlnet: fixture("controlnet/controlnet") }),
    /Cannot load ZImageControlNetModel: expected its config in .*, got that of "ControlNetModel"; it is another model/,
  );
});
