import assert from "node:assert/strict";
import { join } from "node:path";
import { placeOf } from "../../../src/core/shape.ts";
import type { Device } from "../../../src/gpu/device.ts";
import { type DeviceOptions, openDevice } from "../../../src/gpu/open/open.ts";
import { AutoencoderKL, Model } from "../../../src/models/mod.ts";
import { DiffusionPipeline } from "../../../src/pipelines/mod.ts";
import type { Tensor } from "../../../src/tensor/mod.ts";
import { Dice } from "../../support/dice.ts";
import { asGpu } from "../../support/engines.ts";
import { planted, refused, weightsOf } from "../../support/planted.ts";

const root = join(import.meta.dirname!, "../../..");
/** Set the variable to 10000 for all weights, which takes three minutes. */
const EACH = Number(Deno.env.get("FINITE_WEIGHTS") ?? 12); // weights of each model

const TABLES = /position_embedding|relative_attention_bias/;

/** A step of each family on a small picture; what it drew is encoded again, so that every weight is used. */
const FAMILIES = {
  "test/fixtures/ddpm/pipeline": {},
  "models/emoji-diffusion": { prompt: "the sun", height: 16, width: 16 },
  "test/fixtures/stable_diffusion_xl/pipeline": { prompt: "the sun", height: 32, width: 32 },
  "test/fixtures/flux/pipeline": { prompt: "the sun", height: 32, width: 32, maxSequenceLength: 16 },
} as const;

interface Opened extends Disposable {
  readonly device: Device;
  readonly models: readonly Model[];
  run(): Promise<unknown>;
}

async function opened(
  folder: keyof typeof FAMILIES,
  { dtype = "f32", gpu, ...options }: DeviceOptions & { dtype?: "f32" | "f16"; gpu?: boolean } = {},
): Promise<Opened> {
  using owned = new DisposableStack();
  const device = owned.use(await openDevice({ check: "finite", ...options }));
  if (gpu) asGpu(device);
  const pipeline = owned.use(await DiffusionPipeline.fromPretrained(join(root, folder), { dtype }));
  const draw = pipeline as unknown as { run(options: object): Promise<{ images: Tensor }> };
  const own = owned.move();
  return {
    device,
    models: Object.values(pipeline.parts).filter((part) => part instanceof Model),
    async run() {
      const { images } = await draw.run({ numInferenceSteps: 1, progress: false, ...FAMILIES[folder] });
      await images.data();
      const vae = Object.values(pipeline.parts).find((part) => part instanceof AutoencoderKL);
      if (!vae) return;
      await vae.load();
      await vae.encode(images).latentDist.mean.data();
    },
    [Symbol.dispose]: () => own.dispose(),
  };
}

for (const folder of Object.keys(FAMILIES) as (keyof typeof FAMILIES)[]) {
  Deno.test(`NaN and infinity in any weight of ${folder} are found, and the weight is named`, async () => {
    using work = await opened(folder);
    await work.run(); // no false alarm
    const dice = new Dice(121);
    for (const model of work.models) {
      const weights = weightsOf(model);
      const step = Math.max(1, weights.length / EACH);
      for (let i = dice.int(0, Math.floor(step) - 1); i < weights.length; i += step) {
        const [key, weight] = weights[Math.floor(i)]!;
        const used = TABLES.test(key) ? weight.shape.at(-1)! : weight.size; // other rows may not be read
        const element = dice.int(0, used - 1);
        const value = dice.int(0, 1) ? NaN : -Infinity;
        const what = `${value} in ${model.constructor.name} ${key}`;
        const report = await refused(() => planted(weight, element, value, work.run), what);
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
