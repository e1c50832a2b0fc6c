import assert from "node:assert/strict";
import { zImageTurboConfig } from "../../support/z_image_turbo.ts";
import { parseConfig, unknownKeys } from "../../../src/io/config.ts";
import { zImageTransformer2DConfig } from "../../../src/models/z_image_transformer_2d/config.ts";

const parse = (config: object) => parseConfig(zImageTransformer2DConfig, config, "z-image");

Deno.test("zImageTransformer2DConfig fills in diffusers' defaults", () => {
  assert.deepEqual(parse({ _class_name: "ZImageTransformer2DModel" }), {
    _class_name: "ZImageTransformer2DModel",
    all_patch_size: [2],
    all_f_patch_size: [1],
    in_channels: 16,
    dim: 3840,
    n_layers: 30,
    n_refiner_layers: 2,
    n_heads: 30,
    n_kv_heads: 30,
    norm_eps: 1e-5,
    qk_norm: true,
    cap_feat_dim: 2560,
    siglip_feat_dim: null,
    rope_theta: 256,
    t_scale: 1000,
    axes_dims: [32, 48, 48],
    axes_lens: [1024, 512, 512],
  });
});

Deno.test("zImageTransformer2DConfig takes that of Z-Image-Turbo", () => {
  const { _class_name, ...turbo } = zImageTurboConfig;
  const { siglip_feat_dim, ...parsed } = parse(turbo);
  assert.deepEqual(parsed, turbo);
  assert.equal(siglip_feat_dim, null);
  assert.deepEqual(unknownKeys(zImageTransformer2DConfig, turbo), []);
});

Deno.test("zImageTransformer2DConfig tells what is wrong", () => {
  const refuses = (config: object, message: string) =>
    assert.throws(() => parse(config), {
      name: "TypeError",
      message: `Cannot load z-image: expected ${message}; correct the config`,
    });
  refuses(
    { _class_name: "FluxTransformer2DModel" },
    '_class_name to be "ZImageTransformer2DModel", got "FluxTransformer2DModel"',
  );
  refuses(
    { axes_dims: [32, 48, 46] },
    "axes_dims to be numbers whose sum is dim / n_heads, 128, got [32,48,46]",
  );
  refuses({ axes_dims: [31, 49, 48] }, "axes_dims[0] to be an even number, got 31 (and 1 more)");
  refuses({ all_patch_size: [2, 4] }, "all_f_patch_size to be 2 numbers, as all_patch_size has, got nothing");
  refuses({ siglip_feat_dim: 1152 }, "siglip_feat_dim to be null, as Omni is not built, got 1152");
});
