import assert from "node:assert/strict";
import { parseConfig, unknownKeys } from "../../../src/io/config.ts";
import { fluxTransformer2DConfig } from "../../../src/models/flux_transformer_2d/config.ts";
import { modulationWidth } from "../../../src/models/flux_transformer_2d/modulation.ts";

const parse = (config: object) => parseConfig(fluxTransformer2DConfig, config, "flux");

Deno.test("fluxTransformer2DConfig fills in diffusers' defaults", () => {
  assert.deepEqual(parse({ _class_name: "FluxTransformer2DModel" }), {
    _class_name: "FluxTransformer2DModel",
    patch_size: 1,
    in_channels: 64,
    out_channels: null,
    num_layers: 19,
    num_single_layers: 38,
    attention_head_dim: 128,
    num_attention_heads: 24,
    joint_attention_dim: 4096,
    pooled_projection_dim: 768,
    guidance_embeds: false,
    axes_dims_rope: [16, 56, 56],
  });
  assert.equal(modulationWidth(parse({})), 1_056_768);
});

/** Keys that differ from diffusers' defaults, as published configs have them. */
const published = {
  "FLUX.1-dev": { guidance_embeds: true },
  "FLUX.1-schnell": { guidance_embeds: false, axes_dims_rope: [16, 56, 56] },
  "FLUX.1-Fill-dev": { guidance_embeds: true, in_channels: 384, out_channels: 64 },
  "FLUX.1-Depth-dev": { guidance_embeds: true, in_channels: 128, out_channels: 64 },
};

for (const [name, config] of Object.entries(published)) {
  Deno.test(`fluxTransformer2DConfig takes that of ${name}`, () => {
    const { _class_name, ...parsed } = parse({ _class_name: "FluxTransformer2DModel", ...config });
    assert.deepEqual({ ...parsed, ...config }, parsed);
    assert.deepEqual(unknownKeys(fluxTransformer2DConfig, config), []);
  });
}

Deno.test("fluxTransformer2DConfig tells what is wrong", () => {
  const refuses = (config: object, message: string) =>
    assert.throws(() => parse(config), {
      name: "TypeError",
      message: `Cannot load flux: expected ${message}; correct the config`,
    });
  refuses(
    { _class_name: "SD3Transformer2DModel" },
    '_class_name to be "FluxTransformer2DModel", got "SD3Transformer2DModel"',
  );
  refuses({ attention_head_dim: 64 }, "attention_head_dim to be 128, the sum of axes_dims_rope, got 64");
  refuses({ axes_dims_rope: [4, 6] }, "attention_head_dim to be 10, the sum of axes_dims_rope, got nothing");
  refuses(
    { axes_dims_rope: [15, 57, 56] },
    "axes_dims_rope[0] to be an even number, got 15 (and 1 more)",
  );
  refuses({ guidance_embeds: 1 }, "guidance_embeds to be true or false, got 1");
  refuses({ num_layers: -1 }, "num_layers to be at least 0, got -1");
});
