/**
 * Names in a UNet by the code of latent diffusion (CompVis/latent-diffusion, openaimodel.py), which Stability
 * AI's has kept, beside diffusers'. Blocks are not among them: theirs stand in one list, diffusers' by
 * levels.
 */

/** A layer's name in theirs, and in diffusers' code. */
export type NamePair = readonly [theirs: string, ours: string];

/** What stands before and behind the blocks. */
export const LDM_ENDS: readonly NamePair[] = [
  ["time_embed.0", "time_embedding.linear_1"],
  ["time_embed.2", "time_embedding.linear_2"],
  ["label_emb.0.0", "add_embedding.linear_1"],
  ["label_emb.0.2", "add_embedding.linear_2"],
  ["input_blocks.0.0", "conv_in"],
  ["out.0", "conv_norm_out"],
  ["out.2", "conv_out"],
];

/** Layers of a residual block. */
export const LDM_RESNET: readonly NamePair[] = [
  ["in_layers.0", "norm1"],
  ["in_layers.2", "conv1"],
  ["emb_layers.1", "time_emb_proj"],
  ["out_layers.0", "norm2"],
  ["out_layers.3", "conv2"],
  ["skip_connection", "conv_shortcut"],
];
