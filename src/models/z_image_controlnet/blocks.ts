import { dense, type Layer } from "../../nn/layers.ts";
import { cat, named, type Tensor } from "../../tensor/mod.ts";
import {
  type ZImageBlockOptions,
  type ZImageTransformerBlock,
  zImageTransformerBlock,
} from "../z_image_transformer_2d/blocks.ts";
import { patchify } from "../z_image_transformer_2d/patches.ts";
import { patchKey, type PatchSize } from "../z_image_transformer_2d/config.ts";

/** Weights of a block whose result is added to the transformer's. */
export interface ZImageControlTransformerBlock extends ZImageTransformerBlock {
  /** In the first of a list. */
  before_proj?: Layer | undefined;
  after_proj: Layer;
}

/** Weights of a ZImageControlNetModel. */
export interface ZImageControlNetWeights {
  control_layers: ZImageControlTransformerBlock[];
  /** By the size of tokens, e.g. "2-1". */
  control_all_x_embedder: Record<string, Layer>;
  /** Weights of blocks that add only where the config says so. */
  control_noise_refiner: ZImageControlTransformerBlock[];
}

/**
 * Tokens of what controls, filled up as those of the latents, at `tokens` [B, L, D], by the same learned ones.
 * context [B, C, F, H, W] or [B, C, H, W] → [B, L, D] f32
 */
export function controlTokens(
  context: Tensor,
  patch: PatchSize,
  tokens: Tensor,
  w: ZImageControlNetWeights,
): Tensor {
  const key = patchKey(patch);
  const layer = w.control_all_x_embedder[key]!;
  const patches = patchify(context, patch).cast(layer.bias.dtype);
  const embed = () => dense(patches, layer, tokens.shape[2]!).cast("f32");
  const own = named(`control_all_x_embedder.${key}`, embed, [patches]);
  const [count, L] = [own.shape[1]!, tokens.shape[1]!];
  return count === L ? own : cat([own, tokens.slice(1, count)], 1);
}

/**
 * Blocks one behind the other: the first begins with what controls, projected, and the tokens `x` beside it; each
 * gives a projection, times a factor [1], to be added to the transformer's tokens. control, x [B, L, D] f32 → the last block's result, and
 * what is added [B, L, D] f32 each
 */
export function controlBlocks(
  list: "control_layers" | "control_noise_refiner",
  count: number,
  { control, x, temb, scale }: Record<"control" | "x" | "temb" | "scale", Tensor>,
  w: ZImageControlNetWeights,
  options: ZImageBlockOptions,
): { control: Tensor; added: Tensor[] } {
  const D = x.shape[2]!;
  const linear = (name: string, x: Tensor, layer: Layer) => {
    const operand = x.cast(options.dtype);
    return named(name, () => dense(operand, layer, D).cast("f32"), [operand]);
  };
  let c = control;
  const added = Array.from({ length: count }, (_, i) =>
    named(`${list}.${i}`, () => {
      const block = w[list][i]!;
      const input = i === 0 ? linear("before_proj", c, block.before_proj!).add(x) : c;
      c = zImageTransformerBlock(input, block, temb, options);
      return linear("after_proj", c, block.after_proj).mul(scale); // at once, so that it is not kept twice
    }, [c, x]));
  return { control: c, added };
}
