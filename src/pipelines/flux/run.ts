import { formatShape, sameNumbers } from "../../core/shape.ts";
import { free, scope, type Tensor } from "../../tensor/mod.ts";
import type { Positions } from "../../models/mod.ts";
import type { BegunRun } from "../latents/begun.ts";
import { tellUnguided } from "../latents/guidance.ts";
import { type FlowStepsOptions, muFor, setFlowTimesteps, sigmasOf } from "../latents/flow.ts";
import { skipLayerGuidance, type SkipLayerGuidanceOptions, skippedLayers } from "../latents/skipped.ts";
import { packLatents, unpackLatents } from "../latents/packing.ts";
import { decodeLatents, denoise, type LatentLoop, type LatentLoopOptions } from "../latents/loop.ts";
import { latentSide } from "../size.ts";
import { withModels } from "../memory/acquire.ts";
import { prepareColors } from "../previews/fit.ts";
import type { PooledTextEmbeddings } from "../prompts.ts";
import type { PipelineOutput, RunOptions } from "../run.ts";
import { expectNumber } from "../run_options.ts";
import type { FluxControl } from "./control_nets.ts";
import { FluxDenoiser } from "./denoiser.ts";
import type { FluxParts } from "./parts.ts";
import { embedPrompts, type FluxPromptOptions } from "./prompts.ts";

/** Options of every FLUX pipeline, with diffusers' defaults. */
export interface FluxOptions
  extends
    RunOptions,
    FluxPromptOptions,
    FlowStepsOptions,
    SkipLayerGuidanceOptions,
    Pick<
      LatentLoopOptions,
      "cache" | "generator" | "outputType" | "guidance" | "guidanceInterval" | "guidanceRescale"
    > {
  /** Steps of the scheduler; 28 by default, 50 for FLUX.1 Fill. */
  numInferenceSteps?: number | undefined;
  /** Weight of the prompt, as the model was taught; models that were not take no other than 0. */
  guidanceScale?: number | undefined;
  /** Noise to begin with, packed as in `FluxOutput`. [B, h/2 · w/2, 4 C] */
  latents?: Tensor | undefined;
}

/** The result of FLUX pipelines. */
export interface FluxOutput extends PipelineOutput {
  /** Latents that the pictures were decoded from, packed; `unpackLatents` brings them back. [B, h/2 · w/2, 4 C] */
  latents: Tensor;
}

/** A run whose prompts are embedded and whose timesteps are set. */
export interface FluxRun extends BegunRun {
  /** Sides of the latents, before they are packed. */
  readonly size: readonly [h: number, w: number];
  /** Embeddings of the prompts; under guidance the negative ones come first, in one batch or in two. */
  readonly embeddings: readonly PooledTextEmbeddings[];
  /** Noise levels of all steps; fewer than this are visited where a picture is changed. */
  readonly steps: number;
  /** The options with their defaults. */
  readonly options: FluxOptions & { guidanceScale: number };
}

/** Channels of a token that FLUX.1 Fill sees besides latents: those of the rest of the picture, and the mask's pixels. */
export function fillChannels({ vae }: FluxParts): number {
  return 4 * (vae.config.latent_channels + vae.scaleFactor ** 2);
}

/** Sides of the latents of a picture. A token covers 2×2 latents, so 16 has to divide pixels. */
export function latentSize({ vae }: FluxParts, height?: number, width?: number): [h: number, w: number] {
  const [side, sample] = [2 * vae.scaleFactor, 128 * vae.scaleFactor];
  return [
    2 * latentSide("height", height ?? sample, side),
    2 * latentSide("width", width ?? sample, side),
  ];
}

/**
 * Checks the options, sets the timesteps for pictures of a size and embeds the prompts. `beside` are the channels that the
 * transformer reads besides those of a token's latents.
 */
export async function beginRun(
  parts: FluxParts,
  options: FluxOptions,
  size: readonly [h: number, w: number],
  { usualScale, usualSteps = 28, beside = 0 }: {
    readonly usualScale: number;
    readonly usualSteps?: number | undefined;
    readonly beside?: number | undefined;
  },
): Promise<FluxRun> {
  const { transformer: { config, inChannels }, vae, scheduler } = parts;
  const { guidanceScale = usualScale, trueCfgScale = 1 } = options;
  if (options.guidanceScale && !config.guidance_embeds) {
    throw new TypeError(
      `Cannot draw with guidanceScale ${guidanceScale}: this FLUX was made without guidance, as FLUX.1-schnell; leave it out`,
    );
  }
  expectNumber("guidanceScale", guidanceScale);
  expectNumber("trueCfgScale", trueCfgScale);
  const width = 4 * vae.config.latent_channels;
  if (inChannels !== width + beside) {
    throw new RangeError(
      `Cannot draw with a transformer of ${inChannels} channels: expected ${width + beside}, those of 2×2 ` +
        `latents${beside ? " and what stands beside them" : ""}; one of ${
          width + fillChannels(parts)
        } is for ` +
        `FluxFillPipeline, of ${2 * width} for FluxControlPipeline, of ${width} for the others`,
    );
  }
  setFlowTimesteps(scheduler, sigmasOf(options, usualSteps), () => muFor(scheduler, size[0] * size[1] / 4));
  const { embeddings, guided } = await embedPrompts(parts, options);
  const { guidance, guidanceInterval, guidanceRescale, onNotice } = options;
  tellUnguided(guided, { guidance, guidanceInterval, guidanceRescale, onNotice });
  const rows = embeddings.reduce((sum, { pooled }) => sum + pooled.shape[0]!, 0);
  const owned = new DisposableStack();
  for (const { states, pooled } of embeddings) owned.defer(() => free(states, pooled));
  return {
    size,
    B: guided ? rows / 2 : rows,
    embeddings,
    guided,
    steps: scheduler.stepCount,
    owned,
    options: { ...options, guidanceScale },
    [Symbol.dispose]: () => owned.dispose(),
  };
}

/** Latents to begin the run's loop with: a copy of given ones, if they fit, else what `draw` makes, packed. */
export async function startLatents(
  { vae }: FluxParts,
  { B, size: [h, w], owned, options: { latents } }: FluxRun,
  draw: () => Tensor | Promise<Tensor>,
): Promise<Tensor> {
  const shape = [B, h * w / 4, 4 * vae.config.latent_channels];
  if (latents && !sameNumbers(latents.shape, shape)) {
    throw new RangeError(
      `Cannot draw: expected latents ${formatShape(shape)}, as packLatents makes them, got ${
        formatShape(latents.shape)
      }`,
    );
  }
  if (latents) return owned.adopt(latents.clone(), free);
  const drawn = await draw();
  using made = scope(drawn);
  return owned.adopt(made.keep(packLatents(drawn)), free);
}

/** The loop that a task draws by; its tensors are owned by the run. */
export interface Drawing extends Pick<LatentLoop, "after"> {
  /** Packed latents with noise. [B, L, 4 C] */
  readonly start: Tensor;
  readonly timesteps: readonly number[];
  /** Joined to the channels of each token. [B, L, W] */
  readonly beside?: Tensor | undefined;
  /** Tokens that stand behind those of the latents. [B, M, 4 C] */
  readonly behind?: Tensor | undefined;
  /** Their positions. [M, 3] */
  readonly behindIds?: Positions | undefined;
  /** ControlNets that add to the transformer. */
  readonly control?: FluxControl | undefined;
}

/** Draws pictures from packed latents with noise. */
export async function draw(parts: FluxParts, run: FluxRun, drawing: Drawing): Promise<FluxOutput> {
  const latents = await takeSteps(parts, run, drawing);
  return await decodeLatents(parts, latents, run.options, (latents) => unpackLatents(latents, run.size));
}

/** The packed latents behind the last step. All that the run owns is freed, however it ends. */
async function takeSteps(
  parts: FluxParts,
  run: FluxRun,
  { start, timesteps, after, beside, behind, behindIds, control }: Drawing,
): Promise<Tensor> {
  const { transformer, vae, scheduler } = parts;
  const { size, B, embeddings: given, guided, options } = run;
  using owned = run.owned;
  const { cache, guidanceScale, trueCfgScale = 1, signal, onNotice } = options;
  const skipLayers = skippedLayers(options);
  // halves have a cache each, as in diffusers; one may run without blocks; ControlNets see the prompt's alone
  const isApart = guided && (cache || skipLayers || control);
  const embeddings = isApart ? given.flatMap(halvesOf) : given;
  for (const { states, pooled } of embeddings) owned.defer(() => free(states, pooled));
  const unpack = (latents: Tensor) => unpackLatents(latents, size);
  const times = embeddings[0]!.pooled.shape[0]! / B; // both halves of a guided step in one batch
  const rows = (x?: Tensor) => x && times > 1 ? x.repeat([times, 1, 1]) : x;
  const seen = { beside: rows(beside), behind: rows(behind), behindIds, cache, skipLayers, control };
  owned.defer(() => free(seen.beside, seen.behind));
  const condition = () =>
    new FluxDenoiser(transformer, embeddings, { size, timesteps, guidanceScale, ...seen });
  const firstStep = (denoiser: FluxDenoiser) => denoiser.rehearse(start, guided);
  if (options.preview) await prepareColors(parts, options);
  const conditioning = { signal, onNotice, work: () => firstStep(condition()), only: "condition" };
  using denoiser = await withModels(parts, [transformer], conditioning, condition);
  const stepping = { signal, onNotice, work: () => firstStep(denoiser), only: "step" };
  const { model, weakModel } = denoiser;
  const weaker = weakModel && skipLayerGuidance(weakModel, options, timesteps.length);
  const loop = { scheduler, vae, guided, model, weaker, unpack, after };
  return await withModels(
    parts,
    [transformer, ...control?.models ?? []],
    stepping,
    () => denoise(start, timesteps, loop, { ...options, guidanceScale: trueCfgScale }),
  );
}

/** The embeddings of the halves of guidance, where both are in one batch. */
function halvesOf(
  { states, pooled }: PooledTextEmbeddings,
  _i: number,
  all: readonly unknown[],
): PooledTextEmbeddings[] {
  if (all.length > 1) return [{ states, pooled }];
  using made = scope(states, pooled);
  const rows = pooled.chunk(2);
  return states.chunk(2).map((half, i) => ({
    states: made.keep(half.clone()),
    pooled: made.keep(rows[i]!.clone()),
  }));
}
