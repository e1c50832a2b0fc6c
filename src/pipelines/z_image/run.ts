import { free, type Tensor } from "../../tensor/mod.ts";
import type { ZImageControlNetModel, ZImageTransformer2DOptions } from "../../models/mod.ts";
import type { BegunRun } from "../latents/begun.ts";
import { type FlowStepsOptions, muFor, setFlowTimesteps, sigmasOf } from "../latents/flow.ts";
import { tellUnguided } from "../latents/guidance.ts";
import { cfgNormalization } from "../latents/guiders.ts";
import { skipLayerGuidance, type SkipLayerGuidanceOptions, skippedLayers } from "../latents/skipped.ts";
import {
  decodeLatents,
  denoise,
  type LatentLoop,
  type LatentLoopOptions,
  type LatentOutput,
} from "../latents/loop.ts";
import { withModels } from "../memory/acquire.ts";
import { prepareColors } from "../previews/fit.ts";
import { expectNumber } from "../run_options.ts";
import { latentSide } from "../size.ts";
import { cachingOf, type ModelCall, ModelCalls } from "../step_caches/model_calls.ts";
import type { ZImageParts } from "./parts.ts";
import { type Captions, embedPrompts, rowsOf, type ZImagePromptOptions } from "./prompts.ts";

/** Options of every Z-Image pipeline, with diffusers' defaults. */
export interface ZImageOptions
  extends Omit<LatentLoopOptions, "eta">, FlowStepsOptions, ZImagePromptOptions, SkipLayerGuidanceOptions {
  /** Steps of the scheduler; 50 by default. Z-Image-Turbo takes 8. */
  numInferenceSteps?: number | undefined;
  /**
   * Weight g of the prompt against the negative one, cond + g · (cond − uncond): one less than other pipelines call so. 5 by
   * default; 0 switches guidance off, as Z-Image-Turbo wants it.
   */
  guidanceScale?: number | undefined;
  /** The longest that a guided prediction may be, in lengths of the prompt's own; true is 1. Off by default. */
  cfgNormalization?: boolean | number | undefined;
  /** Time, from 0 at noise to 1 at the picture, behind which there is no guidance; 1 by default, which is never. */
  cfgTruncation?: number | undefined;
}

/** A run whose prompts are embedded and whose timesteps are set. */
export interface ZImageRun extends BegunRun {
  /** Sides of the latents. */
  readonly size: readonly [h: number, w: number];
  /** Embeddings of the prompts, with guidance behind those of the negative ones. */
  readonly captions: Captions;
  /** Noise levels of all steps; fewer than this are visited where a picture is changed. */
  readonly steps: number;
  /** The options with their defaults. */
  readonly options: ZImageOptions & { guidanceScale: number };
}

const SIDE = 128; // latents of a picture of 1024²

/** Sides of the latents of a picture. A token covers 2×2 latents, so 16 has to divide pixels. */
export function latentSize({ vae }: ZImageParts, height?: number, width?: number): [h: number, w: number] {
  const usual = SIDE * vae.scaleFactor;
  const side = (name: string, pixels = usual) => 2 * latentSide(name, pixels, 2 * vae.scaleFactor);
  return [side("height", height), side("width", width)];
}

/** Checks the options, sets the timesteps for pictures of a size and embeds the prompts. */
export async function beginRun(
  parts: ZImageParts,
  options: ZImageOptions,
  size: readonly [h: number, w: number],
): Promise<ZImageRun> {
  const { transformer: { config }, vae, scheduler } = parts;
  const { guidanceScale = 5, cfgNormalization = 0, cfgTruncation = 1 } = options;
  expectNumber("guidanceScale", guidanceScale);
  expectNumber("cfgNormalization", Number(cfgNormalization));
  expectNumber("cfgTruncation", cfgTruncation);
  if (config.in_channels !== vae.config.latent_channels) {
    throw new RangeError(
      `Cannot draw with a transformer of ${config.in_channels} channels: expected ${vae.config.latent_channels}, ` +
        "those of the VAE",
    );
  }
  const guided = guidanceScale > 0;
  tellUnguided(guided, options, 0);
  setFlowTimesteps(scheduler, sigmasOf(options, 50), () => muFor(scheduler, size[0] * size[1] / 4));
  const captions = await embedPrompts(parts, options, guided);
  const rows = captions.lengths.length;
  const owned = new DisposableStack();
  owned.adopt(captions.states, free);
  return {
    size,
    B: guided ? rows / 2 : rows,
    captions,
    guided,
    steps: scheduler.stepCount,
    owned,
    options: { ...options, guidanceScale },
    [Symbol.dispose]: () => owned.dispose(),
  };
}

/** Arguments of a call of the transformer. */
type ZImageCallArgs = [x: Tensor, t: number, capFeats: Tensor, options: ZImageTransformer2DOptions];

/** A ControlNet at work in a run. */
export interface ZImageControl {
  readonly net: ZImageControlNetModel;
  /** Latents that control, for each picture. [B, control_in_dim, h, w] */
  readonly context: Tensor;
  /** The same for each row, with guidance twice. [B or 2 B, control_in_dim, h, w] */
  readonly contexts: Tensor;
  /** Factor of all that it adds. */
  readonly scale: number;
}

/** The loop that a task draws by; its tensors are owned by the run. */
export interface Drawing extends Pick<LatentLoop, "after"> {
  /** Latents with noise. [B, C, h, w] */
  readonly start: Tensor;
  readonly timesteps: readonly number[];
  /** The ControlNet that adds to the transformer. */
  readonly control?: ZImageControl | undefined;
}

/** Draws pictures from latents with noise. */
export async function draw(parts: ZImageParts, run: ZImageRun, drawing: Drawing): Promise<LatentOutput> {
  return await decodeLatents(parts, await takeSteps(parts, run, drawing), run.options);
}

/** The latents behind the last step. All that the run owns is freed, however it ends. */
async function takeSteps(
  parts: ZImageParts,
  run: ZImageRun,
  { start, timesteps, after, control }: Drawing,
): Promise<Tensor> {
  const { transformer, vae, scheduler } = parts;
  const { B, captions, guided, options } = run;
  using _owned = run.owned;
  const { guidanceScale, cfgNormalization: most = 0, cfgTruncation = 1, guidance } = options;
  const caching = cachingOf(options.cache, timesteps);
  const velocity = (
    captions: Captions,
    { isMeasured = false, skipLayers }: { isMeasured?: boolean; skipLayers?: readonly string[] } = {},
  ) => {
    const { states, lengths: capLengths } = captions;
    const call = (x: Tensor, t: number): ModelCall<ZImageCallArgs> => {
      const args = (
        controlnetBlockSamples?: Readonly<Record<number, Tensor>>,
      ): ZImageCallArgs => [x, timeOf(t), states, { capLengths, controlnetBlockSamples, skipLayers }];
      return {
        x,
        args: () => args(control && samplesOf(control, x, timeOf(t), captions, isMeasured)),
        frontArgs: () => args(), // the ControlNet adds behind the first block
        cut: (sample) => sample.neg(), // it predicts the way to the picture
      };
    };
    return new ModelCalls(transformer, (input, t) => [call(input, t)], caching);
  };
  using model = velocity(captions);
  const alone = guided ? rowsOf(captions, B, 2 * B) : captions;
  using condModel = velocity(alone);
  const skipLayers = skippedLayers(options);
  using weakModel = skipLayers && velocity(alone, { skipLayers });
  const loop = {
    scheduler,
    vae,
    guided,
    model,
    condModel,
    weaker: weakModel && skipLayerGuidance(weakModel, options, timesteps.length),
    guides: (t: number) => timeOf(t) <= cfgTruncation || cfgTruncation > 1,
    after,
  };
  if (options.preview) await prepareColors(parts, options);
  const work = () => {
    const isMeasured = true;
    velocity(captions, { isMeasured }).rehearse(
      guided ? start.repeat([2, 1, 1, 1]) : start,
      timesteps[0]!,
      0,
    );
    if (skipLayers) velocity(alone, { isMeasured, skipLayers }).rehearse(start, timesteps[0]!, 0);
  };
  return await withModels(
    parts,
    [transformer, control?.net],
    { ...options, work },
    () =>
      denoise(start, timesteps, loop, {
        ...options,
        guidanceScale: guidanceScale + 1,
        guidance: Number(most) > 0 ? cfgNormalization(Number(most), guidance) : guidance,
      }),
  );
}

/** Tokens that a ControlNet adds in a step, without values where calls are only measured. */
function samplesOf(
  { net, context, contexts, scale }: ZImageControl,
  input: Tensor,
  time: number,
  { states, lengths }: Captions,
  isMeasured: boolean,
): Readonly<Record<number, Tensor>> {
  const forward = () =>
    net.forward(input, time, states, input.shape[0] === contexts.shape[0] ? contexts : context, {
      capLengths: lengths,
      conditioningScale: scale,
    }).controlnetBlockSamples;
  if (!isMeasured) return forward();
  let samples: Readonly<Record<number, Tensor>> = {};
  net.measure(() => (samples = forward()));
  return samples;
}

/** Time as the transformer takes it, in f32 as in diffusers: from 0 at noise to 1 at the picture. */
function timeOf(t: number): number {
  return Math.fround(Math.fround(1000 - Math.fround(t)) / 1000);
}
