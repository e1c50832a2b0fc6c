import type { Autoencoder, UNet2DConditionModel, UNet2DConditionOptions } from "../../models/mod.ts";
import { misfits, type Scheduler } from "../../schedulers/mod.ts";
import { cat, free, type Tensor } from "../../tensor/mod.ts";
import type { BegunRun } from "../latents/begun.ts";
import type { Controller } from "../latents/control.ts";
import { guidanceEmbedding, isGuided, tellUnguided } from "../latents/guidance.ts";
import {
  decodeLatents,
  denoise,
  type LatentLoop,
  type LatentLoopOptions,
  type LatentOutput,
} from "../latents/loop.ts";
import { type IPAdapterImageOptions, type IPAdapterParts, lookAtImages } from "../ip_adapter.ts";
import { type PerturbedAttentionOptions, perturbedGuidance, perturbedLayers } from "../latents/perturbed.ts";
import { withModels } from "../memory/acquire.ts";
import { prepareColors } from "../previews/fit.ts";
import type { PooledPromptEmbedsOptions, TextEmbeddings, TextOptions } from "../prompts.ts";
import { expectNumber } from "../run_options.ts";
import { cachingOf, type ModelCall, ModelCalls } from "../step_caches/model_calls.ts";
import { embedPrompts, inOneBatch, type PromptEncoder, type PromptOptions } from "./prompts.ts";

/** Options of every Stable Diffusion pipeline, with diffusers' defaults. */
export interface StableDiffusionOptions
  extends LatentLoopOptions, PromptOptions, IPAdapterImageOptions, PerturbedAttentionOptions {
  /** Steps of the scheduler; 50 by default. */
  numInferenceSteps?: number | undefined;
}

/** The parts that draw, of Stable Diffusion of any kind. */
interface UNetParts extends IPAdapterParts {
  readonly vae: Autoencoder;
  readonly unet: UNet2DConditionModel;
  readonly scheduler: Scheduler;
}

/** A run whose prompts are embedded and whose timesteps are set. */
export interface UNetRun extends BegunRun {
  /** Embeddings of the prompts, with guidance after those of the negative ones. */
  readonly embeddings: TextEmbeddings;
  /** The options with their defaults. */
  readonly options: LatentLoopOptions & IPAdapterImageOptions & PerturbedAttentionOptions & {
    guidanceScale: number;
  };
}

/** Checks the options, sets the timesteps and embeds the prompts. */
export async function beginRun(
  parts: UNetParts,
  options: StableDiffusionOptions & PooledPromptEmbedsOptions & TextOptions,
  encoder: PromptEncoder,
  usualScale: number,
): Promise<UNetRun> {
  const { numInferenceSteps = 50, guidanceScale = usualScale, guidanceRescale = 0 } = options;
  expectNumber("guidanceScale", guidanceScale);
  expectNumber("guidanceRescale", guidanceRescale);
  expectAddition(parts.unet, encoder.isPooled);
  const guided = isGuided(guidanceScale, parts.unet);
  tellUnguided(guided, options);
  tellMisfits(parts, options.onNotice);
  parts.scheduler.setTimesteps(numInferenceSteps);
  const embedded = await embedPrompts(parts, options, guided, encoder);
  const B = embedded.cond.states.shape[0]!;
  const embeddings = inOneBatch(embedded);
  const owned = new DisposableStack();
  owned.defer(() => free(embeddings.states, embeddings.pooled));
  return {
    ...{ embeddings, B, guided, owned, options: { ...options, guidanceScale } },
    [Symbol.dispose]: () => owned.dispose(),
  };
}

/** Throws unless the UNet takes the conditions that its family has besides the tokens' states. */
function expectAddition(
  { config: { addition_embed_type: type } }: UNet2DConditionModel,
  isXL: boolean,
): void {
  if (isXL && type !== "text_time") {
    throw new TypeError(
      'Cannot draw with this UNet: expected addition_embed_type "text_time", got none; StableDiffusionPipeline takes ' +
        "such models",
    );
  }
  if (isXL || type === null) return;
  throw new TypeError(
    `Cannot draw with this UNet: expected no addition_embed_type, got "${type}"; StableDiffusionXLPipeline takes ` +
      "such models",
  );
}

/** Opens the ControlNets or T2I-Adapters of a run whose timesteps and size are known. */
export type ControlTask = (
  run: UNetRun,
  timesteps: readonly number[],
  size: readonly [h: number, w: number],
) => Promise<Controller>;

/** The loop that a task draws by; its tensors are owned by the run. */
export interface Drawing extends Pick<LatentLoop, "after"> {
  /** Latents with noise. [B, C, h, w] */
  start: Tensor;
  timesteps: readonly number[];
  /** XL's conditions by sizes: a row a picture; with guidance the negative ones come first. */
  timeIds?: readonly (readonly number[])[] | undefined;
  /** Makes the UNet's input of latents, where it takes more than these. */
  extend?: ((input: Tensor) => Tensor) | undefined;
  /** The ControlNets or T2I-Adapters that add to the UNet. */
  control?: Controller | undefined;
}

/** Changes of a call in which attention is perturbed. */
interface Perturbed {
  readonly perturbedAttention?: readonly string[];
}

/** Arguments of a call of the UNet. */
type UNetCallArgs = [sample: Tensor, t: number, states: Tensor, options: UNet2DConditionOptions];

/** Draws pictures from latents with noise. */
export async function draw(parts: UNetParts, run: UNetRun, drawing: Drawing): Promise<LatentOutput> {
  return await decodeLatents(parts, await takeSteps(parts, run, drawing), run.options);
}

/** The latents behind the last step. All that the run owns is freed, however it ends. */
async function takeSteps(
  parts: UNetParts,
  run: UNetRun,
  { start, timesteps, timeIds = [], extend = (input) => input, after, control }: Drawing,
): Promise<Tensor> {
  const { unet, vae, scheduler } = parts;
  const { embeddings: { states, pooled }, B, guided, options } = run;
  using owned = run.owned;
  const timestepCond = owned.adopt(guidanceEmbedding(options.guidanceScale, B, unet), free);
  const images = await lookAtImages(parts, options, run);
  const half = (x: Tensor) => x.slice(0, guided ? B : 0); // the prompts'
  const both = {
    states,
    addedCond: pooled && { textEmbeds: pooled, timeIds },
    imageAttention: images?.both,
  };
  const alone = {
    states: half(states),
    addedCond: pooled && { textEmbeds: half(pooled), timeIds: timeIds.slice(guided ? B : 0) },
    imageAttention: images?.alone,
  };
  const caching = cachingOf(options.cache, timesteps);
  const perturbedAttention = perturbedLayers(options);
  const calls = (how: "residuals" | "shapes", conditions: typeof both & Perturbed) => {
    const call = (x: Tensor, t: number, step: number): ModelCall<UNetCallArgs> => ({
      x,
      args: () => {
        const residuals = control?.[how]({ input: x, t, step, ...conditions });
        const { states, ...others } = conditions;
        return [extend(x), t, states, { ...others, timestepCond, ...residuals }];
      },
    });
    return new ModelCalls(unet, (input, t, step) => [call(input, t, step)], caching);
  };
  if (options.preview) await prepareColors(parts, options);
  const perturbed = perturbedAttention && { ...alone, perturbedAttention };
  const work = () => {
    calls("shapes", both).rehearse(guided ? cat([start, start]) : start, timesteps[0]!, 0);
    if (perturbed) calls("shapes", perturbed).rehearse(start, timesteps[0]!, 0);
  };
  using model = calls("residuals", both);
  using condModel = calls("residuals", alone);
  using weakModel = perturbed && calls("residuals", perturbed);
  const weaker = weakModel && perturbedGuidance(weakModel, options);
  const loop = { scheduler, vae, guided, model, condModel, weaker, after };
  return await withModels(
    parts,
    [unet, ...control?.models ?? []],
    { ...options, work },
    () => denoise(start, timesteps, loop, options),
  );
}

/** Throws unless the UNet takes only latents; models for inpainting are for the pipeline of that name. */
export function expectPlainUNet({ unet, vae }: UNetParts, inpainting: string): void {
  const { in_channels } = unet.config;
  const { latent_channels } = vae.config;
  if (in_channels === latent_channels) return;
  throw new RangeError(
    `Cannot draw with a UNet of ${in_channels} channels: expected ${latent_channels}, those of the VAE; ` +
      `${inpainting} takes models for inpainting`,
  );
}

/** Says once for a model why a pipeline's scheduler would draw badly with it. */
function tellMisfits({ unet, scheduler }: UNetParts, onNotice: (line: string) => void = console.warn): void {
  for (const line of misfits(scheduler, { flow: false, latents: true })) {
    if (unet.notices.has(line)) continue;
    unet.notices.add(line);
    onNotice(line);
  }
}
