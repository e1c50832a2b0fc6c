import type { Autoencoder, DecodeCheckedOptions } from "../../models/mod.ts";
import type { RandomOptions } from "../../random/mod.ts";
import { DDIMScheduler, type Scheduler, type StepOptions, TCDScheduler } from "../../schedulers/mod.ts";
import { cat, free, scope, type Tensor } from "../../tensor/mod.ts";
import { rescaled } from "./guidance.ts";
import type { Guidance, Guide } from "./guiders.ts";
import { type PipelineOutput, type RunOptions, runSteps } from "../run.ts";
import { PreviewDecoder } from "../previews/decoder.ts";
import { preview, previewPixels, Previews } from "../previews/previews.ts";
import { acquireModels, type Residents } from "../memory/acquire.ts";
import { expectNumber } from "../run_options.ts";
import type { StepCache } from "../step_caches/step_cache.ts";

/** Options of a loop in latent space. */
export interface LatentLoopOptions extends RunOptions {
  /** Weight of the prompt against the negative one: 1 and less switches guidance off. */
  guidanceScale?: number | undefined;
  /** Share, 0 to 1, by which the spread of guided predictions is reduced to that of the prompt's. */
  guidanceRescale?: number | undefined;
  /** Combines the two predictions of a step otherwise than plain guidance does, e.g. `apg({ eta: 0 })`. */
  guidance?: Guidance | undefined;
  /**
   * Parts of the steps, 0 to 1, between which there is guidance; [0, 1] by default. Outside a UNet runs on the
   * prompt alone, in half the time.
   */
  guidanceInterval?: readonly [start: number, stop: number] | undefined;
  /** Leaves the model out at steps where it would change little, e.g. `firstBlockCache({ threshold: 0.1 })`. */
  cache?: StepCache | undefined;
  /** Source of all noise; without one each run draws other pictures. */
  generator?: RandomOptions["generator"] | undefined;
  /** Noise added in each step of DDIM and TCD. Other schedulers are refused, but for 0. */
  eta?: number | undefined;
  /** "latent" skips the decoder: the pictures are the latents. */
  outputType?: "latent" | undefined;
}

/** The result of pipelines in latent space. */
export interface LatentOutput extends PipelineOutput {
  /** Latents that the pictures were decoded from. [B, C, H / 8, W / 8] */
  latents: Tensor;
}

/** A model as a loop calls it, see `ModelCalls`. */
export interface LoopModel {
  /** The prediction for an input at timestep `t`, that of the step of this number. */
  predict(input: Tensor, t: number, step: number): Tensor;
  /** True if `ahead` is to be awaited before each `predict`. */
  readonly isCached?: boolean;
  /** Lets a step cache decide about the same call. It records at once, then waits. */
  ahead?(input: Tensor, t: number, step: number): Promise<void>;
}

/** Guidance away from what a worse version of the model predicts. */
export interface Weaker {
  readonly model: LoopModel;
  /** Its weight at a step; 0 at those at which it does not run. */
  scaleAt(t: number, step: number): number;
  /**
   * The prediction to go on with, of that so far, the model's on the prompt and the worse one, at a step with guidance by a
   * negative prompt or without. [B, ...] each
   */
  combine(prediction: Tensor, cond: Tensor, weak: Tensor, scale: number, guides: boolean): Tensor;
}

/** The parts and functions that a loop calls. */
export interface LatentLoop {
  readonly scheduler: Scheduler;
  /** Decodes the latents: for previews. */
  readonly vae: Autoencoder;
  /** The model runs on the negative prompt too. */
  readonly guided: boolean;
  /** The model; under guidance its input holds the latents twice, the unconditional half first. */
  readonly model: LoopModel;
  /** The model on the prompt alone, for steps without guidance; without it `model` serves them too. */
  readonly condModel?: LoopModel | undefined;
  /** The model made worse, on the prompt alone, from which predictions are led away. */
  readonly weaker?: Weaker | undefined;
  /** False at timesteps without guidance; by default all have it. */
  readonly guides?: ((t: number) => boolean) | undefined;
  /** Changes the latents after each step, counted from 0. */
  readonly after?: ((latents: Tensor, step: number) => Tensor) | undefined;
  /** Latents as [B, C, h, w], for previews, where the loop has them in another form. */
  readonly unpack?: ((latents: Tensor) => Tensor) | undefined;
}

interface LoopOptions extends LatentLoopOptions {
  guidanceScale: number;
  /** Told in one line what was done for lack of memory; console.warn by default. */
  onNotice?: ((line: string) => void) | undefined;
}

/** Takes latents through the timesteps. Memory is that of two steps, however many there are. */
export async function denoise(
  start: Tensor,
  timesteps: readonly number[],
  loop: LatentLoop,
  options: LoopOptions,
): Promise<Tensor> {
  const { scheduler, vae, after, unpack = (latents) => latents } = loop;
  const { generator, eta } = options;
  if (eta !== undefined) expectEta(eta, scheduler);
  const stepOptions: StepOptions & { eta?: number | undefined } = {
    generator,
    eta: takesEta(scheduler) ? eta : undefined,
  };
  using decoder = await previewDecoder(start, unpack, options);
  const picture = (x0: Tensor) => decoder ? previewPixels(decoder.decode(x0)) : preview(x0, vae);
  const previews = new Previews(options.preview, picture);
  using predictor = new Predictor(loop, timesteps.length, options);
  const step = (latents: Tensor, t: number, number: number, ends: boolean) => {
    using step = scope(latents);
    const noisePred = predictor.predict(latents, t, number);
    const output = scheduler.step(noisePred, t, latents, stepOptions);
    previews.offer(number, timesteps.length, () => unpack(output.predOriginalSample));
    const next = ends ? output.predOriginalSample : output.prevSample;
    return step.keep(after ? after(next, ends ? timesteps.length - 1 : number) : next);
  };
  const ahead = (latents: Tensor, t: number, number: number) => predictor.ahead(latents, t, number);
  return await runSteps(
    start,
    timesteps,
    scheduler,
    options,
    step,
    previews,
    options.cache && ahead,
  );
}

/** Decoder of a run's previews, where they have an autoencoder of their own. */
async function previewDecoder(
  start: Tensor,
  unpack: (latents: Tensor) => Tensor,
  { preview, signal, onNotice }: LoopOptions,
): Promise<PreviewDecoder | undefined> {
  if (!preview?.vae) return undefined;
  const unpacked = unpack(start);
  const { shape } = unpacked;
  if (unpacked.node !== start.node) free(unpacked);
  return await PreviewDecoder.open(preview, shape, { signal, onNotice });
}

/** Predicts by a model, and guides it, at each step of a run. */
class Predictor implements Disposable {
  readonly #loop: LatentLoop;
  readonly #options: LatentLoopOptions & { guidanceScale: number };
  readonly #guide: Guide | undefined;
  /** Numbers of the first step with guidance, and of the first behind them. */
  readonly #interval: readonly [first: number, end: number];

  constructor(loop: LatentLoop, steps: number, options: LatentLoopOptions & { guidanceScale: number }) {
    const { guidance, guidanceInterval: [start, stop] = [0, 1] } = options;
    if (!(0 <= start && start <= stop && stop <= 1)) {
      throw new RangeError(
        `Cannot guide in the interval [${start}, ${stop}]: expected two parts of the steps from 0 to 1, in order`,
      );
    }
    if (guidance?.remembers && options.recover) {
      throw new TypeError(
        "Cannot recover a run whose guidance remembers the steps before: leave out recover, or its momentum",
      );
    }
    if (options.cache && options.recover) {
      throw new TypeError(
        "Cannot recover a run whose cache remembers the steps before: leave out recover, or cache",
      );
    }
    this.#loop = loop;
    this.#options = options;
    this.#guide = guidance?.begin();
    this.#interval = [Math.trunc(start * steps), Math.trunc(stop * steps)]; // as diffusers' guiders count
  }

  /** Lets the step cache decide whether the model runs at a step. */
  ahead(latents: Tensor, t: number, step: number): Promise<void> | undefined {
    using _made = scope();
    const { model, both } = this.#callAt(t, step);
    if (!model.isCached) return undefined;
    const waits = [model.ahead!(this.#inputOf(latents, t, both), t, step)];
    const weaker = this.#weakerAt(t, step);
    if (weaker) waits.push(weaker.model.ahead!(this.#inputOf(latents, t, false), t, step));
    return Promise.all(waits).then(() => {});
  }

  /** The prediction for latents at timestep `t`, that of the step of this number. */
  predict(latents: Tensor, t: number, step: number): Tensor {
    const { guidanceScale, guidanceRescale = 0 } = this.#options;
    const { model, both: isBoth, guides: guidesHere } = this.#callAt(t, step);
    const both = model.predict(this.#inputOf(latents, t, isBoth), t, step);
    const [uncond, cond] = isBoth ? both.chunk(2) : [both, both];
    const guides = isBoth && guidesHere;
    let prediction = cond;
    if (guides) {
      prediction = this.#guide?.combine(cond, uncond, guidanceScale, step) ??
        uncond.lerp(cond, guidanceScale); // uncond + scale · (cond − uncond)
    }
    const weaker = this.#weakerAt(t, step);
    if (weaker) {
      const weak = weaker.model.predict(this.#inputOf(latents, t, false), t, step);
      prediction = weaker.combine(prediction, cond, weak, weaker.scaleAt(t, step), guides);
    }
    return guides && guidanceRescale !== 0 ? rescaled(prediction, cond, guidanceRescale) : prediction;
  }

  #weakerAt(t: number, step: number): Weaker | undefined {
    const { weaker } = this.#loop;
    return weaker && weaker.scaleAt(t, step) !== 0 ? weaker : undefined;
  }

  /** The model that a step calls, if it calls it with both halves, and if it is guided. */
  #callAt(t: number, step: number): { model: LoopModel; both: boolean; guides: boolean } {
    const { guided, model, condModel, guides: guidesAt } = this.#loop;
    const guides = this.#interval[0] <= step && step < this.#interval[1] && (guidesAt?.(t) ?? true);
    if (guided && !guides && condModel) return { model: condModel, both: false, guides };
    return { model, both: guided, guides };
  }

  #inputOf(latents: Tensor, t: number, both: boolean): Tensor {
    return this.#loop.scheduler.scaleModelInput(both ? cat([latents, latents]) : latents, t);
  }

  [Symbol.dispose](): void {
    this.#guide?.[Symbol.dispose]();
  }
}

function takesEta(scheduler: Scheduler): boolean {
  return scheduler instanceof DDIMScheduler || scheduler instanceof TCDScheduler;
}

function expectEta(eta: number, scheduler: Scheduler): void {
  expectNumber("eta", eta);
  if (eta === 0 || takesEta(scheduler)) return;
  throw new TypeError(
    `Cannot draw with eta ${eta} and ${scheduler.constructor.name}: it is for DDIMScheduler and TCDScheduler`,
  );
}

/**
 * The pictures of latents, in [0, 1], unless only the latents are wanted; `unpack` makes them [B, C, h, w]. Where it
 * fails, the latents are freed.
 */
export async function decodeLatents(
  parts: Residents & { vae: Autoencoder },
  latents: Tensor,
  options: DecodeCheckedOptions & Pick<LatentLoopOptions, "outputType" | "signal">,
  unpack: (latents: Tensor) => Tensor = (latents) => latents,
): Promise<LatentOutput> {
  if (options.outputType === "latent") return { images: latents, latents };
  const { vae } = parts;
  const unpacked = unpack(latents);
  using owned = new DisposableStack();
  if (unpacked.node !== latents.node) owned.defer(() => free(unpacked));
  try {
    const tiles = new DecodeTiles(vae, unpacked, options);
    const work = () => vae.decode(vae.unscaleLatents(unpacked), { tile: tiles.tile });
    using _vae = await acquireModels(parts, [vae], { ...options, work, smaller: () => tiles.shrink() });
    const z = vae.unscaleLatents(unpacked);
    owned.defer(() => free(z));
    const { sample } = await vae.decodeChecked(z, { ...options, ...tiles });
    using made = scope(sample);
    return { images: made.keep(sample.div(2).add(0.5).clamp(0, 1)), latents }; // [-1, 1] to [0, 1]
  } catch (error) {
    free(latents);
    throw error;
  }
}

/** In which tiles latents are decoded: in none, until there turns out to be no room for the whole. */
class DecodeTiles {
  tile: number | undefined;
  readonly #least: number | undefined;
  readonly #side: number;
  readonly #onNotice: (line: string) => void;

  constructor(
    vae: Autoencoder,
    { shape }: Tensor,
    { tile, onNotice = console.warn }: DecodeCheckedOptions,
  ) {
    this.tile = tile;
    this.#least = vae.smallestTile;
    this.#side = vae.scaleFactor * Math.max(...shape.slice(2));
    this.#onNotice = onNotice;
  }

  /** Half the side; false where tiles become too small to see what is around them. */
  shrink(): boolean {
    if (this.#least === undefined) return false;
    const side = Math.floor(Math.min(this.tile ?? Infinity, this.#side) / 2 / this.#least) * this.#least;
    if (side < 4 * this.#least) return false;
    this.tile = side;
    this.#onNotice(
      `The picture is decoded in tiles of ${side} pixels, as the GPU has no room for all of it: seams may show`,
    );
    return true;
  }
}
