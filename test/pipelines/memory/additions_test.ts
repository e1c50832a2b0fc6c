import assert from "node:assert/strict";
import { type Device, openDevice, type Tensor, zeros } from "../../../src/mod.ts";
import { streamOf } from "../../../src/graph/run/stream.ts";
import {
  AutoencoderKL,
  ControlNetModel,
  FluxControlNetModel,
  FluxTransformer2DModel,
  UNet2DConditionModel,
  ZImageControlNetModel,
} from "../../../src/models/mod.ts";
import {
  FluxControlImg2ImgPipeline,
  FluxControlNetPipeline,
  FluxFillPipeline,
  FluxKontextPipeline,
  FluxPipeline,
  StableDiffusionControlNetPipeline,
  StableDiffusionPipeline,
  ZImageControlNetPipeline,
  ZImagePipeline,
} from "../../../src/pipelines/mod.ts";
import { modulationWidth } from "../../../src/models/flux_transformer_2d/modulation.ts";
import { acquireModels } from "../../../src/pipelines/memory/acquire.ts";
import { planMemory } from "../../../src/pipelines/memory/plan.ts";
import type { DrawingSize, Stage } from "../../../src/pipelines/memory/stage.ts";
import { stagesOf } from "../../../src/pipelines/memory/stages.ts";
import { UniPCMultistepScheduler } from "../../../src/schedulers/mod.ts";
import { emoji } from "../../support/emoji.ts";
import { fluxControlNetFolder } from "../../support/flux_controlnet.ts";
import { controlNetFolder } from "../../support/z_image_controlnet.ts";
import { fixture } from "../../support/fixtures.ts";

const loading = { dtype: "f32", onNotice: () => {} } as const;
const running = { numInferenceSteps: 2, progress: false, onNotice: () => {} } as const;
const size = { width: 64, height: 48, steps: 2 };

/** Bytes of the work of each trace of a class that ran on a device. */
function takenBy(device: Device, className: string): number[] {
  const plans = streamOf(device).plans.filter((plan) =>
    plan.label === className && plan.memory().arenas.length > 0
  );
  assert.ok(plans.length > 0, className);
  return plans.map(({ bytes }) => bytes);
}

const sum = (numbers: readonly number[]): number => numbers.reduce((a, b) => a + b, 0);

const activationsOf = (stages: readonly Stage[], name: string) =>
  stages.flatMap((stage) => [stage, ...stage.beside ?? []]).find((stage) => stage.name === name)!.activations;

const image = () => zeros([1, 3, 48, 64]);

/** Runs of FLUX.1 with pictures: what a plan is told of each, and its transformer where it is not the plain one. */
const RUNS: Record<
  string,
  {
    run: (parts: FluxPipeline["parts"]) => Promise<{ images: Tensor }>;
    drawing: DrawingSize;
    transformer?: string;
  }
> = {
  "FLUX.1 with a negative prompt": {
    run: (parts) =>
      new FluxPipeline(parts).run({
        prompt: "a",
        negativePrompt: "b",
        trueCfgScale: 2,
        width: 64,
        height: 48,
        ...running,
      }),
    drawing: { isGuided: true },
  },
  "FLUX.1 Kontext with a picture": {
    run: (parts) => {
      const area = { width: 64, height: 64, maxArea: 48 * 64, autoResize: false };
      return new FluxKontextPipeline(parts).run({ prompt: "a", image: image(), ...area, ...running });
    },
    drawing: { width: 64, height: 64, area: 48 * 64, seen: [[48, 64]] },
  },
  "FLUX.1 Fill": {
    run: (parts) =>
      new FluxFillPipeline(parts).run({
        prompt: "a",
        image: image(),
        mask: zeros([1, 1, 48, 64]),
        ...running,
      }),
    drawing: { encodes: true },
    transformer: "flux_tools/transformer_fill",
  },
  "FLUX.1 Canny that changes a picture": {
    run: (parts) =>
      new FluxControlImg2ImgPipeline(parts).run({
        prompt: "a",
        image: image(),
        controlImage: image(),
        strength: 1,
        ...running,
      }),
    drawing: { encodes: true },
    transformer: "flux_tools/transformer_control",
  },
};

for (const [name, { run, drawing, transformer }] of Object.entries(RUNS)) {
  Deno.test(`a plan for ${name} counts the activations that a run takes`, async () => {
    using device = await openDevice();
    using opened = await FluxPipeline.fromPretrained(fixture("flux/pipeline"), loading);
    using own = transformer === undefined
      ? undefined
      : await FluxTransformer2DModel.fromPretrained(fixture(transformer), loading);
    const parts = { ...opened.parts, ...own && { transformer: own } };
    const stages = stagesOf({ ...parts }, { ...size, ...drawing });
    const { images } = await run(parts);
    await images.data();
    const rows = drawing.isGuided ? 2 : 1;
    const modulations = 2 * rows * 4 * modulationWidth(parts.transformer.config);
    const step = Math.max(...takenBy(device, "FluxTransformer2DModel")); // the other computes the modulations
    assert.equal(activationsOf(stages, "transformer"), step + modulations);
    assert.equal(activationsOf(stages, "vae"), sum(takenBy(device, "AutoencoderKL")));
  });
}

Deno.test("a plan for FLUX.1 with ControlNets counts the activations that a guided run takes", async () => {
  using device = await openDevice();
  using opened = await FluxPipeline.fromPretrained(fixture("flux/pipeline"), loading);
  const controlnet: FluxControlNetModel[] = [];
  for (const name of ["union", "hint"]) {
    using files = await fluxControlNetFolder(name);
    controlnet.push(await FluxControlNetModel.fromPretrained(files.path, loading));
  }
  const parts = { ...opened.parts, controlnet };
  const stages = stagesOf({ ...parts }, { ...size, isGuided: true, encodes: true });
  const { images } = await new FluxControlNetPipeline(parts).run({
    prompt: "a",
    negativePrompt: "b",
    trueCfgScale: 2,
    controlImage: [image(), image()],
    controlMode: 1,
    ...running,
  });
  await images.data();
  const modulations = 2 * 2 * 4 * modulationWidth(parts.transformer.config);
  const step = Math.max(...takenBy(device, "FluxTransformer2DModel"));
  assert.equal(activationsOf(stages, "transformer"), step + modulations);
  assert.deepEqual(
    takenBy(device, "FluxControlNetModel").sort(),
    ["controlnet", "controlnet_1"].map((name) => activationsOf(stages, name)).sort(),
  );
  for (const net of controlnet) net[Symbol.dispose]();
});

const folder = fixture("controlnet");

/** Stable Diffusion without text encoders, with two ControlNets of test/fixtures. */
async function openControlled() {
  const controlnet: ControlNetModel[] = [];
  for (const name of ["controlnet", "controlnet_1"]) {
    controlnet.push(await ControlNetModel.fromPretrained(`${folder}/${name}`, { ...loading, defer: true }));
  }
  const parts = {
    unet: await UNet2DConditionModel.fromPretrained(`${folder}/unet`, { ...loading, defer: true }),
    vae: await AutoencoderKL.fromPretrained(`${folder}/vae`, { ...loading, defer: true }),
    scheduler: new UniPCMultistepScheduler({}),
    controlnet,
  };
  // deno-lint-ignore no-explicit-any
  const pipeline = new StableDiffusionControlNetPipeline(parts as any);
  const draw = async (options: { ipAdapterImage?: Tensor } = {}) => {
    const D = parts.unet.config.cross_attention_dim;
    const { images } = await pipeline.run({
      promptEmbeds: zeros([1, 77, D]),
      negativePromptEmbeds: zeros([1, 77, D]),
      image: [zeros([1, 3, 24, 32]), zeros([1, 3, 24, 32])],
      ...options,
      ...running,
    });
    await images.data();
  };
  return { pipeline, draw };
}

const small = { width: 32, height: 24 };

Deno.test("a plan counts the activations that a run with ControlNets and an IP-Adapter takes", async () => {
  using device = await openDevice();
  const { pipeline, draw } = await openControlled();
  using _opened = pipeline;
  await pipeline.loadIpAdapter(`${fixture("ip_adapter")}/plus.safetensors`);
  const stages = stagesOf({ ...pipeline.parts }, small);
  await draw({ ipAdapterImage: zeros([1, 3, 40, 40]) });
  const names = ["image_encoder", "unet", "vae"];
  assert.deepEqual(stages.map(({ name }) => name), names);
  assert.deepEqual(stages.map(({ beside = [] }) => beside.map(({ name }) => name)), [
    ["ip_adapter"],
    ["controlnet", "controlnet_1"],
    [],
  ]);
  assert.deepEqual(takenBy(device, "UNet2DConditionModel"), [activationsOf(stages, "unet")]);
  assert.deepEqual(
    takenBy(device, "ControlNetModel").sort(),
    ["controlnet", "controlnet_1"].map((name) => activationsOf(stages, name)).sort(),
  );
  assert.deepEqual(takenBy(device, "CLIPVisionModelWithProjection"), [
    activationsOf(stages, "image_encoder"),
  ]);
  assert.deepEqual(takenBy(device, "IPAdapter"), [activationsOf(stages, "ip_adapter")]);
});

Deno.test("a UNet is stored in the room that its ControlNets leave, as the plan says", async () => {
  using _device = await openDevice();
  using pipeline = await StableDiffusionPipeline.fromPretrained(emoji, loading);
  using net = await ControlNetModel.fromPretrained(`${folder}/controlnet`, { ...loading, defer: true });
  const { parts: { unet, ...parts } } = pipeline;
  const beside = [{ name: "controlnet", model: net, activations: net.workspace }];
  const stage = { name: "unet", model: unet, activations: unet.workspace, beside };
  const all = planMemory([stage]).largest;
  for (const [memory, mode] of [[all, "whole"], [all - 1, "int8"]] as const) {
    const plan = planMemory([stage], memory);
    assert.deepEqual(plan.parts.map(({ name, mode }) => [name, mode]), [["unet", mode], [
      "controlnet",
      "whole",
    ]]);
    assert.equal(plan.runs, "resident");
    using _acquired = await acquireModels({ ...parts, memory }, [unet, net]);
    assert.equal(unet.quantize ?? "whole", mode);
  }
});

Deno.test("a plan for Z-Image with a ControlNet counts all layers that the ControlNet shares", async () => {
  using device = await openDevice();
  using pipeline = await ZImagePipeline.fromPretrained(fixture("zimage/pipeline"), loading);
  using files = await controlNetFolder("v2.1");
  using controlnet = await ZImageControlNetModel.fromPretrained(files.path, loading);
  const parts = { ...pipeline.parts, controlnet };
  const { cap_feat_dim } = parts.transformer.config;
  const stages = stagesOf({ ...parts }, { width: 64, height: 48, tokens: 32, encodes: true });
  const { images } = await new ZImageControlNetPipeline(parts).run({
    promptEmbeds: zeros([1, 32, cap_feat_dim]),
    negativePromptEmbeds: zeros([1, 32, cap_feat_dim]),
    controlImage: image(),
    ...running,
  });
  await images.data();
  const taken = takenBy(device, "ZImageTransformer2DModel");
  assert.equal(taken.length, 3); // embeddings and refiners in front of the ControlNet, the blocks behind it
  assert.equal(activationsOf(stages, "transformer"), sum(taken));
  assert.equal(activationsOf(stages, "controlnet"), sum(takenBy(device, "ZImageControlNetModel")));
  assert.equal(activationsOf(stages, "vae"), sum(takenBy(device, "AutoencoderKL")));
});
