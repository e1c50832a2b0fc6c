import assert from "node:assert/strict";
import { manualSeed, type Tensor, tensor } from "../../../src/mod.ts";
import { FluxTransformer2DModel } from "../../../src/models/mod.ts";
import {
  FluxImg2ImgPipeline,
  type FluxImg2ImgRunOptions,
  FluxPipeline,
  type FluxRunOptions,
} from "../../../src/pipelines/mod.ts";
import { schedulerClasses } from "../../../src/schedulers/mod.ts";
import { camelCased, readJson } from "../../conformance/json.ts";
import { type HostTensor, readTensors } from "../../support/arrays.ts";
import { assertRelativelyClose } from "../../support/close.ts";
import "../../support/device.ts";
import { fixture } from "../../support/fixtures.ts";

/** What meta.json says of a run of diffusers. */
interface Run {
  pipeline: "FluxPipeline" | "FluxImg2ImgPipeline";
  /** Folder of test/fixtures/flux. */
  transformer: string;
  scheduler: string;
  /** What the pipeline's scheduler is told otherwise. */
  config: Record<string, unknown>;
  /** One stream, or one for each picture. */
  seeds: number | number[];
  args: Record<string, unknown>;
}

const bound = 1e-3; // a whole loop in f32
const loading = { dtype: "f32", onNotice: () => {} } as const;

const runs = await readJson<Record<string, Run>>(fixture("flux_runs/meta.json"));
const expected = await readTensors(fixture("flux_runs/expected.safetensors"));

let pipeline: FluxPipeline;
let schnell: FluxTransformer2DModel;
Deno.test.beforeAll(async () => {
  pipeline = await FluxPipeline.fromPretrained(fixture("flux/pipeline"), loading);
  schnell = await FluxTransformer2DModel.fromPretrained(fixture("flux/transformer_schnell"), loading);
});
Deno.test.afterAll(() => {
  schnell[Symbol.dispose]();
  pipeline[Symbol.dispose]();
});

for (const [name, run] of Object.entries(runs)) {
  Deno.test(`${run.pipeline} draws diffusers' latents of the run "${name}"`, async () => {
    const { latents, timesteps } = await draw(run);
    const times = expected.get(`${name}/timesteps`)!;
    assertRelativelyClose(timesteps, times.data, 1e-6, "timesteps");
    const want = expected.get(`${name}/latents`)!;
    assert.deepEqual(latents.shape, want.shape);
    assertRelativelyClose(await latents.data(), want.data, bound, "latents");
  });
}

async function draw(
  { pipeline: name, transformer, scheduler, config, seeds, args }: Run,
): Promise<{ latents: Tensor; timesteps: readonly number[] }> {
  const parts = {
    ...pipeline.parts,
    transformer: transformer === "pipeline/transformer" ? pipeline.parts.transformer : schnell,
    scheduler: schedulerClasses[scheduler]!.fromConfig(pipeline.parts.scheduler.config, config),
  };
  const options: FluxRunOptions = {
    ...camelCased(args),
    generator: Array.isArray(seeds) ? seeds.map((seed) => manualSeed(seed)) : manualSeed(seeds),
    outputType: "latent",
    progress: false,
  };
  const { images: latents } = name === "FluxPipeline"
    ? await new FluxPipeline(parts).run(options)
    : await new FluxImg2ImgPipeline(parts).run({ ...options as FluxImg2ImgRunOptions, image: picture() });
  return { latents, timesteps: parts.scheduler.timesteps };
}

function picture(): Tensor {
  const { shape, data }: HostTensor = expected.get("image")!;
  return tensor(Float32Array.from(data), shape);
}
