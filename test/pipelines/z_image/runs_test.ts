import assert from "node:assert/strict";
import { manualSeed, type Tensor } from "../../../src/mod.ts";
import {
  ZImageImg2ImgPipeline,
  ZImageInpaintPipeline,
  type ZImageInpaintRunOptions,
  ZImagePipeline,
} from "../../../src/pipelines/mod.ts";
import { FlowMatchEulerDiscreteScheduler } from "../../../src/schedulers/mod.ts";
import { camelCased, readJson } from "../../conformance/json.ts";
import { readTensors } from "../../support/arrays.ts";
import { assertRelativelyClose } from "../../support/close.ts";
import "../../support/device.ts";
import { fixture } from "../../support/fixtures.ts";
import { upload } from "../../support/tensors.ts";

/** What meta.json says of a run of diffusers. */
interface Run {
  pipeline: "ZImagePipeline" | "ZImageImg2ImgPipeline" | "ZImageInpaintPipeline";
  /** What the pipeline's scheduler is told otherwise. */
  config: Record<string, unknown>;
  /** One stream, or one for each picture. */
  seeds: number | number[];
  args: Record<string, unknown>;
}

const bound = 1e-3; // a whole loop in f32
/** Pictures that each takes. */
const GIVEN: Readonly<Record<Run["pipeline"], readonly string[]>> = {
  ZImagePipeline: [],
  ZImageImg2ImgPipeline: ["image"],
  ZImageInpaintPipeline: ["image", "mask"],
};
const classes = { ZImagePipeline, ZImageImg2ImgPipeline, ZImageInpaintPipeline };

const runs = await readJson<Record<string, Run>>(fixture("z_image_runs/meta.json"));
const expected = await readTensors(fixture("z_image_runs/expected.safetensors"));

let pipeline: ZImagePipeline;
Deno.test.beforeAll(async () => {
  pipeline = await ZImagePipeline.fromPretrained(fixture("zimage/pipeline"), { dtype: "f32" });
});
Deno.test.afterAll(() => pipeline[Symbol.dispose]());

for (const [name, run] of Object.entries(runs)) {
  Deno.test(`${run.pipeline} draws diffusers' latents of the run "${name}"`, async () => {
    const { latents, timesteps } = await draw(name, run);
    assertRelativelyClose(timesteps, expected.get(`${name}/timesteps`)!.data, 1e-6, "timesteps");
    const want = expected.get(`${name}/latents`)!;
    assert.deepEqual(latents.shape, want.shape);
    assertRelativelyClose(await latents.data(), want.data, bound, "latents");
  });
}

async function draw(
  run: string,
  { pipeline: name, config, seeds, args }: Run,
): Promise<{ latents: Tensor; timesteps: readonly number[] }> {
  const scheduler = FlowMatchEulerDiscreteScheduler.fromConfig(pipeline.scheduler.config, config);
  const one = new classes[name]({ ...pipeline.parts, scheduler });
  const given = run === "given_noise" ? ["latents"] : GIVEN[name];
  const options: Record<string, unknown> = {
    ...camelCased(args),
    ...Object.fromEntries(given.map((name) => [name, upload(expected.get(name)!)])),
    generator: Array.isArray(seeds) ? seeds.map((seed) => manualSeed(seed)) : manualSeed(seeds),
    outputType: "latent",
    progress: false,
    onNotice: () => {},
  };
  const { images: latents } = await one.run(options as unknown as ZImageInpaintRunOptions);
  return { latents, timesteps: scheduler.timesteps };
}
