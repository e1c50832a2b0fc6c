/**
 * Measures what a step costs the host, at real sizes with weights of zero in f16: to record, encode and submit a guided step
 * of Stable Diffusion 1.5 at 512² and a step of FLUX.1 at 1024². On a null GPU, which computes nothing, it is all there is.
 * Run: NULL_GPU_GIB=40 deno task as-gpu navi31 deno run -A bench/host.ts
 */
import "../scripts/plain_errors.ts";
import { cat, openDevice, scope, type Tensor, zeros } from "denoise";
import type { FluxTransformer2DModel, UNet2DConditionModel } from "denoise/models";
import { EulerDiscreteScheduler, FlowMatchEulerDiscreteScheduler } from "denoise/schedulers";
import { readArguments } from "../scripts/command_line/arguments.ts";
import * as option from "../scripts/command_line/options.ts";
import { streamOf } from "../src/graph/run/stream.ts";
import { imageIds, textIds } from "../src/models/flux_transformer_2d/pos_embed.ts";
import { PIPELINES, traceModel } from "./compiled/models.ts";
import { PROMPT_TOKENS, SD15_UNET } from "./models.ts";
import { median } from "./turns.ts";

const { only, steps } = readArguments(
  "bench/host.ts",
  "Measures what a step costs the host: to record, encode and submit it.",
  {
    only: option.some("what to measure", ["sd", "flux"]),
    steps: option.count("of a loop", 50, 10),
  },
);

using device = await openDevice({ tune: "off" });
console.log(device.describe());
let submissions = 0;
const submit = device.submit.bind(device);
device.submit = (...commands) => {
  submissions++;
  return submit(...commands);
};
if (only?.includes("sd") ?? true) await stableDiffusion();
if (only?.includes("flux") ?? true) await flux();

/** The loop that people write, both halves of the guidance in one pass. */
async function stableDiffusion(): Promise<void> {
  using made = scope();
  const part = PIPELINES["SD 1.5 512²"]!().find(({ name }) => name === "unet")!;
  using unet = await traceModel(part, { load: true }) as UNet2DConditionModel;
  const scheduler = new EulerDiscreteScheduler({});
  scheduler.setTimesteps(steps);
  const prompts = zeros([2, PROMPT_TOKENS, SD15_UNET.cross_attention_dim]);
  const start = made.keep(zeros([1, 4, 64, 64]));
  await measure("guided step of SD 1.5, 512²", start, scheduler.timesteps, (latents, t) => {
    const input = scheduler.scaleModelInput(cat([latents, latents]), t);
    const [uncond, cond] = unet.forward(input, t, prompts).sample.chunk(2) as [Tensor, Tensor];
    return scheduler.step(uncond.lerp(cond, 7.5), t, latents).prevSample;
  });
}

/** The loop of its pipeline. */
async function flux(): Promise<void> {
  using made = scope();
  const part = PIPELINES["FLUX.1 1024²"]!().find(({ name }) => name === "transformer")!;
  using transformer = await traceModel(part, { load: true }) as FluxTransformer2DModel;
  const scheduler = new FlowMatchEulerDiscreteScheduler({});
  scheduler.setTimesteps(steps);
  const conditions = { pooledProjections: zeros([1, 768]), guidance: 3.5 };
  using modulation = transformer.condition(scheduler.timesteps.map((t) => t / 1000), conditions);
  const texts = zeros([1, 512, 4096]);
  const [imgIds, txtIds] = [imageIds([128, 128]), textIds(512)];
  let step = 0;
  await measure(
    "step of FLUX.1, 1024²",
    made.keep(zeros([1, 4096, 64])),
    scheduler.timesteps,
    (latents, t) => {
      const options = { encoderHiddenStates: texts, imgIds, txtIds, modulation: modulation.at(step++) };
      return scheduler.step(transformer.forward(latents, options).sample, t, latents).prevSample;
    },
  );
}

/** Runs a loop; of each step the time until it is submitted counts, behind those that compile and plan. */
async function measure(
  name: string,
  start: Tensor,
  timesteps: readonly number[],
  record: (latents: Tensor, t: number) => Tensor,
): Promise<void> {
  const stream = streamOf(device);
  const host: number[] = [];
  let latents = start;
  submissions = 0;
  for (const t of timesteps) {
    using step = scope(latents);
    const before = performance.now();
    latents = step.keep(record(latents, t));
    await stream.flush();
    host.push(performance.now() - before);
    await device.idle();
  }
  const warm = host.slice(5);
  const [middle, worst] = [median(warm)!, Math.max(...warm)];
  console.log(
    `${name}: ${middle.toFixed(2)} ms of host time, at most ${worst.toFixed(2)}; ` +
      `${stream.statistics.dispatches} dispatches in ${
        (submissions / timesteps.length).toFixed(1)
      } submissions`,
  );
}
