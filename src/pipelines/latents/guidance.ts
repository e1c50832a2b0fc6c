import type { UNet2DConditionModel } from "../../models/mod.ts";
import { timestepEmbedding } from "../../ops/mod.ts";
import type { Tensor } from "../../tensor/mod.ts";
import type { Guidance } from "./guiders.ts";

/**
 * Classifier-free guidance (Ho & Salimans 2022) on a prediction whose first half is the unconditional one.
 * With `rescale` the result's spread is brought back towards that of the conditional half (Lin et al. 2023,
 * section 3.4). prediction [2 B, C, H, W] → [B, C, H, W].
 */
export function guide(prediction: Tensor, scale: number, rescale = 0): Tensor {
  const [uncond, cond] = prediction.chunk(2);
  const guided = uncond.lerp(cond, scale); // uncond + scale · (cond − uncond)
  if (rescale === 0) return guided;
  return rescaled(guided, cond, rescale);
}

/** A guided prediction whose spread is brought back by a share, 0 to 1, to that of the prompt's. [B, ...] */
export function rescaled(guided: Tensor, cond: Tensor, share: number): Tensor {
  const deviation = (x: Tensor) => x.std(x.shape.slice(1).map((_, i) => i + 1), { keepdim: true });
  const corrected = guided.mul(deviation(cond).div(deviation(guided)));
  return guided.lerp(corrected, share);
}

/**
 * True where a model runs on the negative prompt too; one that was distilled with guidance takes its scale instead.
 */
export function isGuided(scale: number, { config }: UNet2DConditionModel): boolean {
  return scale > 1 && config.time_cond_proj_dim === null;
}

/** Tells where a negative prompt and the options of guidance have no effect, as they have at a scale `upTo`. */
export function tellUnguided(guided: boolean, options: Unguided, upTo = 1): void {
  const { negativePrompt, negativePrompt2, negativePromptEmbeds, onNotice = console.warn } = options;
  if (guided) return;
  const without = "has no effect: the model runs without guidance, by its kind or by a guidanceScale up to " +
    upTo;
  if ([negativePrompt, negativePrompt2, negativePromptEmbeds].flat().some(Boolean)) {
    onNotice(`The negative prompt ${without}`);
  }
  for (const name of ["guidance", "guidanceInterval", "guidanceRescale"] as const) {
    const value = options[name];
    if (value) onNotice(`${name}${typeof value === "number" ? ` ${value}` : ""} ${without}`);
  }
}

/** Options that count only with guidance. */
interface Unguided {
  negativePrompt?: string | readonly string[] | undefined;
  negativePrompt2?: string | readonly string[] | undefined;
  negativePromptEmbeds?: Tensor | undefined;
  guidance?: Guidance | undefined;
  guidanceInterval?: readonly number[] | undefined;
  guidanceRescale?: number | undefined;
  onNotice?: ((line: string) => void) | undefined;
}

/**
 * Embedding of the scale, for models that were distilled with guidance, else undefined (Meng et al. 2022, section 3.1,
 * https://arxiv.org/abs/2210.03142): features of 1000 w, where w = scale − 1. → [B, time_cond_proj_dim]
 */
export function guidanceEmbedding(
  scale: number,
  B: number,
  { config }: UNet2DConditionModel,
): Tensor | undefined {
  const { time_cond_proj_dim: dim } = config;
  if (dim === null) return undefined;
  return timestepEmbedding(new Array(B).fill(1000 * Math.fround(scale - 1)), { dim });
}
