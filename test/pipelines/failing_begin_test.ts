import assert from "node:assert/strict";
import { manualSeed, type Tensor, tensor } from "../../src/mod.ts";
import {
  FluxControlNetModel,
  FluxTransformer2DModel,
  Model,
  ZImageControlNetModel,
} from "../../src/models/mod.ts";
import {
  DiffusionPipeline,
  FluxControlInpaintPipeline,
  FluxControlNetInpaintPipeline,
  FluxFillPipeline,
  FluxKontextPipeline,
  FluxPipeline,
  StableDiffusionAdapterPipeline,
  StableDiffusionControlNetImg2ImgPipeline,
  StableDiffusionControlNetInpaintPipeline,
  ZImageControlNetInpaintPipeline,
  ZImageInpaintPipeline,
  ZImagePipeline,
} from "../../src/pipelines/mod.ts";
import type { Scheduler } from "../../src/schedulers/mod.ts";
import { free } from "../../src/tensor/mod.ts";
import { device } from "../support/device.ts";
import { TestFolder } from "../support/files.ts";
import { fixture } from "../support/fixtures.ts";
import { fluxControlNetFolder } from "../support/flux_controlnet.ts";
import { controlledFolder } from "../support/pipeline_folders.ts";
import { openAdapter } from "../support/t2i_adapter.ts";
import { controlNetFolder } from "../support/z_image_controlnet.ts";

interface Drawing extends Disposable {
  readonly parts: { readonly scheduler: Scheduler };
  // deno-lint-ignore no-explicit-any
  run(options: any): Promise<{ images: Tensor; latents: Tensor }>;
}

const loading = { dtype: "f32", onNotice: () => {} } as const;

/** A picture or a mask of a size, in f32 on the device. [1, C, H, W] */
async function picture(C: number, [H, W]: readonly [number, number], of: (i: number) => number) {
  const made = tensor(Float32Array.from({ length: C * H * W }, (_, i) => of(i)), [1, C, H, W]);
  await made.data();
  return made;
}

/** Pipelines of each task, and the pictures that they are given beside a prompt. */
const tasks: Record<string, readonly [open: () => Promise<Drawing>, pictures: readonly string[]]> = {
  "Stable Diffusion's ControlNet, img2img": [
    () => openControlled("controlnet", StableDiffusionControlNetImg2ImgPipeline),
    ["image", "controlImage"],
  ],
  "Stable Diffusion's ControlNet, inpainting": [
    () => openControlled("controlnet", StableDiffusionControlNetInpaintPipeline),
    ["image", "mask", "controlImage"],
  ],
  "Stable Diffusion's T2I-Adapter": [openAdapted, ["image"]],
  "FLUX.1 Kontext": [async () => new FluxKontextPipeline((await openFlux()).parts), ["image"]],
  "FLUX.1 Fill": [
    async () => new FluxFillPipeline({ ...(await openFlux()).parts, transformer: await fluxTool("fill") }),
    ["image", "mask"],
  ],
  "FLUX.1 Control, inpainting": [
    async () =>
      new FluxControlInpaintPipeline({
        ...(await openFlux()).parts,
        transformer: await fluxTool("control"),
      }),
    ["image", "mask", "controlImage"],
  ],
  "FLUX.1's ControlNet, inpainting": [openFluxNet, ["image", "mask", "controlImage"]],
  "Z-Image, inpainting": [
    async () => new ZImageInpaintPipeline((await openZImage()).parts),
    ["image", "mask"],
  ],
  "Z-Image's ControlNet, inpainting": [openZImageNet, ["image", "mask", "controlImage"]],
};

const openFlux = () => FluxPipeline.fromPretrained(fixture("flux/pipeline"), loading);
const openZImage = () => ZImagePipeline.fromPretrained(fixture("zimage/pipeline"), loading);
const fluxTool = (name: string) =>
  FluxTransformer2DModel.fromPretrained(fixture(`flux_tools/transformer_${name}`), loading);

async function openControlled<T extends Drawing>(
  net: string,
  type: { fromPretrained(path: string, options: object): Promise<T> },
): Promise<T> {
  using folder = new TestFolder();
  await controlledFolder(`${folder.path}/base`);
  const opened = await type.fromPretrained(`${folder.path}/base`, {
    ...loading,
    controlnet: fixture(`controlnet/${net}`),
  });
  for (const part of Object.values(opened.parts)) if (part instanceof Model) await part.load();
  return opened;
}

async function openAdapted(): Promise<Drawing> {
  using folder = new TestFolder();
  await controlledFolder(`${folder.path}/base`);
  const base = await DiffusionPipeline.fromPretrained(`${folder.path}/base`, loading);
  for (const part of Object.values(base.parts)) if (part instanceof Model) await part.load();
  // deno-lint-ignore no-explicit-any
  return new StableDiffusionAdapterPipeline({ ...base.parts, adapter: await openAdapter("full") } as any);
}

async function openFluxNet(): Promise<Drawing> {
  using folder = await fluxControlNetFolder("plain");
  const controlnet = await FluxControlNetModel.fromPretrained(folder.path, loading);
  return new FluxControlNetInpaintPipeline({ ...(await openFlux()).parts, controlnet });
}

async function openZImageNet(): Promise<Drawing> {
  using folder = await controlNetFolder("v2.1");
  const controlnet = await ZImageControlNetModel.fromPretrained(folder.path, loading);
  return new ZImageControlNetInpaintPipeline({ ...(await openZImage()).parts, controlnet });
}

/** Makes one of the acquisitions of models fail, by its number from 0, or the noise, until what is returned is disposed. */
function failing(
  at: number | "noise",
  { scheduler }: Drawing["parts"],
): Disposable & { readonly count: number } {
  const { acquire } = Model.prototype;
  const own = scheduler.addNoise;
  let count = 0;
  Model.prototype.acquire = async function (options) {
    if (count++ === at) throw new Error("no room");
    return await acquire.call(this, options);
  };
  if (at === "noise") {
    scheduler.addNoise = () => {
      throw new Error("no room");
    };
  }
  return {
    get count() {
      return count;
    },
    [Symbol.dispose]() {
      Model.prototype.acquire = acquire;
      if (scheduler.addNoise !== own) delete (scheduler as { addNoise?: unknown }).addNoise;
    },
  };
}

for (const [name, [open, pictures]] of Object.entries(tasks)) {
  Deno.test(`${name}: a run that fails on its way gives back what it had begun with, wherever that is`, async () => {
    using pipeline = await open();
    const size = [32, 48] as const;
    const given = Object.fromEntries(
      await Promise.all(pictures.map(async (key) => {
        const made = key === "mask"
          ? await picture(1, size, (i) => i % 48 < 20 ? 0 : 1)
          : await picture(3, size, (i) => i * 7 % 256 / 255);
        return [key, made];
      })),
    );
    const run = () =>
      pipeline.run({
        ...{ prompt: "a nice flower", numInferenceSteps: 2, height: 32, width: 48, progress: false },
        ...{ generator: manualSeed(0), onNotice: () => {} },
        ...given,
        ...pipeline instanceof FluxKontextPipeline ? { autoResize: false, maxArea: 32 * 48 } : {},
      });
    const bytes = async () => {
      await device.settle();
      return device.buffers.usage().bytes;
    };
    let count = 0;
    for (let settled = 0; settled < 3; settled++) { // plans are made, and keep what they need
      using counted = failing(-1, pipeline.parts);
      const { images, latents } = await run();
      await images.data();
      free(images, latents);
      ({ count } = counted);
    }
    assert.ok(count >= 3, `${count} acquisitions`);
    const noised = pictures.includes("image") && !/Kontext|Adapter|Z-Image's/.test(name);
    for (const at of [...Array(count).keys(), ...noised ? ["noise" as const] : []]) {
      const after: number[] = [];
      for (let turn = 0; turn < 2; turn++) { // a model keeps a copy of its last input: of the first turn's
        using _fault = failing(at, pipeline.parts);
        await assert.rejects(run(), /^Error: no room$/, `${at}`);
        after.push(await bytes());
      }
      assert.ok(after[1]! <= after[0]!, `${at} of ${count}: ${after[1]! - after[0]!} bytes more`);
    }
  });
}
