import assert from "node:assert/strict";
import { join } from "node:path";
import { placeOf } from "../../../src/core/shape.ts";
import { openDevice } from "../../../src/gpu/open/open.ts";
import { loadImage, manualSeed, randn, type Tensor } from "../../../src/mod.ts";
import {
  Autoencoder,
  AutoencoderKL,
  AutoencoderTiny,
  ControlNetModel,
  type Model,
  T2IAdapter,
  UNet2DConditionModel,
  ZImageControlNetModel,
} from "../../../src/models/mod.ts";
import {
  type AnyPipeline,
  DiffusionPipeline,
  StableDiffusionAdapterPipeline,
  StableDiffusionControlNetPipeline,
  type StableDiffusionPipeline,
  ZImageControlNetPipeline,
  ZImagePipeline,
} from "../../../src/pipelines/mod.ts";
import { modelsOf } from "../../../src/pipelines/memory/acquire.ts";
import { DDIMScheduler } from "../../../src/schedulers/mod.ts";
import { Dice } from "../../support/dice.ts";
import { planted, refused, weightsOf } from "../../support/planted.ts";
import { openAdapter } from "../../support/t2i_adapter.ts";
import { controlNetFolder } from "../../support/z_image_controlnet.ts";

const root = join(import.meta.dirname!, "../../..");
/** Set the variable to 10000 for all weights, which takes three minutes. */
const EACH = Number(Deno.env.get("FINITE_WEIGHTS") ?? 12); // weights of each model

const TABLES = /position_embedding|relative_attention_bias/;

/** A pipeline, and what it draws a small picture with. */
interface Family {
  open(): Promise<AnyPipeline>;
  options(): Promise<object>;
}

const DTYPE = { dtype: "f32" } as const;
const read = (name: string) => loadImage(join(root, `test/fixtures/controlnet/${name}.png`));

/** The pipeline of a folder. */
const of = (folder: string, options: object): Family => ({
  open: () => DiffusionPipeline.fromPretrained(join(root, folder), DTYPE),
  options: () => Promise.resolve(options),
});

/** The tiny UNet of test/fixtures/controlnet, given embeddings, with parts that add to it. */
async function unetParts(): Promise<StableDiffusionPipeline["parts"]> {
  const base = join(root, "test/fixtures/controlnet");
  const parts = {
    unet: await UNet2DConditionModel.fromPretrained(base, { ...DTYPE, subfolder: "unet" }),
    vae: await AutoencoderKL.fromPretrained(base, { ...DTYPE, subfolder: "vae" }),
    scheduler: new DDIMScheduler({ clip_sample: false }),
  };
  return parts as unknown as StableDiffusionPipeline["parts"]; // embeddings stand for a text encoder
}

const embedded = () => ({
  promptEmbeds: randn([1, 7, 12], { generator: manualSeed(1) }),
  negativePromptEmbeds: randn([1, 7, 12], { generator: manualSeed(2) }),
});

/** A step of each family on a small picture; what it drew is encoded again, so that every weight is used. */
const FAMILIES: Readonly<Record<string, Family>> = {
  "DDPM": of("test/fixtures/ddpm/pipeline", {}),
  "Stable Diffusion": of("models/emoji-diffusion", { prompt: "the sun", height: 16, width: 16 }),
  "Stable Diffusion XL": of("test/fixtures/stable_diffusion_xl/pipeline", {
    prompt: "the sun",
    height: 32,
    width: 32,
  }),
  "FLUX.1": of("test/fixtures/flux/pipeline", {
    prompt: "the sun",
    height: 32,
    width: 32,
    maxSequenceLength: 16,
  }),
  "FLUX.2 klein": of("test/fixtures/flux2/pipeline", {
    prompt: "the sun",
    height: 32,
    width: 32,
    maxSequenceLength: 32,
  }),
  "FLUX.2 klein with TAEF2": {
    open: () =>
      DiffusionPipeline.fromPretrained(join(root, "test/fixtures/flux2/pipeline"), {
        ...DTYPE,
        vae: join(root, "test/fixtures/autoencoder_tiny/taef2/taef2.safetensors"),
      }),
    options: () => Promise.resolve({ prompt: "the sun", height: 32, width: 32, maxSequenceLength: 32 }),
  },
  "Z-Image with a ControlNet": {
    async open() {
      const parts = await ZImagePipeline.fromPretrained(join(root, "test/fixtures/zimage/pipeline"), DTYPE);
      using folder = await controlNetFolder("v2.1");
      const controlnet = await ZImageControlNetModel.fromPretrained(folder.path, DTYPE);
      return new ZImageControlNetPipeline({ ...parts.parts, controlnet });
    },
    options: async () => ({
      prompt: "the sun",
      controlImage: await read("control"),
      height: 32,
      width: 32,
      maxSequenceLength: 32,
    }),
  },
  "Stable Diffusion with a ControlNet and an IP-Adapter": {
    async open() {
      const controlnet = await ControlNetModel.fromPretrained(join(root, "test/fixtures/controlnet"), {
        ...DTYPE,
        subfolder: "controlnet",
      });
      const pipeline = new StableDiffusionControlNetPipeline({ ...await unetParts(), controlnet });
      await pipeline.loadIpAdapter(join(root, "test/fixtures/ip_adapter"), {
        weightName: "plus.safetensors",
      });
      return pipeline;
    },
    options: async () => ({
      ...embedded(),
      image: await read("control"),
      ipAdapterImage: await read("second"),
    }),
  },
  "Stable Diffusion with a T2I-Adapter": {
    async open() {
      return new StableDiffusionAdapterPipeline({ ...await unetParts(), adapter: await openAdapter("full") });
    },
    options: async () => ({ ...embedded(), image: await read("control") }),
  },
};

interface Opened extends Disposable {
  readonly models: readonly Model[];
  run(): Promise<unknown>;
}

async function opened({ open, options }: Family): Promise<Opened> {
  using owned = new DisposableStack();
  owned.use(await openDevice({ check: "finite" }));
  const pipeline = owned.use(await open());
  const draw = pipeline as unknown as { run(options: object): Promise<{ images: Tensor }> };
  const told = await options();
  const own = owned.move();
  return {
    models: modelsOf(pipeline.parts),
    async run() {
      const { images } = await draw.run({ numInferenceSteps: 1, progress: false, ...told });
      await images.data();
      const vae = Object.values(pipeline.parts).find((part) => part instanceof Autoencoder);
      if (!vae) return;
      await vae.load();
      await vae.mode(images).data();
    },
    [Symbol.dispose]: () => own.dispose(),
  };
}

for (const [name, family] of Object.entries(FAMILIES)) {
  Deno.test(`NaN and infinity in any weight of ${name} are found, and the weight is named`, async () => {
    using work = await opened(family);
    await work.run(); // no false alarm
    const dice = new Dice(121);
    for (const model of work.models) {
      const weights = weightsOf(model);
      const step = Math.max(1, weights.length / EACH);
      for (let i = dice.int(0, Math.floor(step) - 1); i < weights.length; i += step) {
        const [key, weight] = weights[Math.floor(i)]!;
        const used = TABLES.test(key) ? weight.shape.at(-1)! : weight.size; // other rows may not be read
        const element = dice.int(0, used - 1);
        const rectified = model instanceof T2IAdapter || model instanceof AutoencoderTiny; // ReLU makes 0 of −∞
        const value = dice.int(0, 1) || rectified ? NaN : -Infinity;
        const what = `${value} in ${model.constructor.name} ${key}`;
        model.retrace(); // what depends on weights alone is computed once
        const report = await refused(() => planted(weight, element, value, work.run), what);
        model.retrace();
        assert.equal(report.model, model.constructor.name, what);
        assert.equal(report.cause.kind, "came in", `${what}: ${report.cause.text}`);
        assert.match(
          report.cause.text,
          new RegExp(`the weight "${key.replaceAll(".", "\\.")}"`),
          `${what}: ${report.cause.text}`,
        );
        const input = report.inputs.find(({ source }) => source === key)!;
        assert.deepEqual(input.index, placeOf(element, weight.shape, weight.strides), what);
        assert.deepEqual([input.nan, input.negativeInf], Number.isNaN(value) ? [1, 0] : [0, 1], what);
        const layer = key.replace(/\.?\w+$/, "");
        assert.ok(
          report.paths.some((path) => layer.startsWith(path) || layer.endsWith(path)),
          `${what}: in ${report.paths}`,
        );
      }
    }
    await work.run();
  });
}
