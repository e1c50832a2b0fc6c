import type { Model } from "../../models/mod.ts";
import type { Tensor } from "../../tensor/mod.ts";
import type { Predicting, StepCache } from "../step_caches/step_cache.ts";

/** The pictures to plan memory for. */
export interface DrawingSize {
  /** In pixels; by default that which the model was trained for. */
  width?: number | undefined;
  /** In pixels; by default that which the model was trained for. */
  height?: number | undefined;
  /** A picture whose sides are drawn where no others are said, less what the model cannot draw. */
  from?: readonly [H: number, W: number] | undefined;
  /** The size of a second pass: the larger one counts. In pixels. */
  hires?: { readonly width: number; readonly height: number } | undefined;
  /** Pixels that are drawn whatever the sides, of which only the ratio counts, as by FLUX.1 Kontext. */
  area?: number | undefined;
  /** Pictures at once; 1 by default. */
  batch?: number | undefined;
  /** Length of the prompt for T5 or Qwen; 512 by default. */
  tokens?: number | undefined;
  /** 28 by default. */
  steps?: number | undefined;
  /** The negative prompt counts, too: of FLUX.1 by a trueCfgScale over 1; of Z-Image where nothing is said, or guidance is above 0. */
  isGuided?: boolean | undefined;
  /** The UNet runs once more, with perturbed attention on the prompt alone, by a pagScale over 0. */
  isPerturbed?: boolean | undefined;
  /** A picture of the size that is drawn is encoded: it is changed, or controls FLUX.1 Depth or Canny. */
  encodes?: boolean | undefined;
  /** Pictures that are encoded in sizes of their own, less what the autoencoder cannot take. */
  encoded?: readonly (readonly [H: number, W: number])[] | undefined;
  /** Pictures whose tokens stand behind those of the latents, in the sizes in which Kontext and FLUX.2 encode them. */
  seen?: readonly (readonly [H: number, W: number])[] | undefined;
  /** Leaves steps out. */
  cache?: StepCache | undefined;
}

/** Calls a model as a step does, for `Model.measure`: once for each list of arguments, in all parts that a cache takes. */
export function rehearse<Args extends readonly unknown[]>(
  model: Predicting<Args>,
  cache: StepCache | undefined,
  ...calls: readonly Args[]
): void {
  for (const args of calls) {
    if (cache) cache.begin(model, 1).rehearse(args[0] as Tensor, () => args);
    else model.forward(...args);
  }
}

/** A model at its work in a pipeline. */
export interface Stage {
  /** The model's folder, e.g. "text_encoder". */
  readonly name: string;
  readonly model: Model;
  /** Bytes of its work, without its weights. */
  readonly activations: number;
  /** Models that work with it, and are in memory at the same time: ControlNets beside a UNet. */
  readonly beside?: readonly Stage[] | undefined;
}

/** The parts of any pipeline. */
export type PartsByName = Readonly<Record<string, unknown>>;
