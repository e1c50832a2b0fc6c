import assert from "node:assert/strict";
import { loraKeyMap } from "../../../src/io/names/lora.ts";
import type { LoraFile, LoraPair } from "../../../src/io/lora/file.ts";
import type { LoraChange } from "../../../src/io/lora/changes.ts";
import { matchLora } from "../../../src/io/lora/match.ts";
import { flatName, type LoraPart, splitName } from "../../../src/io/names/lora.ts";

type Layers = Map<string, number[]>;

/** The layers of SDXL's UNet that LoRAs change, with their own numbers of blocks. */
const XL: Layers = new Map();
{
  const resnet = (path: string) => {
    for (const layer of ["conv1", "conv2", "conv_shortcut"]) XL.set(`${path}.${layer}`, [8, 8, 3, 3]);
    XL.set(`${path}.time_emb_proj`, [8, 8]);
  };
  const attention = (path: string, depth: number) => {
    for (const layer of ["proj_in", "proj_out"]) XL.set(`${path}.${layer}`, [8, 8]);
    for (let i = 0; i < depth; i++) {
      for (const layer of ["attn1.to_q", "attn2.to_out.0", "ff.net.0.proj"]) {
        XL.set(`${path}.transformer_blocks.${i}.${layer}`, [8, 8]);
      }
    }
  };
  const conv = [8, 8, 3, 3];
  for (const layer of ["conv_in", "conv_out"]) XL.set(layer, conv);
  for (const layer of ["time_embedding", "add_embedding"]) {
    for (const n of [1, 2]) XL.set(`${layer}.linear_${n}`, [8, 8]);
  }
  for (const block of [0, 1, 2]) {
    for (const n of [0, 1]) {
      resnet(`down_blocks.${block}.resnets.${n}`);
      if (block > 0) attention(`down_blocks.${block}.attentions.${n}`, 2);
    }
    if (block < 2) XL.set(`down_blocks.${block}.downsamplers.0.conv`, conv);
    for (const n of [0, 1, 2]) {
      resnet(`up_blocks.${block}.resnets.${n}`);
      if (block < 2) attention(`up_blocks.${block}.attentions.${n}`, 2);
    }
    if (block < 2) XL.set(`up_blocks.${block}.upsamplers.0.conv`, conv);
  }
  for (const n of [0, 1]) resnet(`mid_block.resnets.${n}`);
  attention("mid_block.attentions.0", 2);
}

/** What files trained on Stability's UNet call its layers, in order of blocks. */
const SGM: [name: string, layer: string][] = [
  ["lora_unet_input_blocks_0_0", "conv_in"],
  ["lora_unet_out_2", "conv_out"],
  ["lora_unet_time_embed_2", "time_embedding.linear_2"],
  ["lora_unet_label_emb_0_0", "add_embedding.linear_1"],
  ["lora_unet_input_blocks_1_0_in_layers_2", "down_blocks.0.resnets.0.conv1"],
  ["lora_unet_input_blocks_2_0_emb_layers_1", "down_blocks.0.resnets.1.time_emb_proj"],
  ["lora_unet_input_blocks_3_0_op", "down_blocks.0.downsamplers.0.conv"],
  ["lora_unet_input_blocks_4_0_skip_connection", "down_blocks.1.resnets.0.conv_shortcut"],
  ["lora_unet_input_blocks_4_1_proj_in", "down_blocks.1.attentions.0.proj_in"],
  [
    "lora_unet_input_blocks_8_1_transformer_blocks_1_attn2_to_out_0",
    "down_blocks.2.attentions.1.transformer_blocks.1.attn2.to_out.0",
  ],
  ["lora_unet_middle_block_0_out_layers_3", "mid_block.resnets.0.conv2"],
  [
    "lora_unet_middle_block_1_transformer_blocks_0_attn1_to_q",
    "mid_block.attentions.0.transformer_blocks.0.attn1.to_q",
  ],
  ["lora_unet_middle_block_2_in_layers_2", "mid_block.resnets.1.conv1"],
  ["lora_unet_output_blocks_2_1_proj_out", "up_blocks.0.attentions.2.proj_out"],
  ["lora_unet_output_blocks_2_2_conv", "up_blocks.0.upsamplers.0.conv"],
  ["lora_unet_output_blocks_5_2_conv", "up_blocks.1.upsamplers.0.conv"],
  ["lora_unet_output_blocks_8_0_skip_connection", "up_blocks.2.resnets.2.conv_shortcut"],
  [
    "diffusion_model.output_blocks.3.1.transformer_blocks.0.ff.net.0.proj",
    "up_blocks.1.attentions.0.transformer_blocks.0.ff.net.0.proj",
  ],
  [
    "lora_unet_up_blocks_1_attentions_0_transformer_blocks_0_attn1_to_q",
    "up_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q",
  ],
  [
    "unet.mid_block.attentions.0.transformer_blocks.1.attn2.processor.to_out",
    "mid_block.attentions.0.transformer_blocks.1.attn2.to_out.0",
  ],
];

for (const [name, layer] of SGM) {
  Deno.test(`${name} is the layer ${layer} of SDXL's UNet`, () => {
    const { parts, layer: flat } = splitName(name);
    assert.equal(parts[0], "image");
    const rows = XL.get(layer)![0]!;
    assert.deepEqual(loraKeyMap(XL).get(flat), [{ layer, first: 0, rows, swapped: false }]);
  });
}

Deno.test("an upsampler behind a block without attention is the second part of its block", () => {
  const layers: Layers = new Map([
    ["up_blocks.0.resnets.0.conv1", [8, 8, 3, 3]],
    ["up_blocks.0.resnets.1.conv1", [8, 8, 3, 3]],
    ["up_blocks.0.upsamplers.0.conv", [8, 8, 3, 3]],
  ]);
  assert.deepEqual(loraKeyMap(layers).get("output_blocks_1_1_conv")?.map(({ layer }) => layer), [
    "up_blocks.0.upsamplers.0.conv",
  ]);
});

/** A FLUX of one block of each kind, with sizes that are not FLUX's. */
const FLUX: Layers = new Map([
  ["norm_out.linear", [24, 12]],
  ["proj_out", [5, 12]],
  ["transformer_blocks.0.attn.to_q", [12, 12]],
  ["transformer_blocks.0.attn.to_k", [12, 12]],
  ["transformer_blocks.0.attn.to_v", [12, 12]],
  ["transformer_blocks.0.attn.to_out.0", [12, 12]],
  ["transformer_blocks.0.norm1.linear", [72, 12]],
  ["single_transformer_blocks.0.attn.to_q", [12, 12]],
  ["single_transformer_blocks.0.attn.to_k", [12, 12]],
  ["single_transformer_blocks.0.attn.to_v", [12, 12]],
  ["single_transformer_blocks.0.proj_mlp", [30, 12]],
  ["single_transformer_blocks.0.proj_out", [12, 42]],
]);

const FUSED: [name: string, rows: [layer: string, first: number, rows: number][]][] = [
  ["lora_unet_double_blocks_0_img_attn_qkv", [
    ["transformer_blocks.0.attn.to_q", 0, 12],
    ["transformer_blocks.0.attn.to_k", 12, 12],
    ["transformer_blocks.0.attn.to_v", 24, 12],
  ]],
  ["base_model.model.single_blocks.0.linear1", [
    ["single_transformer_blocks.0.attn.to_q", 0, 12],
    ["single_transformer_blocks.0.attn.to_k", 12, 12],
    ["single_transformer_blocks.0.attn.to_v", 24, 12],
    ["single_transformer_blocks.0.proj_mlp", 36, 30],
  ]],
  ["single_blocks.0.processor.qkv", [
    ["single_transformer_blocks.0.attn.to_q", 0, 12],
    ["single_transformer_blocks.0.attn.to_k", 12, 12],
    ["single_transformer_blocks.0.attn.to_v", 24, 12],
  ]],
  ["double_blocks.0.processor.proj1", [["transformer_blocks.0.attn.to_out.0", 0, 12]]],
  ["lora_transformer_transformer_blocks_0_norm1_linear", [["transformer_blocks.0.norm1.linear", 0, 72]]],
  ["lora_unet_single_blocks_0_linear2", [["single_transformer_blocks.0.proj_out", 0, 12]]],
];

for (const [name, rows] of FUSED) {
  Deno.test(`the rows of ${name} go to ${rows.length} layers by the model's own sizes`, () => {
    const targets = loraKeyMap(FLUX).get(splitName(name).layer);
    assert.deepEqual(targets, rows.map(([layer, first, rows]) => ({ layer, first, rows, swapped: false })));
  });
}

Deno.test("only Black Forest Labs' name of the last modulation has its halves swapped", () => {
  const swapped = (name: string) => loraKeyMap(FLUX).get(splitName(name).layer)![0]!.swapped;
  assert.equal(swapped("lora_unet_final_layer_adaLN_modulation_1"), true);
  assert.equal(swapped("diffusion_model.final_layer.adaLN_modulation.1"), true);
  assert.equal(swapped("transformer.norm_out.linear"), false);
  assert.equal(swapped("lora_transformer_norm_out_linear"), false);
});

/** A Z-Image of one block, with sizes that are not Z-Image's. */
const Z_IMAGE: Layers = new Map([
  ["all_x_embedder.2-1", [12, 64]],
  ["all_final_layer.2-1.adaLN_modulation.1", [12, 8]],
  ["layers.0.adaLN_modulation.0", [48, 8]],
  ["layers.0.attention.to_q", [12, 12]],
  ["layers.0.attention.to_k", [12, 12]],
  ["layers.0.attention.to_v", [12, 12]],
  ["layers.0.attention.to_out.0", [12, 12]],
  ["cap_embedder.1", [12, 5]],
]);

const OF_Z_IMAGE: [name: string, layers: string[]][] = [
  ["lora_unet_layers_0_attention_qkv", ["to_q", "to_k", "to_v"].map((part) => `layers.0.attention.${part}`)],
  ["lora_unet_layers_0_attention_out", ["layers.0.attention.to_out.0"]],
  ["lora_unet_layers_0_adaLN_modulation_0", ["layers.0.adaLN_modulation.0"]],
  ["diffusion_model.layers.0.attention.to.k", ["layers.0.attention.to_k"]],
  ["diffusion_model.final_layer.adaLN_modulation.1", ["all_final_layer.2-1.adaLN_modulation.1"]],
  ["diffusion_model.x_embedder", ["all_x_embedder.2-1"]],
  ["transformer.all_x_embedder.2-1", ["all_x_embedder.2-1"]],
  ["base_model.model.cap_embedder.1", ["cap_embedder.1"]],
];

for (const [name, layers] of OF_Z_IMAGE) {
  Deno.test(`${name} is ${layers.join(", ")} of Z-Image`, () => {
    const targets = loraKeyMap(Z_IMAGE).get(splitName(name).layer)!;
    assert.deepEqual(
      targets.map(({ layer, swapped }) => [layer, swapped]),
      layers.map((layer) => [layer, false]),
    );
  });
}

Deno.test("a layer that a file has under two names gets its own name's pair alone", () => {
  const file = fileOf([
    pairOf("layers.0.attention.qkv", [2, 12], [36, 2]),
    ...["q", "k", "v"].map((part) => pairOf(`layers.0.attention.to.${part}`, [2, 12], [12, 2])),
    pairOf("layers.0.attention.out", [2, 12], [12, 2]),
    pairOf("layers.0.attention.to_out.0", [2, 12], [12, 2]),
  ]);
  const { placed, unmatched } = matchLora(file, modelsOf(["image", Z_IMAGE]));
  assert.deepEqual(unmatched, []);
  assert.deepEqual(placed.get("image")!.pairs.map(({ layer, pair }) => [layer, pair.name]), [
    ["layers.0.attention.to_q", "layers.0.attention.to.q"],
    ["layers.0.attention.to_k", "layers.0.attention.to.k"],
    ["layers.0.attention.to_v", "layers.0.attention.to.v"],
    ["layers.0.attention.to_out.0", "layers.0.attention.to_out.0"],
  ]);
});

const TEXT: Layers = new Map([
  ["encoder.layers.0.self_attn.q_proj", [4, 4]],
  ["encoder.layers.0.self_attn.out_proj", [4, 4]],
  ["encoder.layers.0.mlp.fc1", [8, 4]],
]);

const TEXTS: [name: string, part: LoraPart, layer: string][] = [
  [
    "lora_te_text_model_encoder_layers_0_self_attn_q_proj",
    "textEncoder",
    "encoder.layers.0.self_attn.q_proj",
  ],
  ["lora_te1_text_model_encoder_layers_0_mlp_fc1", "textEncoder", "encoder.layers.0.mlp.fc1"],
  ["lora_te2_text_model_encoder_layers_0_mlp_fc1", "textEncoder2", "encoder.layers.0.mlp.fc1"],
  [
    "text_encoder.text_model.encoder.layers.0.self_attn.to_out",
    "textEncoder",
    "encoder.layers.0.self_attn.out_proj",
  ],
  [
    "text_encoder_2.text_model.encoder.layers.0.self_attn.to_q",
    "textEncoder2",
    "encoder.layers.0.self_attn.q_proj",
  ],
  [
    "text_encoders.clip_l.transformer.text_model.encoder.layers.0.mlp.fc1",
    "textEncoder",
    "encoder.layers.0.mlp.fc1",
  ],
  [
    "text_encoders.clip_g.transformer.text_model.encoder.layers.0.mlp.fc1",
    "textEncoder2",
    "encoder.layers.0.mlp.fc1",
  ],
];

for (const [name, part, layer] of TEXTS) {
  Deno.test(`${name} is ${layer} of the ${part}`, () => {
    const [rows, K] = TEXT.get(layer)! as [number, number];
    const { placed, unmatched } = matchLora(
      fileOf([pairOf(name, [2, K], [rows, 2])]),
      modelsOf(["textEncoder", TEXT], ["textEncoder2", TEXT]),
    );
    assert.deepEqual(unmatched, []);
    assert.deepEqual([...placed].map(([part, { pairs: [first] }]) => [part, first!.layer]), [[part, layer]]);
  });
}

Deno.test("a name without a component is looked for in the image model, then in the text encoders", () => {
  const name = "base_model.model.text_model.encoder.layers.0.mlp.fc1";
  const { placed } = matchLora(
    fileOf([pairOf(name, [2, 4], [8, 2])]),
    modelsOf(["image", FLUX], ["textEncoder", TEXT]),
  );
  assert.deepEqual([...placed.keys()], ["textEncoder"]);
});

Deno.test("matchLora() names what no model has, and nothing is placed by guessing", () => {
  const pairs = ["lora_unet_double_blocks_7_img_mod_lin", "lora_te2_x", "unet.proj_outer"].map((name) =>
    pairOf(name, [2, 12], [12, 2])
  );
  const { placed, unmatched } = matchLora(fileOf(pairs), modelsOf(["image", FLUX]));
  assert.equal(placed.size, 0);
  assert.deepEqual(unmatched, pairs.map(({ name }) => name));
});

Deno.test("matchLora() refuses matrices of another model's sizes", () => {
  const name = "lora_unet_double_blocks_0_img_attn_qkv";
  const match = (down: number[], up: number[]) =>
    matchLora(fileOf([pairOf(name, down, up)]), modelsOf(["image", FLUX]));
  assert.throws(() => match([2, 12], [24, 2]), {
    name: "RangeError",
    message:
      `Cannot load lora.safetensors: expected "${name}.down" [2, 12] and its up [36, 2] for the layer ` +
      '"transformer_blocks.0.attn.to_q", got [2, 12] and [24, 2]; it was made for another model',
  });
  assert.throws(() => match([2, 13], [36, 2]), /got \[2, 13\] and \[36, 2\]; it was made for another model$/);
  assert.throws(() => match([2, 12, 3, 3], [36, 2, 1, 1]), /it was made for another model$/);
  assert.equal(match([2, 12, 1, 1], [36, 2, 1, 1]).placed.get("image")!.pairs.length, 3); // a dense layer as a convolution
});

Deno.test("flatName() writes names as kohya does and leaves processors out", () => {
  assert.equal(flatName("a.attn1.processor.to_q"), "a_attn1_to_q");
  assert.equal(flatName("double_blocks.0.processor.qkv1"), "double_blocks_0_qkv1");
});

function pairOf(name: string, down: number[], up: number[]): LoraPair {
  const info = (half: string, shape: number[]) =>
    ({ name: `${name}.${half}`, dtype: "F32", shape, bytes: 0 }) as const;
  const [rank] = down as [number];
  return { name, down: info("down", down), up: info("up", up), rank, alpha: rank, source: "rank", factor: 1 };
}

function fileOf(pairs: LoraPair[], changes: LoraChange[] = []): LoraFile {
  return { path: "lora.safetensors", format: "kohya", pairs, changes, others: [], notices: [] };
}

/** Models whose layers all multiply, with a bias each. */
function modelsOf(...models: [LoraPart, Layers][]) {
  return new Map(models.map(([part, layers]) => {
    const tensors = [...layers].flatMap(([layer, shape]): [string, number[]][] => [
      [`${layer}.weight`, shape],
      [`${layer}.bias`, [shape[0]!]],
    ]);
    return [part, { products: layers, tensors: new Map(tensors), widens: [] }];
  }));
}

/** A difference of a weight or of a bias. */
function changeOf(name: string, target: "weight" | "bias", rows: number, columns: number): LoraChange {
  const strength = { rank: 0, alpha: 1, source: "rank", factor: 1 } as const;
  return { ...strength, name, target, kind: "difference", tensors: {}, rows, columns };
}

Deno.test("matchLora() finds weights and biases of changes, also of fused layers", () => {
  const qkv = "diffusion_model.double_blocks.0.img_attn.qkv";
  const file = fileOf([], [
    changeOf(qkv, "weight", 36, 12),
    changeOf(qkv, "bias", 36, 1),
    changeOf("lora_unet_double_blocks_0_img_attn_proj", "bias", 12, 1),
    changeOf("lora_unet_lost", "bias", 12, 1),
  ]);
  const { placed, unmatched } = matchLora(file, modelsOf(["image", FLUX]));
  assert.deepEqual(unmatched, ["lora_unet_lost (bias)"]);
  const changes = placed.get("image")!.changes.map((
    { change, layers },
  ) => [change.target, ...layers.map(({ layer, first, rows }) => [layer, first, rows])]);
  const attention = ["to_q", "to_k", "to_v"].map((
    part,
    i,
  ) => [`transformer_blocks.0.attn.${part}`, 12 * i, 12]);
  assert.deepEqual(changes, [["weight", ...attention], ["bias", ...attention], ["bias", [
    "transformer_blocks.0.attn.to_out.0",
    0,
    12,
  ]]]);
  assert.throws(() => matchLora(fileOf([], [changeOf(qkv, "weight", 36, 13)]), modelsOf(["image", FLUX])), {
    name: "RangeError",
    message:
      `Cannot load lora.safetensors: expected the difference "${qkv}" to be of [36, 12] for weight of the ` +
      'layer "transformer_blocks.0.attn.to_q", got [36, 13]; it was made for another model',
  });
});

Deno.test("kohya's names of all 304 layers of FLUX.1 in its blocks are matched, at its real sizes", () => {
  const D = 3072;
  const layers: Layers = new Map();
  const pairs: LoraPair[] = [];
  const pair = (name: string, rows: number, columns: number) =>
    pairs.push(pairOf(`lora_unet_${name}`, [64, columns], [rows, 64]));
  for (let n = 0; n < 19; n++) {
    const [block, theirs] = [`transformer_blocks.${n}`, `double_blocks_${n}`];
    const attention = [
      "to_q",
      "to_k",
      "to_v",
      "to_out.0",
      "add_q_proj",
      "add_k_proj",
      "add_v_proj",
      "to_add_out",
    ];
    for (const layer of attention) layers.set(`${block}.attn.${layer}`, [D, D]);
    for (const [stream, ff, norm] of [["img", "ff", "norm1"], ["txt", "ff_context", "norm1_context"]]) {
      layers.set(`${block}.${ff}.net.0.proj`, [4 * D, D]);
      layers.set(`${block}.${ff}.net.2`, [D, 4 * D]);
      layers.set(`${block}.${norm}.linear`, [6 * D, D]);
      pair(`${theirs}_${stream}_attn_qkv`, 3 * D, D);
      pair(`${theirs}_${stream}_attn_proj`, D, D);
      pair(`${theirs}_${stream}_mlp_0`, 4 * D, D);
      pair(`${theirs}_${stream}_mlp_2`, D, 4 * D);
      pair(`${theirs}_${stream}_mod_lin`, 6 * D, D);
    }
  }
  for (let n = 0; n < 38; n++) {
    const [block, theirs] = [`single_transformer_blocks.${n}`, `single_blocks_${n}`];
    for (const layer of ["to_q", "to_k", "to_v"]) layers.set(`${block}.attn.${layer}`, [D, D]);
    layers.set(`${block}.proj_mlp`, [4 * D, D]);
    layers.set(`${block}.proj_out`, [D, 5 * D]);
    layers.set(`${block}.norm.linear`, [3 * D, D]);
    pair(`${theirs}_linear1`, 7 * D, D);
    pair(`${theirs}_linear2`, D, 5 * D);
    pair(`${theirs}_modulation_lin`, 3 * D, D);
  }
  assert.equal(pairs.length, 304);
  const { placed, unmatched } = matchLora(fileOf(pairs), modelsOf(["image", layers]));
  assert.deepEqual(unmatched, []);
  assert.deepEqual(new Set(placed.get("image")!.pairs.map(({ layer }) => layer)), new Set(layers.keys()));
});

const layer = "transformer_blocks.0.attn.to_q";
const wrapped: [name: string, part: LoraPart[] | "any"][] = [
  [`base_model.model.${layer}`, "any"],
  [`base_model.model.transformer.${layer}`, ["image"]],
  [`base_model.model.unet.${layer}`, ["image"]],
  [`base_model.model.text_encoder.${layer}`, ["textEncoder"]],
  [`transformer.base_model.model.${layer}`, ["image"]],
  [`base_model.model.base_model.model.${layer}`, "any"],
  [`base_model.model.diffusion_model.${layer}`, ["image"]],
  [`base_model.model.model.diffusion_model.${layer}`, ["image"]],
  [`model.diffusion_model.${layer}`, ["image"]],
  [`module.${layer}`, "any"],
  [`module.transformer.module.${layer}`, ["image"]],
  [`_orig_mod.${layer}`, "any"],
  [`transformer._orig_mod.${layer}`, ["image"]],
  [`module._orig_mod.base_model.model.transformer.${layer}`, ["image"]],
  ["transformer.transformer_blocks.0._orig_mod.attn.to_q", ["image"]],
  ["_fsdp_wrapped_module.transformer_blocks.0._fsdp_wrapped_module.attn.to_q", "any"],
  ["lora_unet__orig_mod_transformer_blocks_0_attn_to_q", ["image"]],
  ["lora_te1_base_model_model_transformer_blocks_0_attn_to_q", ["textEncoder"]],
  ["text_encoder_2.module.transformer_blocks.0.attn.to_q", ["textEncoder2"]],
];

for (const [name, part] of wrapped) {
  Deno.test(`splitName() finds the layer of ${name}`, () => {
    const { parts, layer: flat } = splitName(name);
    assert.equal(flat, flatName(layer));
    assert.deepEqual(parts, part === "any" ? ["image", "textEncoder", "textEncoder2"] : part);
  });
}
