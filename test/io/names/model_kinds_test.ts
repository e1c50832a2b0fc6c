import assert from "node:assert/strict";
import { openDevice } from "../../../src/gpu/open/open.ts";
import { openCheckpoint } from "../../../src/io/formats/checkpoint.ts";
import { modelKind } from "../../../src/io/names/model_kinds.ts";
import { openSingleFile } from "../../../src/io/single_file/file.ts";
import { loadLora, UNet2DConditionModel } from "../../../src/models/mod.ts";
import { DiffusionPipeline } from "../../../src/pipelines/mod.ts";
import { fixture } from "../../support/fixtures.ts";
import { TestFolder } from "../../support/files.ts";

const folder = `${import.meta.dirname}/../../../models`;
const STEM = "diffusion_pytorch_model.safetensors";

/** Files of this project, and what they are. */
const files: [path: string, name: string][] = [
  [`${folder}/emoji-diffusion/unet/${STEM}`, "UNet2DConditionModel"],
  [`${folder}/emoji-diffusion/vae/${STEM}`, "AutoencoderKL"],
  [`${folder}/emoji-diffusion/text_encoder/model.safetensors`, "CLIPTextModel"],
  [`${folder}/emoji-ddpm/unet/${STEM}`, "UNet2DModel"],
  [fixture(`flux/pipeline/transformer/${STEM}.index.json`), "FluxTransformer2DModel"],
  [fixture("flux/pipeline/text_encoder_2/model.safetensors.index.json"), "T5EncoderModel"],
  [fixture("zimage/pipeline/text_encoder/model.safetensors.index.json"), "Qwen3Model"],
  [fixture(`zimage/pipeline/transformer/${STEM}.index.json`), "ZImageTransformer2DModel"],
  [fixture("zimage/lora/kohya.safetensors"), "a LoRA"],
  [fixture("flux/lora/kohya.safetensors"), "a LoRA"],
  [fixture("flux/lora/diffusers.safetensors"), "a LoRA"],
  [fixture("flux/lora/xlabs.safetensors"), "a LoRA"],
];

for (const [path, name] of files) {
  Deno.test(`modelKind() knows ${path.split("/").slice(-3).join("/")} as ${name}`, async () => {
    using checkpoint = await openCheckpoint(path);
    assert.equal(modelKind(checkpoint.tensors.keys())?.name, name);
  });
}

/** Keys of files that are published, and what they are. */
const keys: [keys: string[], name: string | undefined][] = [
  [
    ["text_model.encoder.layers.0.self_attn.q_proj.weight", "vision_model.post_layernorm.weight"],
    "a whole CLIP",
  ],
  [["encoder.block.0.layer.0.SelfAttention.q.weight", "decoder.final_layer_norm.weight"], "a whole T5"],
  [["decoder.up_blocks.0.resnets.0.conv1.weight"], "the decoder of an AutoencoderKL"],
  [["controlnet_cond_embedding.conv_in.weight", "down_blocks.0.resnets.0.conv1.weight"], "ControlNetModel"],
  [
    ["input_hint_block.conv_in.weight", "controlnet_blocks.0.weight", "controlnet_x_embedder.weight"],
    "FluxControlNetModel",
  ],
  [["control_all_x_embedder.2-1.weight", "control_layers.0.after_proj.bias"], "ZImageControlNetModel"],
  [["image_proj.proj.weight", "ip_adapter.1.to_k_ip.weight"], "an IP-Adapter"],
  [["vision_model.head.probe", "vision_model.post_layernorm.bias"], "SiglipVisionModel"],
  [["vision_model.post_layernorm.bias"], "the part of CLIP that sees pictures"],
  [["redux_up.weight", "redux_down.weight"], "ReduxImageEncoder"],
  [["emb_params"], "a textual inversion"],
  [["lora_unet_x.hada_w1_a"], "a LoRA"],
  [["model.diffusion_model.input_blocks.0.0.weight"], "a single file"],
  [["a", "b"], undefined],
];

for (const [names, name] of keys) {
  Deno.test(`modelKind() knows ${names.join(", ")} as ${name}`, () =>
    assert.equal(modelKind(names)?.name, name));
}

Deno.test("another model's file is named where a model, a LoRA or a pipeline is wanted", async () => {
  using _device = await openDevice();
  using test = new TestFolder();
  const config = Deno.readFileSync(`${folder}/emoji-diffusion/unet/config.json`);
  test.write("unet/config.json", config);
  test.write(`unet/${STEM}`, Deno.readFileSync(`${folder}/emoji-diffusion/vae/${STEM}`));
  await assert.rejects(UNet2DConditionModel.fromPretrained(`${test.path}/unet`), {
    message: `Cannot load UNet2DConditionModel from ${test.path}/unet/${STEM}: expected its keys, ` +
      "got those of AutoencoderKL",
  });
  const lora = Deno.readFileSync(fixture("flux/lora/kohya.safetensors"));
  test.write(`unet/${STEM}`, lora);
  await assert.rejects(UNet2DConditionModel.fromPretrained(`${test.path}/unet`), {
    message: /: expected its keys, got those of a LoRA; load it onto a model: loadLoraWeights\(\), --lora$/,
  });
  const alone = test.write("style.safetensors", lora);
  await assert.rejects(DiffusionPipeline.fromPretrained(alone), {
    message: /: expected the UNet of .*, got a LoRA; load it onto a model: loadLoraWeights\(\), --lora$/,
  });
  using unet = await UNet2DConditionModel.fromPretrained(`${folder}/emoji-diffusion`, { subfolder: "unet" });
  const vae = `${folder}/emoji-diffusion/vae/${STEM}`;
  await assert.rejects(loadLora(vae, { unet }), {
    message: `Cannot use ${vae}: expected a LoRA, got the keys of AutoencoderKL; name the file of a LoRA, ` +
      "or load this as a model",
  });
});

Deno.test("one of several shards is no single file", async () => {
  const shard = fixture("flux/pipeline/transformer/diffusion_pytorch_model-00001-of-00004.safetensors");
  await assert.rejects(openSingleFile(shard), {
    message: `Cannot load ${shard}: expected a whole file, got one of 4 shards; name the folder of its index`,
  });
});
