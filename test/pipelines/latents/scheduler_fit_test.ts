import assert from "node:assert/strict";
import { manualSeed, tensor } from "../../../src/mod.ts";
import { FluxImg2ImgPipeline, FluxPipeline, StableDiffusionPipeline } from "../../../src/pipelines/mod.ts";
import {
  DDIMScheduler,
  EulerDiscreteScheduler,
  FlowMatchEulerDiscreteScheduler,
  FlowMatchHeunDiscreteScheduler,
  type Scheduler,
  schedulerNamed,
} from "../../../src/schedulers/mod.ts";
import "../../support/device.ts";
import { fixture } from "../../support/fixtures.ts";

const emoji = `${import.meta.dirname}/../../../models/emoji-diffusion`;
const tiny = { height: 32, width: 32, prompt: "a cat", outputType: "latent", progress: false } as const;

let flux: FluxPipeline;
Deno.test.beforeAll(async () => {
  flux = await FluxPipeline.fromPretrained(fixture("flux/pipeline"));
});
Deno.test.afterAll(() => {
  flux[Symbol.dispose]();
});

const withScheduler = (scheduler: Scheduler) => ({ ...flux.parts, scheduler });

Deno.test("a pipeline says once that its scheduler does not fit, and draws", async () => {
  using pipeline = await StableDiffusionPipeline.fromPretrained(emoji);
  const own = pipeline.parts.scheduler.config;
  const notices: string[] = [];
  const onNotice = (line: string) => void notices.push(line);
  const draw = () =>
    pipeline.run({
      prompt: "an apple",
      numInferenceSteps: 1,
      outputType: "latent",
      progress: false,
      onNotice,
    });
  for (
    const scheduler of [
      DDIMScheduler.fromConfig(own),
      schedulerNamed("dpm++ 2m karras").from(pipeline.parts.scheduler),
    ]
  ) {
    pipeline.parts.scheduler = scheduler;
    await draw();
  }
  assert.deepEqual(notices, []); // the embedded model's config is one for latents
  pipeline.scheduler = FlowMatchEulerDiscreteScheduler.fromConfig(own);
  assert.equal(pipeline.parts.scheduler, pipeline.scheduler);
  await draw();
  await draw();
  pipeline.parts.scheduler = DDIMScheduler.fromConfig(own, { clip_sample: true });
  await draw();
  assert.equal(notices.length, 2);
  assert.match(notices[0]!, /^FlowMatchEulerDiscreteScheduler does not fit: /);
  assert.match(notices[1]!, /^DDIMScheduler does not fit as it is: its clip_sample /);
});

Deno.test("FLUX is drawn by Heun and by solvers that are named, and refuses schedulers that take no flow", async () => {
  const own = flux.parts.scheduler;
  const refused: string[] = [];
  const onNotice = (line: string) => void refused.push(line);
  for (const [name, calls] of [["heun", 5], ["dpmpp_2m", 3], ["uni_pc", 3]] as const) {
    const scheduler = schedulerNamed(name).from(own);
    const generator = manualSeed(0);
    const { latents } = await new FluxPipeline(withScheduler(scheduler)).run({
      ...tiny,
      numInferenceSteps: 3,
      generator,
      onNotice,
    });
    assert.equal(scheduler.timesteps.length, calls, name);
    assert.ok((await latents.data() as Float32Array).every(Number.isFinite), name);
  }
  assert.deepEqual(refused, []);
  await assert.rejects(
    new FluxPipeline(withScheduler(new EulerDiscreteScheduler())).run({ ...tiny, onNotice }),
    /^TypeError: Cannot draw with EulerDiscreteScheduler: expected a scheduler for flows, got one for noise; take Flow/,
  );
});

Deno.test("FLUX changes a picture by Heun from the first half of a step", async () => {
  const scheduler = schedulerNamed("heun").from(flux.parts.scheduler);
  assert.ok(scheduler instanceof FlowMatchHeunDiscreteScheduler);
  const image = tensor(new Float32Array(3 * 32 * 32).fill(0.5), [1, 3, 32, 32]);
  const pipeline = new FluxImg2ImgPipeline(withScheduler(scheduler));
  const { latents } = await pipeline.run({ ...tiny, image, strength: 0.5, numInferenceSteps: 4 });
  assert.ok((await latents.data() as Float32Array).every(Number.isFinite));
});
