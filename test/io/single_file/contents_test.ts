import assert from "node:assert/strict";
import {
  findSingleFileModel,
  findSingleFileTokenizer,
  readSingleFileIndex,
} from "../../../src/io/single_file/contents.ts";
import { schedulerClasses } from "../../../src/schedulers/mod.ts";
import { behind, toBflFlux, toLdmUnet, toLdmVae, toOpenClip } from "../../support/authors_layout.ts";
import { fixture } from "../../support/fixtures.ts";
import { type RawTensor, readRaw, safetensorsOf } from "../../support/raw_tensors.ts";
import { TestFolder } from "../../support/files.ts";

type Raws = Map<string, RawTensor>;

const weights = (name: string) => readRaw(fixture(`${name}.safetensors`));
const [unet, unetXL, vae, clip, projection, transformer, fluxVae] = await Promise.all([
  weights("unet_2d_condition/weights/base"),
  weights("unet_2d_condition/weights/xl"),
  weights("autoencoder_kl/weights/base"),
  weights("clip_text/weights/quick_gelu"),
  weights("clip_text/weights/projection"),
  weights("flux/transformer_schnell/diffusion_pytorch_model"),
  weights("flux/pipeline/vae/diffusion_pytorch_model"),
]);
const levels =
  new Set(vae.keys().map((key) => /^decoder\.up_blocks\.(\d+)/.exec(key)?.[1]).filter(Boolean)).size;
const ldmVae = toLdmVae(vae, levels);
const spare = { spare: true };

const files = {
  sd1: [toLdmUnet(unet, 1), ldmVae, behind(clip, "cond_stage_model.transformer.")],
  sd2: [toLdmUnet(unet, 1), ldmVae, toOpenClip(clip, "cond_stage_model.model.", spare)],
  sdxl: [
    ...[toLdmUnet(unetXL, 1), ldmVae, behind(clip, "conditioner.embedders.0.transformer.")],
    toOpenClip(projection, "conditioner.embedders.1.model.", { spare: false }),
  ],
  refiner: [
    toLdmUnet(unetXL, 1),
    ldmVae,
    toOpenClip(projection, "conditioner.embedders.0.model.", { spare: false }),
  ],
  schnell: [toBflFlux(transformer)],
  fluxVae: [toLdmVae(fluxVae, 4, "")],
} satisfies Record<string, Raws[]>;

/** Writes one of the files for a test. */
async function withFile(name: keyof typeof files, test: (path: string) => Promise<void>): Promise<void> {
  using folder = new TestFolder();
  const tensors = new Map(files[name].flatMap((part) => [...part]));
  await test(folder.write(`${name}.safetensors`, safetensorsOf(tensors)));
}

const quiet = { onNotice: () => {} };

const indices: [keyof typeof files, Record<string, unknown>][] = [
  ["sd1", {
    _class_name: "StableDiffusionPipeline",
    ...{
      unet: ["", "UNet2DConditionModel"],
      vae: ["", "AutoencoderKL"],
      text_encoder: ["", "CLIPTextModel"],
    },
    ...{ tokenizer: ["", "CLIPTokenizer"], scheduler: ["", "PNDMScheduler"] },
  }],
  ["refiner", {
    _class_name: "StableDiffusionXLImg2ImgPipeline",
    ...{ unet: ["", "UNet2DConditionModel"], vae: ["", "AutoencoderKL"] },
    ...{ text_encoder_2: ["", "CLIPTextModelWithProjection"], tokenizer_2: ["", "CLIPTokenizer"] },
    ...{ scheduler: ["", "EulerDiscreteScheduler"] },
    ...{ requires_aesthetics_score: true, force_zeros_for_empty_prompt: false },
  }],
  ["schnell", {
    _class_name: "FluxPipeline",
    ...{ transformer: ["", "FluxTransformer2DModel"], vae: ["", "AutoencoderKL"] },
    ...{ text_encoder: ["", "CLIPTextModel"], text_encoder_2: ["", "T5EncoderModel"] },
    ...{ tokenizer: ["", "CLIPTokenizer"], tokenizer_2: ["", "T5TokenizerFast"] },
    scheduler: ["", "FlowMatchEulerDiscreteScheduler"],
  }],
];

for (const [name, want] of indices) {
  Deno.test(`a file of ${name} has the model_index.json of its family`, async () => {
    await withFile(name, async (path) => {
      assert.deepEqual((await readSingleFileIndex(path, quiet)).json, want);
    });
  });
}

const schedulers: [keyof typeof files, string, Record<string, unknown>][] = [
  ["sd1", "PNDMScheduler", { prediction_type: "epsilon", beta_schedule: "scaled_linear", steps_offset: 1 }],
  ["sd2", "DDIMScheduler", { prediction_type: "v_prediction", clip_sample: false, set_alpha_to_one: false }],
  ["sdxl", "EulerDiscreteScheduler", {
    prediction_type: "epsilon",
    timestep_spacing: "leading",
    beta_end: 0.012,
  }],
  ["schnell", "FlowMatchEulerDiscreteScheduler", { shift: 1, use_dynamic_shifting: false }],
];

for (const [name, className, want] of schedulers) {
  Deno.test(`a file of ${name} has the scheduler of its family`, async () => {
    await withFile(name, async (path) => {
      const { json } = await readSingleFileIndex(path, quiet);
      assert.deepEqual(json["scheduler"], ["", className]);
      const { config } = await schedulerClasses[className]!.fromPretrained(path, quiet);
      const found = config as Record<string, unknown>;
      assert.deepEqual(Object.fromEntries(Object.keys(want).map((key) => [key, found[key]])), want);
    });
  });
}

Deno.test("what an SD 2 file predicts is guessed aloud, and the option decides", async () => {
  await withFile("sd2", async (path) => {
    const notices: string[] = [];
    const { DDIMScheduler } = schedulerClasses;
    await DDIMScheduler!.fromPretrained(path, { onNotice: (line: string) => notices.push(line) });
    assert.deepEqual(notices, [
      `${path} does not say what it predicts: taking v_prediction; the option predictionType decides`,
    ]);
    const { config } = await DDIMScheduler!.fromPretrained(path, { predictionType: "epsilon" });
    assert.equal((config as { prediction_type: string }).prediction_type, "epsilon");
  });
});

const configs: [keyof typeof files, string, Record<string, unknown>][] = [
  ["sd1", "vae", { scaling_factor: 0.18215, sample_size: 512 }],
  ["sd1", "unet", { sample_size: 64 }],
  ["sd2", "unet", { sample_size: 96 }],
  ["sdxl", "vae", { scaling_factor: 0.13025, sample_size: 1024 }],
  ["fluxVae", "vae", { scaling_factor: 0.3611, shift_factor: 0.1159 }],
];

for (const [name, folder, want] of configs) {
  Deno.test(`the ${folder} in a file of ${name} has what its family has in common`, async () => {
    await withFile(name, async (path) => {
      const found = await findSingleFileModel(path, folder, quiet);
      assert.ok("json" in found);
      assert.deepEqual(Object.fromEntries(Object.keys(want).map((key) => [key, found.json[key]])), want);
    });
  });
}

Deno.test("tokenizers come from CLIP's repository, with the pad token of their family, or from base", async () => {
  const clip = { pathOrRepo: "openai/clip-vit-large-patch14", subfolder: "" };
  const want: [keyof typeof files, string, Record<string, unknown>][] = [
    ["sd1", "tokenizer", { ...clip, padToken: undefined }],
    ["sd2", "tokenizer", { ...clip, padToken: "!" }],
    ["sdxl", "tokenizer", { ...clip, padToken: undefined }],
    ["sdxl", "tokenizer_2", { ...clip, padToken: "!" }],
    ["schnell", "tokenizer_2", { pathOrRepo: "google/t5-v1_1-xxl", subfolder: "", padToken: undefined }],
  ];
  for (const [name, folder, place] of want) {
    await withFile(name, async (path) => {
      assert.deepEqual(await findSingleFileTokenizer(path, folder, quiet), place);
      assert.deepEqual(await findSingleFileTokenizer(path, folder, { base: "./sd" }), {
        ...{ pathOrRepo: "./sd", subfolder: folder, padToken: undefined },
      });
    });
  }
});

Deno.test("a file under transformers' names has the config that lies beside it", async () => {
  using folder = new TestFolder();
  const path = folder.write("model.safetensors", safetensorsOf(clip));
  const alone = await findSingleFileModel(path, "text_encoder", quiet);
  folder.write("config.json", '{"hidden_act": "gelu"}');
  const beside = await findSingleFileModel(path, "text_encoder", quiet);
  assert.ok("json" in alone && "json" in beside);
  assert.deepEqual([alone.json["hidden_act"], beside.json["hidden_act"]], ["quick_gelu", "gelu"]);
});
