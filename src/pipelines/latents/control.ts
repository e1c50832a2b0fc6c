import { formatShape } from "../../core/shape.ts";
import { resizeImage } from "../../io/images/resize.ts";
import type { AddedCond, ControlNetModel, Model, UNet2DConditionModel } from "../../models/mod.ts";
import { cat, free, scope, type Tensor, zerosLike } from "../../tensor/mod.ts";
import type { Residents } from "../memory/acquire.ts";
import { expectNumber } from "../run_options.ts";
import type { BegunRun } from "./begun.ts";
import { fractionsOf } from "./init_image.ts";

/** Options of pipelines whose pictures others control; of several ControlNets each may have its own. */
export interface ControlOptions {
  /** Factor of what a ControlNet adds; 1 by default, and 0.8 for img2img. */
  controlnetConditioningScale?: number | readonly number[] | undefined;
  /** Part of the steps from which on a ControlNet counts; 0 by default. */
  controlGuidanceStart?: number | readonly number[] | undefined;
  /** Part of the steps up to which a ControlNet counts; 1 by default. */
  controlGuidanceEnd?: number | readonly number[] | undefined;
  /** Ratio of the factor of each of a ControlNet's residuals to that of the next, deeper one; 1 by default. */
  controlDecay?: number | readonly number[] | undefined;
  /** True where a ControlNet counts for the prompt's half alone; false by default. */
  controlPromptOnly?: boolean | readonly boolean[] | undefined;
  /** ControlNets count for the prompt's half alone, and more the deeper they reach: for prompts that say nothing. */
  guessMode?: boolean | undefined;
}

/** A pipeline's ControlNets. */
export interface ControlParts extends Residents {
  /** Several see a picture each, and their residuals are added. */
  controlnet: ControlNetModel | readonly ControlNetModel[];
}

/** The pictures that control: one, or one for each ControlNet. Each is for all rows, or has one for each. */
export type ControlImages = Tensor | readonly Tensor[];

/** Inputs of a step, which the UNet and its ControlNets read. */
export interface StepInput {
  /** The latents, twice under guidance. [rows, C, h, w] */
  readonly input: Tensor;
  readonly t: number;
  /** Counted from 0. */
  readonly step: number;
  /** [rows, tokens, D] */
  readonly states: Tensor;
  readonly addedCond?: AddedCond | undefined;
}

/** Features that ControlNets or T2I-Adapters add to a UNet. */
export interface Residuals {
  readonly downBlockAdditionalResiduals?: readonly Tensor[] | undefined;
  readonly midBlockAdditionalResidual?: Tensor | undefined;
  readonly downIntrablockAdditionalResiduals?: readonly Tensor[] | undefined;
}

/** ControlNets or T2I-Adapters that add to the UNet in each step of a run. */
export interface Controller {
  /** The models that must be in memory for `residuals`. */
  readonly models: readonly Model[];
  /** Features to add in a step. */
  residuals(step: StepInput): Residuals;
  /** The same without values, for calls that are only measured. */
  shapes(step: StepInput): Residuals;
}

/** A ControlNet at work in a run. */
interface Net {
  readonly model: ControlNetModel;
  /** For all rows, or one for each picture that is drawn. [1 or B, C, H, W] */
  readonly picture: Tensor;
  /** The same for both halves of the rows under guidance. [1 or 2 B, C, H, W] */
  readonly pictures: Tensor;
  readonly scale: number;
  readonly start: number;
  readonly end: number;
  readonly decay: number;
  /** It runs on the prompt's half of the rows, and adds nothing to the other. */
  readonly promptOnly: boolean;
}

/** The ControlNets of one run. */
export class Control implements Controller {
  readonly #nets: readonly Net[];
  readonly #guesses: boolean;
  /** Pictures that are drawn. */
  readonly #B: number;
  readonly #steps: number;

  /** Made by `beginControl`. */
  constructor(nets: readonly Net[], { guesses, B, steps }: { guesses: boolean; B: number; steps: number }) {
    this.#nets = nets;
    this.#guesses = guesses;
    this.#B = B;
    this.#steps = steps;
  }

  /** The models, which must be in memory for `residuals`. */
  get models(): ControlNetModel[] {
    return this.#nets.map(({ model }) => model);
  }

  /** The sum of what all ControlNets add in a step. */
  residuals(step: StepInput): Residuals {
    return this.#sum(step, (_model, forward) => forward());
  }

  /** The same without values, for calls that are only measured. */
  shapes(step: StepInput): Residuals {
    return this.#sum(step, (model, forward) => {
      let residuals: Tensor[] = [];
      model.measure(() => (residuals = forward()));
      return residuals;
    });
  }

  #sum(
    { input, t, step, states, addedCond }: StepInput,
    run: (model: ControlNetModel, forward: () => Tensor[]) => Tensor[],
  ): Residuals {
    const [rows, B] = [input.shape[0]!, this.#B];
    const guessMode = this.#guesses;
    let sum: Tensor[] | undefined;
    for (const { model, picture, pictures, scale, start, end, decay, promptOnly } of this.#nets) {
      if (step / this.#steps < start || (step + 1) / this.#steps > end || scale === 0) continue;
      const isHalf = promptOnly && rows > B;
      const half = (x: Tensor) => isHalf ? x.slice(0, B) : x;
      const added = addedCond && {
        textEmbeds: half(addedCond.textEmbeds),
        timeIds: isHalf ? (addedCond.timeIds as number[][]).slice(B) : addedCond.timeIds,
      };
      const cond = rows > B && !isHalf ? pictures : picture;
      const own = run(model, () => {
        const options = { conditioningScale: scale, decay, guessMode, addedCond: added };
        const output = model.forward(half(input), t, half(states), cond, options);
        return [...output.downBlockResSamples, output.midBlockResSample];
      });
      const residuals = isHalf ? own.map((x) => cat([zerosLike(x), x])) : own;
      sum = sum ? sum.map((x, i) => x.add(residuals[i]!)) : residuals;
    }
    if (!sum) return {};
    return { downBlockAdditionalResiduals: sum.slice(0, -1), midBlockAdditionalResidual: sum.at(-1) };
  }
}

/** Checks the pictures in [0, 1] and the options of a run of H × W pixels in so many steps, which owns what is made of them. */
export async function beginControl(
  { controlnet, unet }: ControlParts & { readonly unet: UNet2DConditionModel },
  images: ControlImages,
  options: ControlOptions,
  { run: { B, guided, owned }, steps, size: [H, W] }: {
    run: BegunRun;
    steps: number;
    size: readonly [H: number, W: number];
  },
): Promise<Control> {
  const models = [controlnet ?? []].flat();
  if (models.length === 0) {
    throw new TypeError("Cannot control: expected a ControlNet among the parts, got none");
  }
  for (const model of models) expectNetOfUNet(model, unet);
  const pictures = expectImages(images, models.length);
  const each = (name: Exclude<keyof ControlOptions, "guessMode" | "controlPromptOnly">, usual: number) =>
    eachOf(name, options[name], usual, models.length);
  const decays = each("controlDecay", 1);
  const guesses = options.guessMode === true || models[0]!.config.global_pool_conditions;
  const onlyPrompt = promptOnlyOf(options, models.length);
  const scales = each("controlnetConditioningScale", 1);
  const [starts, ends] = [each("controlGuidanceStart", 0), each("controlGuidanceEnd", 1)];
  const nets: Net[] = [];
  for (const [i, model] of models.entries()) {
    const [start, end] = [starts[i]!, ends[i]!];
    if (!(0 <= start && start < end && end <= 1)) {
      throw new RangeError(
        `Cannot control from ${start} to ${end}: expected parts of the steps from 0 to 1, the first one less; ` +
          "see controlGuidanceStart and controlGuidanceEnd",
      );
    }
    const picture = await readControlImage(pictures[i]!, B, [H, W], model.config.conditioning_channels);
    using made = scope(picture);
    const twice = guided && picture.shape[0] !== 1 ? cat([picture, picture]) : picture;
    for (const own of [picture, twice]) owned.adopt(made.keep(own), free);
    nets.push({
      model,
      picture,
      pictures: twice,
      scale: scales[i]!,
      start,
      end,
      decay: decays[i]!,
      promptOnly: guesses || onlyPrompt[i]!,
    });
  }
  return new Control(nets, { guesses, B, steps });
}

function promptOnlyOf({ controlPromptOnly: given = false }: ControlOptions, count: number): boolean[] {
  const values = typeof given === "boolean" ? new Array<boolean>(count).fill(given) : [given].flat();
  if (values.length === count && values.every((value) => typeof value === "boolean")) return values;
  throw new RangeError(
    `Cannot control with controlPromptOnly ${given}: expected true or false, or ${count}, one for each ControlNet`,
  );
}

/** The first of the pictures that control, whose size is drawn where nothing else is said. */
export function firstImage(images: ControlImages): Tensor {
  return [images].flat()[0] as Tensor;
}

/** Throws unless a ControlNet was made for models of this kind. */
export function expectNetOfUNet({ config }: ControlNetModel, unet: UNet2DConditionModel): void {
  for (const key of ["block_out_channels", "cross_attention_dim", "addition_embed_type"] as const) {
    const [got, expected] = [JSON.stringify(config[key]), JSON.stringify(unet.config[key])];
    if (got === expected) continue;
    throw new TypeError(
      `Cannot control by this ControlNet: expected ${key} ${expected}, as the UNet has, got ${got}; it is for another model`,
    );
  }
}

function expectImages(images: ControlImages, count: number): readonly Tensor[] {
  const list = [images ?? []].flat() as Tensor[];
  if (list.length === count) return list;
  throw new RangeError(
    `Cannot control by ${list.length} pictures: expected ${count}, one for each ControlNet; ` +
      "pictures of one ControlNet are rows of one tensor",
  );
}

/** A value of an option for each of several nets. */
export function eachOf(
  name: string,
  given: number | readonly number[] | undefined,
  usual: number,
  count: number,
): number[] {
  const value = given ?? usual;
  const values = typeof value === "number" ? new Array<number>(count).fill(value) : [...value];
  if (values.length !== count) {
    throw new RangeError(
      `Cannot control with ${values.length} values of ${name}: expected one, or ${count}, one for each net`,
    );
  }
  for (const value of values) expectNumber(name, value);
  return values;
}

/** A picture that controls, resized by Lanczos to the size that is drawn, as diffusers does with pictures of PIL. A copy. */
export async function readControlImage(
  image: Tensor,
  B: number,
  [H, W]: readonly [H: number, W: number],
  C: number,
): Promise<Tensor> {
  const { shape } = image;
  if (shape.length !== 4 || (shape[0] !== 1 && shape[0] !== B) || shape[1] !== C) {
    throw new RangeError(
      `Cannot control by a picture: expected [${B === 1 ? 1 : `1 or ${B}`}, ${C}, H, W], got ${
        formatShape(shape)
      }`,
    );
  }
  await fractionsOf("a picture that controls", image);
  return shape[2] === H && shape[3] === W ? image.clone() : await resizeImage(image, [H, W]);
}
