import assert from "node:assert/strict";
import { loadImage, manualSeed, randn, type Tensor } from "../../../src/mod.ts";
import { FluxControlNetModel, FluxTransformer2DModel, loadLora } from "../../../src/models/mod.ts";
import {
  DiffusionPipeline,
  firstBlockCache,
  FluxControlNetImg2ImgPipeline,
  FluxControlNetInpaintPipeline,
  type FluxControlNetInpaintRunOptions,
  FluxControlNetPipeline,
  FluxPipeline,
  packLatents,
} from "../../../src/pipelines/mod.ts";
import { FlowMatchHeunDiscreteScheduler } from "../../../src/schedulers/mod.ts";
import { camelCased } from "../../conformance/json.ts";
import { difference, readTensors } from "../../support/arrays.ts";
import { assertPicture, assertRelativelyClose } from "../../support/close.ts";
import "../../support/device.ts";
import { fixture } from "../../support/fixtures.ts";
import {
  controlled,
  deepTransformerFolder,
  type FluxControlledRun,
  fluxControlNetFolder,
} from "../../support/flux_controlnet.ts";

const bound = 1e-3; // a whole loop in f32
const base = fixture("flux/pipeline");
const loading = { dtype: "f32", onNotice: () => {} } as const;
const expected = await readTensors(fixture("flux_controlnet/expected.safetensors"));
const classes = { FluxControlNetPipeline, FluxControlNetImg2ImgPipeline, FluxControlNetInpaintPipeline };
const NAMES: Record<string, string> = { mask_image: "mask", control_image: "controlImage", image: "image" };

const nets = new Map<string, FluxControlNetModel>();
let pipeline: FluxPipeline;
let deep: FluxTransformer2DModel;
Deno.test.beforeAll(async () => {
  pipeline = await FluxPipeline.fromPretrained(base, loading);
  using folder = await deepTransformerFolder();
  deep = await FluxTransformer2DModel.fromPretrained(folder.path, loading);
  for (const name of Object.keys(controlled.nets)) {
    using folder = await fluxControlNetFolder(name);
    nets.set(name, await FluxControlNetModel.fromPretrained(folder.path, loading));
  }
});
Deno.test.afterAll(() => {
  for (const net of nets.values()) net[Symbol.dispose]();
  deep[Symbol.dispose]();
  pipeline[Symbol.dispose]();
});

const read = (name: string) => loadImage(fixture(`controlnet/${name}.png`));

/** The pipeline of a run, and what it is told. */
async function prepared({ pipeline: name, nets: used, seed, args, pictures }: FluxControlledRun) {
  const images: Record<string, Tensor | Tensor[]> = {};
  for (const [name, files] of Object.entries(pictures)) {
    images[NAMES[name]!] = typeof files === "string" ? await read(files) : await Promise.all(files.map(read));
  }
  const controlnet = typeof used === "string" ? nets.get(used)! : used.map((one) => nets.get(one)!);
  const drawing = new classes[name]({ ...pipeline.parts, transformer: deep, controlnet });
  const options = {
    ...camelCased(args),
    ...images,
    generator: manualSeed(seed),
    progress: false,
    onNotice: () => {},
  };
  return { drawing, options: options as unknown as FluxControlNetInpaintRunOptions };
}

for (const [name, run] of Object.entries(controlled.runs)) {
  if (name === "picture") continue;
  Deno.test(`${run.pipeline} draws diffusers' latents of the run "${name}"`, async () => {
    const { drawing, options } = await prepared(run);
    const { images: latents } = await drawing.run({ ...options, outputType: "latent" });
    const want = expected.get(`${name}/latents`)!;
    assert.deepEqual(latents.shape, want.shape);
    assertRelativelyClose(await latents.data(), want.data, bound, "latents");
  });
}

Deno.test("FluxControlNetPipeline draws diffusers' picture", async () => {
  const { drawing, options } = await prepared(controlled.runs["picture"]!);
  const { images } = await drawing.run(options);
  await assertPicture(images, await loadImage(fixture("flux_controlnet/picture.png")));
});

Deno.test("ControlNets of different numbers of blocks add to the blocks that each was made for", async () => {
  const { drawing: one, options } = await prepared({ ...controlled.runs["plain"]!, nets: ["plain"] });
  const controlImage = options.controlImage as Tensor;
  const both = new FluxControlNetPipeline({
    ...one.parts,
    controlnet: ["plain", "union", "hint"].map((name) => nets.get(name)!),
  });
  const modes = {
    controlMode: [undefined, 1, undefined],
    controlImage: [controlImage, controlImage, controlImage],
  };
  const draw = async (scales: readonly number[]) => {
    const generator = manualSeed(0);
    const given = {
      ...options,
      ...modes,
      generator,
      controlnetConditioningScale: scales,
      numInferenceSteps: 2,
    };
    return (await both.run({ ...given, outputType: "latent" })).images;
  };
  const other = new FluxControlNetPipeline({ ...one.parts, controlnet: nets.get("hint")! });
  const generator = manualSeed(0);
  const [, , noise] = [1, 2, 3].map(() => randn([1, 16, 6, 8], { generator })); // behind the latents of two pictures
  const alone = await other.run({
    ...options,
    controlImage,
    latents: packLatents(noise!),
    numInferenceSteps: 2,
    outputType: "latent",
  });
  const silent = await draw([0, 0, 1]);
  assertRelativelyClose(await silent.data(), await alone.images.data(), 1e-5, "one of three counts");
  const all = await draw([1, 1, 1]);
  assert.notDeepEqual(await all.data(), await silent.data());
});

Deno.test("ControlNets of FLUX.1 are loaded with a pipeline, and from its own folders", async () => {
  using folder = await fluxControlNetFolder("plain");
  const own = { ...loading, controlnet: folder.path };
  using chosen = await DiffusionPipeline.fromPretrained(base, own);
  assert.ok(chosen instanceof FluxControlNetPipeline);
  const run = {
    prompt: "a nice flower",
    numInferenceSteps: 1,
    maxSequenceLength: 16,
    progress: false,
  } as const;
  const controlImage = await read("second");
  const { images } = await chosen.run({ ...run, controlImage });
  const { shape } = controlImage;
  assert.deepEqual(images.shape, [1, 3, shape[2]! - shape[2]! % 16, shape[3]! - shape[3]! % 16]);
});

Deno.test("a FLUX.1 with a ControlNet draws in steps that a cache leaves out, and with layers skipped", async () => {
  const { drawing, options } = await prepared(controlled.runs["guided"]!);
  const given = { ...options, outputType: "latent" } as const;
  const draw = async (more: object) =>
    (await drawing.run({ ...given, generator: manualSeed(3), ...more })).images;
  const plain = await (await draw({})).data();
  const never = await draw({ cache: firstBlockCache({ threshold: 0 }) });
  assertRelativelyClose(await never.data(), plain, 1e-5, "a cache that leaves nothing out");
  const always = await draw({ cache: firstBlockCache({ threshold: 100 }) });
  assert.ok((await always.data()).every(Number.isFinite));
  const skipped = await draw({
    skipLayerGuidanceLayers: ["transformer_blocks.1"],
    skipLayerGuidanceScale: 1,
    skipLayerGuidanceStart: 0,
    skipLayerGuidanceStop: 1,
  });
  assert.notDeepEqual(await skipped.data(), plain);
});

Deno.test("the part in which a ControlNet counts is that of the steps, where timesteps come twice", async () => {
  const { drawing, options } = await prepared(controlled.runs["guided"]!);
  const scheduler = new FlowMatchHeunDiscreteScheduler();
  const parts = { ...drawing.parts, scheduler };
  const [net] = [parts.controlnet].flat() as FluxControlNetModel[];
  const counts: number[] = [];
  let calls = 0;
  const forward = net!.forward;
  net!.forward = (...args) => {
    calls++;
    return forward.apply(net, args);
  };
  try {
    await new FluxControlNetPipeline(parts).run({
      ...options,
      ...{ numInferenceSteps: 3, controlGuidanceStart: 0, controlGuidanceEnd: 0.5, outputType: "latent" },
      onStep: () => {
        counts.push(calls);
        calls = 0;
      },
    });
  } finally {
    net!.forward = forward;
  }
  assert.equal(new Set(scheduler.timesteps).size, 3, "of five");
  assert.deepEqual(counts.slice(1), [1, 0, 0, 0]); // before the first step calls are rehearsed, too
});

Deno.test("what does not fit is refused before anything is drawn", async () => {
  const { drawing, options } = await prepared(controlled.runs["union"]!);
  const { drawing: plain } = await prepared(controlled.runs["plain"]!);
  const image = options.controlImage as Tensor;
  const cases: [() => Promise<unknown>, string][] = [
    [
      () => drawing.run({ ...options, controlImage: [image, image] }),
      "Cannot control by 2 pictures: expected 1, one for each ControlNet; pictures of one ControlNet are rows of one " +
      "tensor, or it is a list of one",
    ],
    [
      () => drawing.run({ ...options, controlMode: undefined }),
      "Cannot control with controlMode left out: expected a whole number from 0 to 2, the kind of the picture; see the " +
      "ControlNet's page",
    ],
    [
      () => drawing.run({ ...options, controlMode: 3 }),
      "Cannot control with controlMode 3: expected a whole number from 0 to 2, the kind of the picture; see the " +
      "ControlNet's page",
    ],
    [
      () => drawing.run({ ...options, controlMode: [1, 2] }),
      "Cannot control with 2 values of controlMode: expected one, or 1, one for each picture",
    ],
    [
      () => plain.run({ ...options, controlMode: 1 }),
      "Cannot control with controlMode: this ControlNet is for one kind of pictures; leave it out",
    ],
    [
      () => drawing.run({ ...options, controlGuidanceStart: 0.5, controlGuidanceEnd: 0.5 }),
      "Cannot control from 0.5 to 0.5: expected parts of the steps from 0 to 1, the first one less; see " +
      "controlGuidanceStart and controlGuidanceEnd",
    ],
    [
      () => drawing.run({ ...options, controlnetConditioningScale: NaN }),
      "Cannot draw with controlnetConditioningScale NaN: expected a number",
    ],
    [
      () =>
        new FluxControlNetPipeline({
          ...drawing.parts,
          transformer: pipeline.parts.transformer,
          controlnet: [],
        })
          .run(options),
      "Cannot control: expected a ControlNet among the parts, got none",
    ],
    [
      () => FluxPipeline.fromPretrained(base, { controlnet: fixture("controlnet/controlnet") }),
      "Cannot load FluxPipeline with controlnet: expected a pipeline that is controlled, e.g. StableDiffusionControlNetPipeline",
    ],
  ];
  for (const [work, message] of cases) await assert.rejects(work, { message });
  await assert.rejects(
    FluxControlNetPipeline.fromPretrained(base, { controlnet: fixture("controlnet/controlnet") }),
    /Cannot load FluxControlNetModel: expected its config in .*, got that of "ControlNetModel"; it is another model/,
  );
});

Deno.test("LoRAs on the transformer and on its ControlNet draw what weights with them do", async () => {
  using files = await fluxControlNetFolder("union");
  using net = await FluxControlNetModel.fromPretrained(files.path, loading);
  using folder = await deepTransformerFolder();
  using transformer = await FluxTransformer2DModel.fromPretrained(folder.path, loading);
  const { drawing, options } = await prepared(controlled.runs["union"]!);
  const lora = fixture("flux/lora/diffusers.safetensors");
  const draw = async (own: { transformer?: FluxTransformer2DModel; controlnet?: FluxControlNetModel }) => {
    const generator = manualSeed(1);
    const pipeline = new FluxControlNetPipeline({ ...drawing.parts, ...own });
    return await (await pipeline.run({ ...options, generator, outputType: "latent" })).images.data();
  };
  const plain = await draw({});
  await loadLora(lora, { transformer }, { scale: 0.8, onNotice: () => {} });
  const one = await draw({ transformer });
  await loadLora(lora, { transformer: net }, { onNotice: () => {} });
  const both = await draw({ transformer, controlnet: net });
  assert.ok(difference(one, plain).rel > 1e-2, "of the transformer");
  assert.ok(difference(both, one).rel > 1e-2, "of the ControlNet");
  await transformer.adapters.bake();
  await net.adapters.bake();
  assertRelativelyClose(await draw({ transformer, controlnet: net }), both, 1e-4, "baked");
});
