/** Configs and weights of whole models where a part of them is asked for, and of other classes. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { readJson } from "../../../src/io/config.ts";
import {
  AutoencoderKL,
  CLIPTextModel,
  CLIPTextModelWithProjection,
  T5EncoderModel,
  UNet2DConditionModel,
  UNet2DModel,
} from "../../../src/models/mod.ts";
import { TestFolder } from "../../support/files.ts";
import { fixture } from "../../support/fixtures.ts";
import { readRaw, safetensorsOf } from "../../support/raw_tensors.ts";
import "../../support/device.ts";

const emoji = join(import.meta.dirname!, "../../../models/emoji-diffusion");
const one = { dtype: "F32", shape: [1], bytes: new Uint8Array(4) };

/** Adds tensors to a file of weights, behind a config of its own. */
async function wholeModel(
  folder: TestFolder,
  weights: string,
  { config, keys }: { config: Record<string, unknown>; keys: string[] },
): Promise<string> {
  const tensors = new Map([...await readRaw(weights), ...keys.map((key) => [key, one] as const)]);
  folder.write("config.json", JSON.stringify(config));
  folder.write("model.safetensors", safetensorsOf(tensors));
  return folder.path;
}

Deno.test("CLIPTextModel takes its part of a whole CLIP, without a notice", async () => {
  using folder = new TestFolder();
  const text_config = await readJson(`${emoji}/text_encoder/config.json`) as Record<string, unknown>;
  const path = await wholeModel(folder, `${emoji}/text_encoder/model.safetensors`, {
    config: {
      architectures: ["CLIPModel"],
      model_type: "clip",
      // Transformers before 4.50 wrote all that it knew of any model.
      text_config: {
        ...text_config,
        top_k: 50,
        bad_words_ids: null,
        id2label: { 0: "LABEL_0" },
        tokenizer_class: null,
      },
      vision_config: { model_type: "clip_vision_model", hidden_size: 32 },
      projection_dim: 99,
      logit_scale_init_value: 2.6592,
    },
    keys: ["vision_model.embeddings.class_embedding", "visual_projection.weight", "logit_scale"],
  });
  const ids = [[3070, 5, 6, 3071]];
  const notices: string[] = [];
  const onNotice = (line: string) => notices.push(line);
  using plain = await CLIPTextModel.fromPretrained(`${emoji}/text_encoder`, {
    dtype: "f32",
    onNotice: () => {},
  });
  using whole = await CLIPTextModel.fromPretrained(path, { dtype: "f32", onNotice });
  assert.deepEqual({ ...plain.config, ...whole.config }, whole.config);
  assert.deepEqual(
    await whole.forward(ids).lastHiddenState.data(),
    await plain.forward(ids).lastHiddenState.data(),
  );
  assert.deepEqual(notices, []);
});

Deno.test("CLIP's text_config has transformers' defaults for the keys that it leaves out", async () => {
  using folder = new TestFolder();
  const path = await wholeModel(folder, `${emoji}/text_encoder/model.safetensors`, {
    config: {
      model_type: "clip",
      text_config: { projection_dim: 768 },
      projection_dim: 1024,
      hidden_size: 3,
    },
    keys: [],
  });
  // As CLIPTextConfig.from_pretrained() of transformers 5.23 has it; the weights are of a narrower model.
  await assert.rejects(
    CLIPTextModelWithProjection.fromPretrained(path),
    /expected shape \[49408, 512\], got \[3072, 128\]/,
  );
});

Deno.test("T5EncoderModel takes its part of a whole T5, without a notice", async () => {
  using folder = new TestFolder();
  const source = fixture("flux/pipeline/text_encoder_2");
  const config = await readJson(`${source}/config.json`) as Record<string, unknown>;
  const path = await wholeModel(folder, `${source}/model.safetensors.index.json`, {
    config: {
      ...config,
      architectures: ["T5ForConditionalGeneration"],
      task_specific_params: {},
      num_beams: 4,
    },
    keys: ["decoder.embed_tokens.weight", "decoder.block.0.layer.0.SelfAttention.q.weight", "lm_head.weight"],
  });
  const notices: string[] = [];
  const options = { dtype: "f32", onNotice: (line: string) => notices.push(line) } as const;
  using plain = await T5EncoderModel.fromPretrained(source, options);
  using whole = await T5EncoderModel.fromPretrained(path, options);
  const ids = [[3, 9, 1]];
  assert.deepEqual(
    await whole.forward(ids).lastHiddenState.data(),
    await plain.forward(ids).lastHiddenState.data(),
  );
  assert.deepEqual(notices, []);
});

const others: [type: typeof UNet2DModel, config: Record<string, unknown>, found: string][] = [
  [UNet2DModel, { _class_name: "AutoencoderKL" }, "AutoencoderKL"],
  [UNet2DModel, { _class_name: "UNet9DModel" }, "UNet9DModel"],
  [UNet2DModel, { model_type: "clip_text_model", architectures: ["CLIPTextModel"] }, "CLIPTextModel"],
  [UNet2DConditionModel, { _class_name: "UNet2DModel" }, "UNet2DModel"],
  [AutoencoderKL, { _class_name: "AutoencoderTiny" }, "AutoencoderTiny"],
  [CLIPTextModel, { _class_name: "UNet2DConditionModel" }, "UNet2DConditionModel"],
  [CLIPTextModel, { model_type: "siglip", text_config: {}, architectures: ["SiglipModel"] }, "SiglipModel"],
  [CLIPTextModel, { model_type: "t5" }, "t5"],
  [T5EncoderModel, { model_type: "umt5", architectures: ["UMT5EncoderModel"] }, "UMT5EncoderModel"],
] as never;

for (const [type, config, found] of others) {
  Deno.test(`${type.name} refuses a config of ${found} by name`, async () => {
    using folder = new TestFolder();
    folder.write("config.json", JSON.stringify(config));
    folder.write("model.safetensors", safetensorsOf(new Map([["a", one]])));
    await assert.rejects(type.fromPretrained(folder.path), {
      message: `Cannot load ${type.name}: expected its config in ${folder.path}/config.json, got that of ` +
        `"${found}"; it is another model: name its class, or another subfolder`,
    });
  });
}

Deno.test("null for true or false is false in a config, as to Python", () => {
  assert.equal(UNet2DConditionModel.schema.parse({ upcast_attention: null }).upcast_attention, false);
  assert.equal(AutoencoderKL.schema.parse({ force_upcast: null, norm_num_groups: 1 }).force_upcast, false);
  assert.equal(UNet2DModel.schema.parse({ flip_sin_to_cos: null }).flip_sin_to_cos, false);
  assert.equal(UNet2DModel.schema.parse({}).flip_sin_to_cos, true);
});

Deno.test("a pipeline's folder where a model is wanted lists the subfolders that there are", async () => {
  const folders = "text_encoder, unet, vae";
  await assert.rejects(UNet2DConditionModel.fromPretrained(emoji), {
    message: `Cannot load a model from ${emoji}: expected config.json, got models in ${folders}; ` +
      "name one of these folders as subfolder",
  });
  await assert.rejects(UNet2DConditionModel.fromPretrained(emoji, { subfolder: "transformer" }), {
    message:
      `Cannot load a model from ${emoji}: expected transformer/config.json, got models in ${folders}; ` +
      "name one of these folders as subfolder",
  });
});
