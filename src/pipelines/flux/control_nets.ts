import type { FluxControlNetModel, FluxControlSamples, Positions } from "../../models/mod.ts";
import { expectOfFlux } from "../../models/flux_controlnet/config.ts";
import { sampleBehind } from "../../models/flux_transformer_2d/control.ts";
import { scope, type Tensor } from "../../tensor/mod.ts";
import { type ControlImages, eachOf, readControlImage } from "../latents/control.ts";
import { controlLatents } from "./control.ts";
import type { FluxParts } from "./parts.ts";
import type { FluxRun } from "./run.ts";

/** Options of pipelines of FLUX.1 whose pictures others control; of several ControlNets each may have its own. */
export interface FluxControlNetControlOptions {
  /**
   * The picture that controls, in [0, 1], one for each ControlNet; a list of one ControlNet takes several pictures, which it
   * sees in turn. They are resized to what is drawn. [1 or B, 3, H, W]
   */
  controlImage: ControlImages;
  /** Kinds of the pictures, as its repository numbers them, for ControlNets of several kinds ("union"), and only for them. */
  controlMode?: number | readonly (number | undefined)[] | undefined;
  /** Factor of what a ControlNet adds; 1 by default. */
  controlnetConditioningScale?: number | readonly number[] | undefined;
  /** Part of the steps from which on a ControlNet counts; 0 by default. */
  controlGuidanceStart?: number | readonly number[] | undefined;
  /** Part of the steps up to which a ControlNet counts; 1 by default. */
  controlGuidanceEnd?: number | readonly number[] | undefined;
}

/** The ControlNets among a pipeline's parts. */
export type FluxNets = FluxControlNetModel | readonly FluxControlNetModel[];

/** A ControlNet at work on one picture. */
interface Net {
  readonly model: FluxControlNetModel;
  /** What it sees of its picture: packed latents [B, L, 4 C], or pixels in [-1, 1] [B, 3, H, W]. */
  readonly cond: Tensor;
  readonly mode: number | undefined;
  readonly scale: number;
  readonly start: number;
  readonly end: number;
}

/** What a step's ControlNets read. */
interface StepInput {
  /** Packed latents. [B, L, 4 C] */
  readonly hiddenStates: Tensor;
  readonly encoderHiddenStates: Tensor;
  readonly pooledProjections: Tensor;
  readonly imgIds: Positions;
  readonly txtIds: Positions;
  /** From 0 to 1. */
  readonly timestep: number;
  /** Counted from 0. */
  readonly step: number;
  /** For ControlNets that were taught it. */
  readonly guidance: number;
}

/** What one ControlNet adds. */
interface Added {
  readonly block: readonly Tensor[];
  readonly single: readonly Tensor[];
  readonly repeats: boolean;
}

/** The ControlNets of one run. */
export class FluxControl {
  readonly #nets: readonly Net[];
  readonly #steps: number;
  readonly #counts: { readonly num_layers: number; readonly num_single_layers: number };

  /** For `beginFluxControl`, with the numbers of the transformer's blocks. */
  constructor(
    nets: readonly Net[],
    steps: number,
    counts: { readonly num_layers: number; readonly num_single_layers: number },
  ) {
    [this.#nets, this.#steps, this.#counts] = [nets, steps, counts];
  }

  /** The models, which must be in memory for `samples`. */
  get models(): FluxControlNetModel[] {
    return [...new Set(this.#nets.map(({ model }) => model))];
  }

  /** Tensors to free behind the loop. */
  get owned(): Tensor[] {
    return this.#nets.map(({ cond }) => cond);
  }

  /** What all ControlNets together add in a step, without values where calls are only measured. */
  samples({ step, guidance, hiddenStates, ...input }: StepInput, isMeasured: boolean): FluxControlSamples {
    const added: Added[] = [];
    for (const { model, cond, mode, scale, start, end } of this.#nets) {
      if (step / this.#steps < start || (step + 1) / this.#steps > end) continue;
      const forward = () => {
        const output = model.forward(hiddenStates, cond, {
          ...input,
          guidance: model.config.guidance_embeds ? guidance : undefined,
          controlnetMode: mode,
          conditioningScale: scale,
        });
        const { controlnetBlockSamples: block, controlnetSingleBlockSamples: single } = output;
        added.push({ block, single, repeats: model.seesPixels });
      };
      if (isMeasured) model.measure(forward);
      else forward();
    }
    const [first, ...others] = added;
    if (!first) return {};
    const isAlike = ({ block, single, repeats }: Added) =>
      block.length === first.block.length && single.length === first.single.length &&
      repeats === first.repeats;
    const all = others.every(isAlike) ? added : added.map((one) => this.#spread(one));
    return {
      controlnetBlockSamples: sumOf(all.map(({ block }) => block)),
      controlnetSingleBlockSamples: sumOf(all.map(({ single }) => single)),
      controlnetBlocksRepeat: all[0]!.repeats,
    };
  }

  /** One sample for each block of the transformer: models of different numbers of blocks are added so. */
  #spread({ block, single, repeats }: Added): Added {
    const { num_layers, num_single_layers } = this.#counts;
    const spread = (samples: readonly Tensor[], blocks: number, repeats: boolean) =>
      Array.from(
        { length: samples.length && blocks },
        (_, i) => samples[sampleBehind(i, blocks, samples.length, repeats)]!,
      );
    return {
      block: spread(block, num_layers, repeats),
      single: spread(single, num_single_layers, false),
      repeats: false,
    };
  }
}

/** Sums of the lists that are not empty. */
function sumOf(lists: readonly (readonly Tensor[])[]): readonly Tensor[] {
  const [first = [], ...others] = lists.filter(({ length }) => length > 0);
  return others.reduce((sum, list) => sum.map((x, i) => x.add(list[i]!)), first);
}

/**
 * Checks the pictures and the options, and encodes the pictures for a run of so many steps. Random numbers go to their
 * latents in turn, for each row.
 */
export async function beginFluxControl(
  parts: FluxParts & { readonly controlnet: FluxNets },
  run: FluxRun,
  steps: number,
  options: FluxControlNetControlOptions,
): Promise<FluxControl> {
  const { controlnet, transformer, vae } = parts;
  const { B, size } = run;
  const images = [options.controlImage ?? []].flat() as Tensor[];
  const models = expectNets(controlnet, images.length);
  for (const { config } of models) expectOfFlux(config, transformer.config);
  const count = models.length;
  const scales = eachOf("controlnetConditioningScale", options.controlnetConditioningScale, 1, count);
  const starts = eachOf("controlGuidanceStart", options.controlGuidanceStart, 0, count);
  const ends = eachOf("controlGuidanceEnd", options.controlGuidanceEnd, 1, count);
  const modes = modesOf(models, options.controlMode);
  for (const [i, start] of starts.entries()) expectRange(start, ends[i]!);
  const nets: Net[] = [];
  for (const [i, model] of models.entries()) {
    const controlImage = images[i]!;
    const cond = model.seesPixels
      ? await readPixels(controlImage, run, vae.scaleFactor)
      : await controlLatents(parts, { B, size }, { ...run.options, controlImage });
    nets.push({ model, cond, mode: modes[i], scale: scales[i]!, start: starts[i]!, end: ends[i]! });
  }
  return new FluxControl(nets, steps, transformer.config);
}

/** The ControlNet for each of so many pictures; a list of one is for all. */
function expectNets(controlnet: FluxNets | undefined, images: number): FluxControlNetModel[] {
  const nets = [controlnet ?? []].flat() as FluxControlNetModel[];
  if (nets.length === 0) {
    throw new TypeError("Cannot control: expected a ControlNet among the parts, got none");
  }
  if (images === nets.length) return nets;
  if (images > 0 && nets.length === 1 && Array.isArray(controlnet)) return new Array(images).fill(nets[0]);
  throw new RangeError(
    `Cannot control by ${images} pictures: expected ${nets.length}, one for each ControlNet; ` +
      "pictures of one ControlNet are rows of one tensor, or it is a list of one",
  );
}

/** The kind of picture for each ControlNet; those of one kind have none. */
function modesOf(
  models: readonly FluxControlNetModel[],
  given: FluxControlNetControlOptions["controlMode"],
): (number | undefined)[] {
  const unions = models.filter(({ config }) => config.num_mode !== undefined);
  if (given !== undefined && unions.length === 0) {
    throw new TypeError(
      "Cannot control with controlMode: this ControlNet is for one kind of pictures; leave it out",
    );
  }
  const isList = typeof given === "object";
  if (isList && given.length !== models.length) {
    throw new RangeError(
      `Cannot control with ${given.length} values of controlMode: expected one, or ${models.length}, one for each picture`,
    );
  }
  return models.map(({ config: { num_mode: count } }, i) => {
    const mode = isList ? given[i] : given;
    if (count === undefined) return undefined;
    if (mode !== undefined && Number.isInteger(mode) && mode >= 0 && mode < count) return mode;
    throw new RangeError(
      `Cannot control with controlMode ${mode ?? "left out"}: expected a whole number from 0 to ${
        count - 1
      }, the kind of the picture; see the ControlNet's page`,
    );
  });
}

function expectRange(start: number, end: number): void {
  if (0 <= start && start < end && end <= 1) return;
  throw new RangeError(
    `Cannot control from ${start} to ${end}: expected parts of the steps from 0 to 1, the first one less; ` +
      "see controlGuidanceStart and controlGuidanceEnd",
  );
}

/** Pixels in [-1, 1], a row for each picture that is drawn. [B, 3, H, W] */
async function readPixels(image: Tensor, { B, size: [h, w] }: FluxRun, f: number): Promise<Tensor> {
  const picture = await readControlImage(image, B, [f * h, f * w], 3);
  using made = scope(picture);
  return made.keep(picture.mul(2).sub(1).expand([B, ...picture.shape.slice(1)]).clone());
}
