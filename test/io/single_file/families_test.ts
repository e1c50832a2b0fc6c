import assert from "node:assert/strict";
import { notBuiltModel } from "../../../src/io/names/model_kinds.ts";
import { families, type FamilyName, familyOf, pipelineOf } from "../../../src/io/single_file/families.ts";
import { findParts } from "../../../src/io/single_file/parts.ts";
import {
  clipShapes,
  flux2Shapes,
  flux2VaeShapes,
  fluxShapes,
  infosOf,
  openClipShapes,
  prefixed,
  qwen3Shapes,
  type Shapes,
  t5Shapes,
  unetShapes,
  vaeShapes,
  zImageShapes,
} from "../../support/real_headers.ts";

const unet = (shape: Omit<Parameters<typeof unetShapes>[0], "middle">, middle = 1) =>
  prefixed("model.diffusion_model.", unetShapes({ ...shape, middle }));
const vae = prefixed("first_stage_model.", vaeShapes(4));
const wide = [320, 640, 1280, 1280];

const sd1 = { channels: wide, depths: [1, 1, 1, 0], cross: 768, linear: false };
const sd2 = { ...sd1, cross: 1024, linear: true };
const xl = { channels: [320, 640, 1280], depths: [0, 2, 10], cross: 2048, linear: true, label: 2816 };
const refiner = {
  channels: [384, 768, 1536, 1536],
  depths: [0, 4, 4, 0],
  cross: 1280,
  linear: true,
  label: 2560,
};

const clip = prefixed("cond_stage_model.transformer.", clipShapes());
const vitH = prefixed("cond_stage_model.model.", openClipShapes(1024, 24));
const xlTexts = {
  ...prefixed("conditioner.embedders.0.transformer.", clipShapes()),
  ...prefixed("conditioner.embedders.1.model.", openClipShapes(1280, 32)),
};
const refinerText = prefixed("conditioner.embedders.0.model.", openClipShapes(1280, 32));
const comfyFlux = {
  ...prefixed("model.diffusion_model.", fluxShapes({ guidance: true })),
  ...prefixed("vae.", vaeShapes(16)),
  ...prefixed("text_encoders.clip_l.transformer.", clipShapes()),
  ...prefixed("text_encoders.t5xxl.transformer.", t5Shapes()),
};

const files: [string, Shapes, FamilyName, string, string[]][] = [
  ["SD 1", { ...unet(sd1), ...vae, ...clip }, "sd1", "StableDiffusionPipeline", [
    "unet",
    "vae",
    "text_encoder",
  ]],
  [
    "SD 1 for inpainting",
    { ...unet({ ...sd1, inputs: 9 }), ...clip },
    "sd1",
    "StableDiffusionInpaintPipeline",
    [
      "unet",
      "text_encoder",
    ],
  ],
  ["InstructPix2Pix", unet({ ...sd1, inputs: 8 }), "sd1", "StableDiffusionInstructPix2PixPipeline", ["unet"]],
  ["SD 2", { ...unet(sd2), ...vae, ...vitH }, "sd2", "StableDiffusionPipeline", [
    "unet",
    "vae",
    "text_encoder",
  ]],
  ["the UNet of SD 2", unet(sd2), "sd2", "StableDiffusionPipeline", ["unet"]],
  ["SDXL", { ...unet(xl, 10), ...vae, ...xlTexts }, "sdxl", "StableDiffusionXLPipeline", [
    ...["unet", "vae", "text_encoder", "text_encoder_2"],
  ]],
  [
    "the UNet of SDXL without prefix",
    unetShapes({ ...xl, middle: 10 }),
    "sdxl",
    "StableDiffusionXLPipeline",
    [
      "unet",
    ],
  ],
  ["SDXL for inpainting", unet({ ...xl, inputs: 9 }, 10), "sdxl", "StableDiffusionXLInpaintPipeline", [
    "unet",
  ]],
  [
    "SDXL's refiner",
    { ...unet(refiner, 4), ...vae, ...refinerText },
    "sdxlRefiner",
    "StableDiffusionXLImg2ImgPipeline",
    [
      ...["unet", "vae", "text_encoder_2"],
    ],
  ],
  ["FLUX.1-dev", fluxShapes({ guidance: true }), "fluxDev", "FluxPipeline", ["transformer"]],
  ["FLUX.1-schnell", fluxShapes({ guidance: false }), "fluxSchnell", "FluxPipeline", ["transformer"]],
  ["FLUX.1-Fill", fluxShapes({ guidance: true, inputs: 384 }), "fluxDev", "FluxFillPipeline", [
    "transformer",
  ]],
  ["ComfyUI's FLUX with all parts", comfyFlux, "fluxDev", "FluxPipeline", [
    ...["transformer", "vae", "text_encoder", "text_encoder_2"],
  ]],
  ["FLUX.2-dev", flux2Shapes("dev"), "flux2Dev", "Flux2Pipeline", ["transformer"]],
  ["FLUX.2-klein-4B", flux2Shapes("klein4B"), "flux2Klein4B", "Flux2KleinPipeline", ["transformer"]],
  [
    "ComfyUI's FLUX.2-klein-9B with its VAE",
    { ...prefixed("model.diffusion_model.", flux2Shapes("klein9B")), ...prefixed("vae.", flux2VaeShapes()) },
    "flux2Klein9B",
    "Flux2KleinPipeline",
    ["transformer", "vae"],
  ],
  ["Z-Image", zImageShapes(), "zImage", "ZImagePipeline", ["transformer"]],
  [
    "Z-Image with its VAE",
    { ...prefixed("model.diffusion_model.", zImageShapes()), ...prefixed("vae.", vaeShapes(16)) },
    "zImage",
    "ZImagePipeline",
    ["transformer", "vae"],
  ],
];

for (const [what, shapes, family, pipeline, folders] of files) {
  Deno.test(`a file of ${what} is told by its keys`, () => {
    const infos = infosOf(shapes);
    const parts = findParts(infos);
    assert.deepEqual([...parts.keys()].sort(), folders.toSorted());
    assert.equal(familyOf(infos, parts), family);
    const denoiser = parts.get("unet") ?? parts.get("transformer")!;
    assert.equal(pipelineOf(family, denoiser.config(infos)["in_channels"]), pipeline);
    for (const [folder, { className }] of parts) {
      assert.equal(className, (families[family].models as Record<string, string>)[folder]);
    }
  });
}

/** The keys of config.json that shapes tell, of the repositories that diffusers takes configs from. */
const configs: [string, Shapes, string, Record<string, unknown>][] = [
  ["the UNet of SD 1", unet(sd1), "unet", {
    in_channels: 4,
    out_channels: 4,
    block_out_channels: wide,
    layers_per_block: 2,
    cross_attention_dim: 768,
    attention_head_dim: 8,
    transformer_layers_per_block: 1,
    use_linear_projection: false,
    down_block_types: [...Array(3).fill("CrossAttnDownBlock2D"), "DownBlock2D"],
    up_block_types: ["UpBlock2D", ...Array(3).fill("CrossAttnUpBlock2D")],
  }],
  ["the UNet of SD 2", unet(sd2), "unet", {
    attention_head_dim: [5, 10, 20, 20],
    cross_attention_dim: 1024,
    use_linear_projection: true,
  }],
  ["the UNet of SDXL", unet(xl, 10), "unet", {
    attention_head_dim: [5, 10, 20],
    block_out_channels: [320, 640, 1280],
    transformer_layers_per_block: [1, 2, 10],
    down_block_types: ["DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"],
    up_block_types: ["CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"],
    addition_embed_type: "text_time",
    addition_time_embed_dim: 256,
    projection_class_embeddings_input_dim: 2816,
  }],
  ["the UNet of SDXL's refiner", unet(refiner, 4), "unet", {
    attention_head_dim: [6, 12, 24, 24],
    transformer_layers_per_block: [1, 4, 4, 4],
    down_block_types: ["DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"],
    up_block_types: ["UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"],
    projection_class_embeddings_input_dim: 2560,
  }],
  ["the VAE of SD", vae, "vae", {
    block_out_channels: [128, 256, 512, 512],
    latent_channels: 4,
    layers_per_block: 2,
    use_quant_conv: true,
    use_post_quant_conv: true,
  }],
  ["the VAE of FLUX", vaeShapes(16), "vae", {
    latent_channels: 16,
    use_quant_conv: false,
    use_post_quant_conv: false,
  }],
  ["CLIP-L", clip, "text_encoder", {
    vocab_size: 49408,
    hidden_size: 768,
    intermediate_size: 3072,
    num_hidden_layers: 12,
    num_attention_heads: 12,
    max_position_embeddings: 77,
    hidden_act: "quick_gelu",
    projection_dim: 768,
    eos_token_id: 2,
  }],
  ["SD 2's OpenCLIP", vitH, "text_encoder", {
    hidden_size: 1024,
    num_hidden_layers: 23,
    num_attention_heads: 16,
    hidden_act: "gelu",
  }],
  ["SDXL's OpenCLIP", xlTexts, "text_encoder_2", {
    hidden_size: 1280,
    intermediate_size: 5120,
    num_hidden_layers: 32,
    num_attention_heads: 20,
    projection_dim: 1280,
    hidden_act: "gelu",
  }],
  ["FLUX.1-dev's transformer", fluxShapes({ guidance: true }), "transformer", {
    patch_size: 1,
    in_channels: 64,
    out_channels: null,
    num_layers: 19,
    num_single_layers: 38,
    attention_head_dim: 128,
    num_attention_heads: 24,
    joint_attention_dim: 4096,
    pooled_projection_dim: 768,
    guidance_embeds: true,
    axes_dims_rope: [16, 56, 56],
  }],
  ["FLUX.1-Fill's transformer", fluxShapes({ guidance: true, inputs: 384 }), "transformer", {
    in_channels: 384,
    out_channels: 64,
  }],
  ["FLUX.2-dev's transformer", flux2Shapes("dev"), "transformer", {
    in_channels: 128,
    out_channels: null,
    num_layers: 8,
    num_single_layers: 48,
    attention_head_dim: 128,
    num_attention_heads: 48,
    joint_attention_dim: 15360,
    timestep_guidance_channels: 256,
    mlp_ratio: 3,
    guidance_embeds: true,
    axes_dims_rope: [32, 32, 32, 32],
  }],
  ["FLUX.2-klein-4B's transformer", flux2Shapes("klein4B"), "transformer", {
    num_layers: 5,
    num_single_layers: 20,
    num_attention_heads: 24,
    joint_attention_dim: 7680,
    guidance_embeds: false,
  }],
  ["FLUX.2's VAE", flux2VaeShapes(), "vae", {
    _class_name: "AutoencoderKLFlux2",
    latent_channels: 32,
    block_out_channels: [128, 256, 512, 512],
    decoder_block_out_channels: null,
    layers_per_block: 2,
    use_quant_conv: true,
    use_post_quant_conv: true,
  }],
  ["FLUX.2's VAE with a small decoder", flux2VaeShapes([96, 192, 384, 384]), "vae", {
    decoder_block_out_channels: [96, 192, 384, 384],
  }],
  ["Z-Image's transformer", zImageShapes(), "transformer", {
    all_patch_size: [2],
    all_f_patch_size: [1],
    in_channels: 16,
    dim: 3840,
    n_layers: 30,
    n_refiner_layers: 2,
    n_heads: 30,
    qk_norm: true,
    cap_feat_dim: 2560,
    axes_dims: [32, 48, 48],
    axes_lens: [1536, 512, 512],
  }],
  ...([["Qwen3-4B", ""], ["Qwen3-4B among others", "text_encoders.qwen3_4b.transformer."]] as const).map((
    [what, prefix],
  ): [string, Shapes, string, Record<string, unknown>] => [
    what,
    prefixed(prefix, qwen3Shapes()),
    "text_encoder",
    {
      vocab_size: 151936,
      hidden_size: 2560,
      intermediate_size: 9728,
      num_hidden_layers: 36,
      num_attention_heads: 32,
      num_key_value_heads: 8,
      head_dim: 128,
      attention_bias: false,
      max_position_embeddings: 40960,
      rope_theta: 1_000_000,
    },
  ]),
  ["T5-XXL", t5Shapes(), "text_encoder_2", {
    vocab_size: 32128,
    d_model: 4096,
    d_kv: 64,
    d_ff: 10240,
    num_layers: 24,
    num_heads: 64,
    feed_forward_proj: "gated-gelu",
    relative_attention_num_buckets: 32,
  }],
];

for (const [what, shapes, folder, config] of configs) {
  Deno.test(`the config of ${what} is read off its shapes`, () => {
    const infos = infosOf(shapes);
    const found = findParts(infos).get(folder)!.config(infos);
    assert.deepEqual(Object.fromEntries(Object.keys(config).map((key) => [key, found[key]])), config);
  });
}

for (
  const [key, name] of [
    ["model.diffusion_model.joint_blocks.0.context_block.adaLN_modulation.1.bias", "Stable Diffusion 3"],
    ["distilled_guidance_layer.in_proj.bias", "Chroma"],
    ["edm_mean", "Playground v2.5"],
    ["layers.0.adaLN_modulation.1.weight", "Lumina"],
    ["model.diffusion_model.siglip_embedder.0.weight", "Z-Image-Omni"],
    ["model.diffusion_model.label_emb.weight", "the Stable Diffusion x4 upscaler"],
  ]
) {
  Deno.test(`${name} is known and not taken for another model`, () => {
    assert.equal(notBuiltModel(infosOf({ [key!]: [1] })), name);
  });
}

Deno.test("no family that is read is taken for a model that is not", () => {
  for (const [what, shapes] of files) assert.equal(notBuiltModel(infosOf(shapes)), undefined, what);
});
