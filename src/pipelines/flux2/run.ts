import { formatShape, sameNumbers } from "../../core/shape.ts";
import { firstNoise } from "../../random/mod.ts";
import { cat, free, scope, type Tensor } from "../../tensor/mod.ts";
import { type FlowStepsOptions, setFlowTimesteps, sigmasOf } from "../latents/flow.ts";
import { decodeLatents, denoise, type LatentLoopOptions } from "../latents/loop.ts";
import { unpackLatents } from "../latents/packing.ts";
import { skipLayerGuidance, type SkipLayerGuidanceOptions, skippedLayers } from "../latents/skipped.ts";
import { withModels } from "../memory/acquire.ts";
import { prepareColors } from "../previews/fit.ts";
import type { PipelineOutput, RunOptions } from "../run.ts";
import { expectNumber } from "../run_options.ts";
import { latentSide, type SizeOptions } from "../size.ts";
import { cachingOf } from "../step_caches/model_calls.ts";
import { Flux2Denoiser, type Flux2Embeddings } from "./denoiser.ts";
import type { Flux2Parts } from "./parts.ts";
import { encodeReferences, readReference } from "./references.ts";

/** Guidance scale of all pipelines, where nothing is said. */
export const SCALE = 4;
/** Steps of models that were not distilled to few. */
export const STEPS = 50;

/** Options of every FLUX.2 pipeline, with diffusers' defaults. Sides are those of the first reference, else 1024 pixels. */
export interface Flux2Options
  extends
    RunOptions,
    FlowStepsOptions,
    SizeOptions,
    SkipLayerGuidanceOptions,
    Pick<LatentLoopOptions, "cache" | "generator" | "outputType"> {
  /** Pictures that the prompt is about, in [0, 1]: one, or a list of any sizes. [1, 3, H, W] each */
  image?: Tensor | readonly Tensor[] | undefined;
  /** Noise to begin with, packed as in `Flux2Output`. [B, H / 16 · W / 16, 4 C] */
  latents?: Tensor | undefined;
  /** Told in one line what has no effect, and what was done for lack of memory; console.warn by default. */
  onNotice?: ((line: string) => void) | undefined;
}

/** The result of FLUX.2's pipelines. */
export interface Flux2Output extends PipelineOutput {
  /** Latents that the pictures were decoded from, packed; `unpackLatents` brings them back. [B, H / 16 · W / 16, 4 C] */
  latents: Tensor;
}

/**
 * The shift of noise levels for a picture of L tokens in N steps, as Black Forest Labs measured it: above 4300 tokens a line in
 * L; else in N the line through another one in L at 10 steps and that one at 200.
 */
export function empiricalMu(L: number, N: number): number {
  const at200 = 0.00016927 * L + 0.45666666;
  if (L > 4300) return at200;
  const at10 = 8.73809524e-5 * L + 1.89833333;
  const slope = (at200 - at10) / 190;
  return slope * N + (at200 - 200 * slope);
}

/** Options that pipelines have beyond those of all, or whose defaults differ between them. */
interface OwnOptions extends Pick<LatentLoopOptions, "guidance" | "guidanceInterval" | "guidanceRescale"> {
  /** Weight of the prompts against the negative ones, or what the model was taught. */
  guidanceScale: number;
  /** Steps where neither these nor noise levels are given. */
  usualSteps: number;
}

/** Checks the options, sets the timesteps, embeds the prompts by `embed`, encodes the references, and draws. */
export async function runFlux2(
  parts: Flux2Parts,
  options: Flux2Options & OwnOptions,
  embed: () => Promise<Flux2Embeddings>,
): Promise<Flux2Output> {
  const { transformer, vae, scheduler } = parts;
  const { guidanceScale, usualSteps, signal, onNotice } = options;
  expectNumber("guidanceScale", guidanceScale);
  expectChannels(parts);
  const pictures = await Promise.all(
    [options.image ?? []].flat().map((image: Tensor) => readReference(image, 2 * vae.scaleFactor)),
  );
  using made = new DisposableStack(); // what is freed, however the run ends
  made.defer(() => free(...pictures));
  const size = tokensOf(parts, options, pictures[0]);
  const sigmas = sigmasOf(options, usualSteps);
  setFlowTimesteps(scheduler, sigmas, () => empiricalMu(size[0] * size[1], sigmas.length));
  const embeddings = await embed();
  made.defer(() => free(embeddings.cond, embeddings.uncond));
  const encode = { signal, onNotice, work: () => encodeReferences(vae, pictures) };
  const references = pictures.length === 0
    ? undefined
    : await withModels(parts, [vae], encode, () => encodeReferences(vae, pictures));
  made.defer(() => free(references?.tokens));
  free(...pictures); // early, as they may be large
  if (options.preview) await prepareColors(parts, options);

  const caching = cachingOf(options.cache, scheduler.timesteps);
  using denoiser = new Flux2Denoiser(transformer, embeddings, {
    ...{ size, guidanceScale, references, caching },
    skipLayers: skippedLayers(options),
  });
  const start = startOf(parts, options, embeddings.cond.shape[0]!, size);
  made.defer(() => free(start));
  const guided = embeddings.uncond !== undefined;
  const unpack = (latents: Tensor) => unpackLatents(latents, [2 * size[0], 2 * size[1]]);
  const [t] = scheduler.timesteps;
  const { model, condModel, weakModel } = denoiser;
  const work = () => {
    model.rehearse(guided ? cat([start, start]) : start, t!, 0);
    weakModel?.rehearse(start, t!, 0);
  };
  const weaker = weakModel && skipLayerGuidance(weakModel, options, scheduler.timesteps.length);
  const loop = { scheduler, vae, guided, model, condModel, weaker, unpack };
  const latents = await withModels(
    parts,
    [transformer],
    { signal, onNotice, work },
    () => denoise(start, scheduler.timesteps, loop, options),
  );
  return await decodeLatents(parts, latents, options, unpack);
}

/** Tokens on the sides of the picture: as the options say, else as the first reference has. */
function tokensOf(
  { vae }: Flux2Parts,
  { height, width }: SizeOptions,
  first: Tensor | undefined,
): [h: number, w: number] {
  const side = 2 * vae.scaleFactor; // pixels of a token
  const [H, W] = first ? first.shape.slice(2) as [number, number] : [64 * side, 64 * side];
  return [latentSide("height", height ?? H, side), latentSide("width", width ?? W, side)];
}

/** Latents to begin the loop with: a copy of given ones, if they fit, else noise, which is drawn in patches. */
function startOf(
  { scheduler, transformer }: Flux2Parts,
  { latents, generator }: Flux2Options,
  B: number,
  size: readonly [h: number, w: number],
): Tensor {
  const [L, width] = [size[0] * size[1], transformer.config.in_channels];
  if (latents && !sameNumbers(latents.shape, [B, L, width])) {
    throw new RangeError(
      `Cannot draw: expected latents ${formatShape([B, L, width])}, packed as in the result, got ${
        formatShape(latents.shape)
      }`,
    );
  }
  if (latents) return latents.clone();
  using made = scope();
  const noise = firstNoise([B, width, ...size], { generator });
  return made.keep(noise.reshape([B, width, L]).permute([0, 2, 1]).mul(scheduler.initNoiseSigma));
}

/** Throws unless transformer and autoencoder are of one family. */
function expectChannels({ transformer, vae }: Flux2Parts): void {
  const { in_channels, out_channels, patch_size } = transformer.config;
  const width = 4 * vae.config.latent_channels;
  const outputs = (out_channels ?? in_channels) * patch_size ** 2;
  if (in_channels === width && outputs === width) return;
  throw new RangeError(
    `Cannot draw with a transformer from ${in_channels} channels to ${outputs}: expected ${width}, those of 2×2 latents`,
  );
}
