import assert from "node:assert/strict";
import type { z } from "zod";
import { parseConfig } from "../../src/io/config.ts";
import { autoencoderKLConfig } from "../../src/models/autoencoder_kl/config.ts";
import { clipTextConfig } from "../../src/models/clip_text/config.ts";
import { t5EncoderConfig } from "../../src/models/t5_encoder/config.ts";
import { unet2DConditionConfig } from "../../src/models/unet_2d_condition/config.ts";
import { unet2DConfig } from "../../src/models/unet_2d/config.ts";

type Config = Record<string, unknown>;

/** What null stands for where diffusers 0.42.1 and transformers 5.23 built the same model with it as with this. */
const nulls: [name: string, schema: z.ZodType, Config][] = [
  ["UNet2DModel", unet2DConfig, {
    center_input_sample: false,
    flip_sin_to_cos: false,
    downsample_type: "conv",
    upsample_type: "conv",
    add_attention: false,
    mid_block_type: null,
  }],
  ["UNet2DConditionModel", unet2DConditionConfig, {
    center_input_sample: false,
    flip_sin_to_cos: false,
    use_linear_projection: false,
    upcast_attention: false,
    dual_cross_attention: false,
    class_embeddings_concat: false,
    attention_type: "default",
    resnet_skip_time_act: false,
    resnet_out_scale_factor: 1,
    addition_embed_type_num_heads: 64,
    mid_block_type: null,
  }],
  ["AutoencoderKL", autoencoderKLConfig, {
    force_upcast: false,
    use_quant_conv: false,
    use_post_quant_conv: false,
    mid_block_add_attention: false,
    shift_factor: null,
  }],
  ["CLIPTextModel", clipTextConfig, { projection_dim: 512, model_type: "clip_text_model" }],
  ["T5EncoderModel", t5EncoderConfig, { is_gated_act: false, model_type: "t5" }],
];

for (const [name, schema, keys] of nulls) {
  Deno.test(`a config of ${name} may hold null where the reference takes it`, () => {
    for (const [key, value] of Object.entries(keys)) {
      const config = parseConfig(schema, { [key]: null }, name) as Config;
      assert.deepEqual(config[key], value, key);
    }
  });
}
