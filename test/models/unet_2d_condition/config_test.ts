import assert from "node:assert/strict";
import { parseConfig } from "../../../src/io/config.ts";
import { unet2DConditionConfig } from "../../../src/models/unet_2d_condition/config.ts";

const parse = (config: object) => parseConfig(unet2DConditionConfig, config, "unet");

Deno.test("unet2DConditionConfig fills in diffusers' defaults", () => {
  const { block_out_channels, attention_head_dim, cross_attention_dim, sample_size, mid_block_type } = parse(
    {},
  );
  assert.deepEqual({ block_out_channels, attention_head_dim, cross_attention_dim, sample_size }, {
    block_out_channels: [320, 640, 1280, 1280],
    attention_head_dim: 8,
    cross_attention_dim: 1280,
    sample_size: null,
  });
  assert.equal(mid_block_type, "UNetMidBlock2DCrossAttn");
});

/** Keys that differ from diffusers' defaults, as published configs have them. */
const published = {
  "Stable Diffusion 1.5 inpainting": { in_channels: 9, cross_attention_dim: 768, sample_size: 64 },
  "Stable Diffusion 2.1": {
    attention_head_dim: [5, 10, 20, 20],
    cross_attention_dim: 1024,
    dual_cross_attention: false,
    num_class_embeds: null,
    only_cross_attention: false,
    sample_size: 96,
    upcast_attention: true,
    use_linear_projection: true,
  },
  "the upscaler of Stable Diffusion 2": {
    attention_head_dim: 8,
    block_out_channels: [256, 512, 512, 1024],
    cross_attention_dim: 1024,
    down_block_types: [
      "DownBlock2D",
      "CrossAttnDownBlock2D",
      "CrossAttnDownBlock2D",
      "CrossAttnDownBlock2D",
    ],
    in_channels: 7,
    num_class_embeds: 1000,
    only_cross_attention: [true, true, true, false],
    up_block_types: ["CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"],
  },
  "the refiner of SDXL": {
    addition_embed_type: "text_time",
    addition_time_embed_dim: 256,
    attention_head_dim: [6, 12, 24, 24],
    block_out_channels: [384, 768, 1536, 1536],
    down_block_types: ["DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"],
    projection_class_embeddings_input_dim: 2560,
    transformer_layers_per_block: 4,
    up_block_types: ["UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"],
  },
  "a distilled SDXL": {
    attention_head_dim: [5, 10, 20],
    block_out_channels: [320, 640, 1280],
    down_block_types: ["DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"],
    mid_block_type: "UNetMidBlock2D",
    reverse_transformer_layers_per_block: [[4, 4, 10], [2, 1, 1], 1],
    time_cond_proj_dim: 256,
    transformer_layers_per_block: [1, [2, 2], [4, 4]],
    up_block_types: ["CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"],
  },
};
for (const [name, config] of Object.entries(published)) {
  Deno.test(`unet2DConditionConfig takes the config of ${name}`, () => {
    const parsed = parse({ _class_name: "UNet2DConditionModel", ...config }) as unknown as object;
    assert.deepEqual({ ...parsed, ...config }, parsed);
  });
}

const refused: [object, string][] = [
  [
    { down_block_types: ["SimpleCrossAttnDownBlock2D", "DownBlock2D", "DownBlock2D", "DownBlock2D"] },
    'down_block_types[0] to be one of "CrossAttnDownBlock2D", "DownBlock2D", got "SimpleCrossAttnDownBlock2D"',
  ],
  [
    { mid_block_type: "UNetMidBlock2DSimpleCrossAttn" },
    'mid_block_type to be one of "UNetMidBlock2DCrossAttn", "UNetMidBlock2D", got "UNetMidBlock2DSimpleCrossAttn"',
  ],
  [{ dual_cross_attention: true }, "dual_cross_attention to be false, got true"],
  [{ encoder_hid_dim: 8 }, "encoder_hid_dim to be null, got 8"],
  [{ attention_type: "gated" }, 'attention_type to be "default", got "gated"'],
  [{ time_embedding_type: "fourier" }, 'time_embedding_type to be "positional", got "fourier"'],
  [{ addition_embed_type: "image" }, 'addition_embed_type to be "text_time", got "image"'],
  [{ norm_num_groups: null }, "norm_num_groups to be a number, got null"],
  [{ conv_in_kernel: 2 }, "conv_in_kernel to be an odd number, got 2"],
  [{ norm_num_groups: 7 }, "norm_num_groups to be a divisor of 320, which is in block_out_channels, got 7"],
  [
    { attention_head_dim: [5, 10] },
    "attention_head_dim to be 4 values, as many as block_out_channels, got [5,10]",
  ],
  [
    { num_attention_heads: 500 },
    "num_attention_heads to be at most 320 heads, one a channel, got 500",
  ],
  [
    { addition_embed_type: "text_time", projection_class_embeddings_input_dim: 3 },
    'addition_time_embed_dim to be a number, as addition_embed_type is "text_time", got nothing',
  ],
  [
    { class_embed_type: "projection" },
    'projection_class_embeddings_input_dim to be a number, as the model has "projection", got nothing',
  ],
  [
    { transformer_layers_per_block: [1, [1, 2], 1, 1] },
    "reverse_transformer_layers_per_block to be a list, as transformer_layers_per_block has lists in it, got nothing",
  ],
  [
    {
      transformer_layers_per_block: [1, [1, 2, 3], 1, 1],
      reverse_transformer_layers_per_block: [1, 1, 1, 1],
    },
    "transformer_layers_per_block to be lists of one number for each residual block: 2 in list 1, " +
    "got [1,[1,2,3],1,1]",
  ],
];
for (const [change, problem] of refused) {
  Deno.test(`unet2DConditionConfig refuses ${JSON.stringify(change)}`, () => {
    assert.throws(() => parse(change), {
      name: "TypeError",
      message: `Cannot load unet: expected ${problem}; correct the config`,
    });
  });
}
