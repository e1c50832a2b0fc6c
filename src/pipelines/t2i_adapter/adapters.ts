import { imagesOf, imageTensor } from "../../io/images/tensors.ts";
import { type Image, inMode } from "../../io/images/image.ts";
import type { T2IAdapter, UNet2DConditionModel } from "../../models/mod.ts";
import { levelsOf } from "../../models/t2i_adapter/config.ts";
import { cat, free, scope, type Tensor } from "../../tensor/mod.ts";
import {
  type ControlImages,
  type Controller,
  eachOf,
  readControlImage,
  type Residuals,
  type StepInput,
} from "../latents/control.ts";
import type { BegunRun } from "../latents/begun.ts";
import { fractionsOf } from "../latents/init_image.ts";
import { type AcquireOptions, type Residents, withModels } from "../memory/acquire.ts";
import { expectNumber } from "../run_options.ts";

/** Options of pipelines with T2I-Adapters. */
export interface AdapterOptions {
  /** Factor of what an adapter adds; 1 by default. Of several each may have its own. */
  adapterConditioningScale?: number | readonly number[] | undefined;
  /** Part of the steps, from the first on, in which adapters count; 1 by default. */
  adapterConditioningFactor?: number | undefined;
}

/** A pipeline's T2I-Adapters. */
export interface AdapterParts extends Residents {
  /** Several see a picture each, and their features are added. */
  adapter: T2IAdapter | readonly T2IAdapter[];
}

/** The features of a run's pictures, which are the same in each step. */
class AdapterFeatures implements Controller {
  readonly models = [];
  /** Features for one half of the rows. */
  readonly #alone: readonly Tensor[];
  /** Features for both halves, under guidance. */
  readonly #both: readonly Tensor[];
  /** Steps in which they count. */
  readonly #steps: number;

  constructor(alone: readonly Tensor[], both: readonly Tensor[], steps: number) {
    this.#alone = alone;
    this.#both = both;
    this.#steps = steps;
  }

  residuals({ input, step }: StepInput): Residuals {
    if (step >= this.#steps) return {};
    const rows = input.shape[0]!;
    return {
      downIntrablockAdditionalResiduals: rows === this.#alone[0]!.shape[0] ? this.#alone : this.#both,
    };
  }

  shapes(step: StepInput): Residuals {
    return this.residuals(step);
  }
}

/** Looks at the pictures in [0, 1] for a run of H × W pixels in so many steps, which owns the features. */
export async function beginAdapters(
  parts: AdapterParts & { readonly unet: UNet2DConditionModel },
  images: ControlImages,
  { adapterConditioningScale, adapterConditioningFactor = 1, ...options }: AdapterOptions & AcquireOptions,
  { run: { B, guided, owned }, steps, size }: {
    run: BegunRun;
    steps: number;
    size: readonly [H: number, W: number];
  },
): Promise<Controller> {
  const models = [parts.adapter ?? []].flat();
  if (models.length === 0) {
    throw new TypeError("Cannot control: expected a T2I-Adapter among the parts, got none");
  }
  for (const model of models) expectAdapterOfUNet(model, parts.unet);
  const list = [images ?? []].flat() as Tensor[];
  if (list.length !== models.length) {
    throw new RangeError(
      `Cannot control by ${list.length} pictures: expected ${models.length}, one for each T2I-Adapter; ` +
        "pictures of one T2I-Adapter are rows of one tensor",
    );
  }
  const scales = eachOf("adapterConditioningScale", adapterConditioningScale, 1, models.length);
  expectNumber("adapterConditioningFactor", adapterConditioningFactor);
  const pictures: Tensor[] = [];
  for (const [i, model] of models.entries()) {
    pictures.push(owned.adopt(await readPicture(list[i]!, B, size, model.config.in_channels), free));
  }
  return await withModels(parts, models, options, () => {
    using made = scope(...pictures);
    let sum: Tensor[] | undefined;
    for (const [i, model] of models.entries()) {
      const scaled = model.forward(pictures[i]!).features.map((feature) => feature.mul(scales[i]!));
      sum = sum ? sum.map((x, level) => x.add(scaled[level]!)) : scaled;
    }
    const own = (x: Tensor) => owned.adopt(made.keep(x), free);
    const alone = sum!.map((x) => own(x.expand([B, ...x.shape.slice(1)]).clone()));
    const both = guided ? alone.map((x) => own(cat([x, x]))) : alone;
    return new AdapterFeatures(alone, both, Math.trunc(steps * adapterConditioningFactor));
  });
}

/** Pixels by which sides are divided for adapters and an autoencoder. */
export function multipleOf({ adapter, vae }: AdapterParts & { vae: { scaleFactor: number } }): number {
  const factors = [vae.scaleFactor, ...[adapter].flat().map(({ config }) => config.downscale_factor)];
  return factors.reduce((a, b) => a % b === 0 ? a : b % a === 0 ? b : a * b);
}

/** Throws unless an adapter was made for UNets of such widths. */
export function expectAdapterOfUNet({ config }: T2IAdapter, unet: UNet2DConditionModel): void {
  const widths = unet.config.block_out_channels;
  const got = levelsOf(config).map(({ channels }) => channels);
  const expected = [...widths, widths.at(-1)!].slice(0, Math.max(got.length, widths.length)); // the last one is of the middle
  if (got.join(", ") === expected.join(", ")) return;
  throw new TypeError(
    `Cannot control by this T2I-Adapter: expected features of ${
      widths.join(", ")
    } channels, as the UNet has, got ${got.join(", ")}; it is for another model`,
  );
}

/** A picture in the size that is drawn, or its luma where an adapter sees no colours. [1 or B, C, H, W] */
async function readPicture(
  image: Tensor,
  B: number,
  size: readonly [H: number, W: number],
  C: number,
): Promise<Tensor> {
  if (C !== 1 || image.rank !== 4 || image.shape[1] !== 3) return await readControlImage(image, B, size, C);
  await fractionsOf("a picture that controls", image);
  const colours = await imagesOf(image, "Cannot control by a picture");
  const gray = imageTensor(...colours.map((one) => inMode(one, "L")) as [Image, ...Image[]]);
  const picture = await readControlImage(gray, B, size, C);
  free(gray);
  return picture;
}
