import type { FluxControlNetModel } from "../../models/mod.ts";
import { expectOfFlux } from "../../models/flux_controlnet/config.ts";
import { free, scope, type Tensor } from "../../tensor/mod.ts";
import { type ControlImages, eachOf, readControlImage } from "../latents/control.ts";
import { controlLatents } from "./control.ts";
import { FluxControl, type FluxNet } from "./control_nets.ts";
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
type FluxNets = FluxControlNetModel | readonly FluxControlNetModel[];

/**
 * Checks the pictures and the options, and encodes the pictures for a run of so many steps, which owns them. Random numbers go to their
 * latents in turn, for each row.
 */
export async function beginFluxControl(
  parts: FluxParts & { readonly controlnet: FluxNets },
  run: FluxRun,
  steps: number,
  options: FluxControlNetControlOptions,
): Promise<FluxControl> {
  const { controlnet, transformer, vae } = parts;
  const images = [options.controlImage ?? []].flat() as Tensor[];
  const models = expectNets(controlnet, images.length);
  for (const { config } of models) expectOfFlux(config, transformer.config);
  const count = models.length;
  const scales = eachOf("controlnetConditioningScale", options.controlnetConditioningScale, 1, count);
  const starts = eachOf("controlGuidanceStart", options.controlGuidanceStart, 0, count);
  const ends = eachOf("controlGuidanceEnd", options.controlGuidanceEnd, 1, count);
  const modes = modesOf(models, options.controlMode);
  for (const [i, start] of starts.entries()) expectRange(start, ends[i]!);
  const nets: FluxNet[] = [];
  for (const [i, model] of models.entries()) {
    const controlImage = images[i]!;
    const cond = model.seesPixels
      ? await readPixels(controlImage, run, vae.scaleFactor)
      : await controlLatents(parts, run, { ...run.options, controlImage });
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

/** The kind of picture for each ControlNet; those of one kind have none. Throws for kinds that they do not know. */
export function modesOf(
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

/** Pixels in [-1, 1], a row for each picture that is drawn; the run's. [B, 3, H, W] */
async function readPixels(image: Tensor, { B, size: [h, w], owned }: FluxRun, f: number): Promise<Tensor> {
  const picture = await readControlImage(image, B, [f * h, f * w], 3);
  using made = scope(picture);
  return owned.adopt(made.keep(picture.mul(2).sub(1).expand([B, ...picture.shape.slice(1)]).clone()), free);
}
