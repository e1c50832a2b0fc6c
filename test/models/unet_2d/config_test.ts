import assert from "node:assert/strict";
import { parseConfig, readJson } from "../../../src/io/config.ts";
import { unet2DConfig } from "../../../src/models/unet_2d/config.ts";
import { fixture } from "../../support/fixtures.ts";

const good = await readJson(fixture("bad/unet_good/config.json")) as object;

const parse = (config: object) => parseConfig(unet2DConfig, config, "unet");

Deno.test("unet2DConfig fills in diffusers' defaults", () => {
  const { block_out_channels, attention_head_dim, flip_sin_to_cos, freq_shift, norm_eps } = parse({});
  assert.deepEqual(block_out_channels, [224, 448, 672, 896]);
  assert.deepEqual({ attention_head_dim, flip_sin_to_cos, freq_shift, norm_eps }, {
    attention_head_dim: 8,
    flip_sin_to_cos: true,
    freq_shift: 0,
    norm_eps: 1e-5,
  });
});

Deno.test("unet2DConfig keeps keys that it does not know, reads old block names and any case of act_fn", () => {
  const config = parse({
    ...good,
    shiny_new_option: 1,
    down_block_types: ["UNetResDownBlock2D", "UNetResAttnDownBlock2D"],
    act_fn: "SiLU",
    sample_size: [8, 12],
  });
  assert.equal((config as unknown as Record<string, unknown>)["shiny_new_option"], 1);
  assert.deepEqual(config.down_block_types, ["DownBlock2D", "AttnDownBlock2D"]);
  assert.equal(config.act_fn, "silu");
  assert.deepEqual(config.sample_size, [8, 12]);
});

const blockNames = '"DownBlock2D", "AttnDownBlock2D", "ResnetDownsampleBlock2D"';
const files = {
  unet_unknown_block: `down_block_types[1] to be one of ${blockNames}, got "QuantumBlock2D"`,
  unet_negative_channels: "block_out_channels[1] to be more than 0, got -8",
  unet_zero_groups: "norm_num_groups to be more than 0, got 0",
  unet_groups_not_dividing: "norm_num_groups to be a divisor of 2, which is in block_out_channels, got 3",
  unet_unknown_act: 'act_fn to be one of "swish", "silu", "mish", "gelu", "relu", got "sparkle"',
  unet_wrong_class: '_class_name to be "UNet2DModel", got "UNet9DModel"',
  unet_block_list_length: 'up_block_types to be 2 names, as many as block_out_channels, got ["UpBlock2D"]',
};
for (const [folder, problem] of Object.entries(files)) {
  Deno.test(`unet2DConfig refuses ${folder} in one line`, async () => {
    const config = await readJson(fixture(`bad/${folder}/config.json`)) as object;
    assert.throws(() => parse(config), {
      name: "TypeError",
      message: `Cannot load unet: expected ${problem}; correct the config`,
    });
  });
}

const changes: [object, string][] = [
  [
    { down_block_types: ["SkipDownBlock2D", "DownBlock2D"] },
    `down_block_types[0] to be one of ${blockNames}, got "SkipDownBlock2D"`,
  ],
  [
    { up_block_types: ["UpBlock2D", "AttnSkipUpBlock2D"] },
    'up_block_types[1] to be one of "UpBlock2D", "AttnUpBlock2D", "ResnetUpsampleBlock2D", got "AttnSkipUpBlock2D"',
  ],
  [{ mid_block_type: "UNetMidBlock3D" }, 'mid_block_type to be "UNetMidBlock2D", got "UNetMidBlock3D"'],
  [
    { resnet_time_scale_shift: "ada_group" },
    'resnet_time_scale_shift to be one of "default", "scale_shift", got "ada_group"',
  ],
  [
    { class_embed_type: "projection" },
    'class_embed_type to be one of "timestep", "identity", got "projection"',
  ],
  [{ norm_num_groups: null }, "norm_num_groups to be a number, got null"],
  [{ block_out_channels: [4e9, 8] }, "block_out_channels[0] to be at most 16777216, got 4000000000"],
  [
    { attn_norm_num_groups: 3 },
    "attn_norm_num_groups to be a divisor of 2, which is in block_out_channels, got 3",
  ],
  [
    { attention_head_dim: 16 },
    "attention_head_dim to be at most 2, the channels of a block with attention, got 16",
  ],
  [
    { time_embedding_type: "learned" },
    'num_train_timesteps to be a number, as time_embedding_type is "learned", got null',
  ],
  [{ layers_per_block: [1, 1] }, "layers_per_block to be a number, got [1,1]"],
];
for (const [change, problem] of changes) {
  Deno.test(`unet2DConfig refuses ${JSON.stringify(change)}`, () => {
    assert.throws(() => parse({ ...good, ...change }), {
      message: `Cannot load unet: expected ${problem}; correct the config`,
    });
  });
}
