import assert from "node:assert/strict";
import { parseConfig, unknownKeys } from "../../../src/io/config.ts";
import {
  flux2Transformer2DConfig,
  innerDim,
  mlpDim,
} from "../../../src/models/flux2_transformer_2d/config.ts";

const parse = (config: object) => parseConfig(flux2Transformer2DConfig, config, "flux2");

Deno.test("flux2Transformer2DConfig fills in diffusers' defaults, which are those of FLUX.2-dev", () => {
  assert.deepEqual(parse({ _class_name: "Flux2Transformer2DModel" }), {
    _class_name: "Flux2Transformer2DModel",
    patch_size: 1,
    in_channels: 128,
    out_channels: null,
    num_layers: 8,
    num_single_layers: 48,
    attention_head_dim: 128,
    num_attention_heads: 48,
    joint_attention_dim: 15360,
    timestep_guidance_channels: 256,
    mlp_ratio: 3,
    axes_dims_rope: [32, 32, 32, 32],
    rope_theta: 2000,
    eps: 1e-6,
    guidance_embeds: true,
  });
});

/** Keys that differ from diffusers' defaults, as published configs have them. */
const published = {
  "FLUX.2-klein-4B": {
    guidance_embeds: false,
    joint_attention_dim: 7680,
    num_attention_heads: 24,
    num_layers: 5,
    num_single_layers: 20,
  },
  "FLUX.2-klein-9B": {
    guidance_embeds: false,
    joint_attention_dim: 12288,
    num_attention_heads: 32,
    num_single_layers: 24,
  },
};

for (const [name, config] of Object.entries(published)) {
  Deno.test(`flux2Transformer2DConfig takes that of ${name}`, () => {
    const { _class_name, ...parsed } = parse({ _class_name: "Flux2Transformer2DModel", ...config });
    assert.deepEqual({ ...parsed, ...config }, parsed);
    assert.deepEqual(unknownKeys(flux2Transformer2DConfig, config), []);
  });
}

Deno.test("mlpDim() cuts a broken width off, as Python's int does", () => {
  const config = parse({
    mlp_ratio: 1.3,
    num_attention_heads: 3,
    attention_head_dim: 8,
    axes_dims_rope: [8],
  });
  assert.deepEqual([innerDim(config), mlpDim(config)], [24, 31]);
});

Deno.test("flux2Transformer2DConfig tells what is wrong", () => {
  const refuses = (config: object, message: string) =>
    assert.throws(() => parse(config), {
      name: "TypeError",
      message: `Cannot load flux2: expected ${message}; correct the config`,
    });
  refuses(
    { _class_name: "FluxTransformer2DModel" },
    '_class_name to be "Flux2Transformer2DModel", got "FluxTransformer2DModel"',
  );
  refuses({ attention_head_dim: 64 }, "attention_head_dim to be 128, the sum of axes_dims_rope, got 64");
  refuses({ axes_dims_rope: [15, 57, 56] }, "axes_dims_rope[0] to be an even number, got 15 (and 1 more)");
  refuses({ mlp_ratio: 0 }, "mlp_ratio to be more than 0, got 0");
  refuses({ rope_theta: "2000" }, 'rope_theta to be a number, got "2000"');
});
