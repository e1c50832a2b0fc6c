import assert from "node:assert/strict";
import { openCheckpoint } from "../../../src/io/formats/checkpoint.ts";
import { kindOfChange } from "../../../src/io/lora/changes.ts";
import { type LoraFile, readLora } from "../../../src/io/lora/file.ts";
import { type HostArray, scalar, tensorFile } from "../../support/lora_files.ts";
import { badFile, TestFolder } from "../../support/files.ts";

/** Reads a LoRA of these tensors. */
async function read(
  tensors: Record<string, HostArray>,
  metadata?: Record<string, string>,
): Promise<LoraFile> {
  using folder = new TestFolder();
  const path = folder.write("lora.safetensors", tensorFile(tensors, metadata));
  using checkpoint = await openCheckpoint(path);
  return await readLora(checkpoint, "lora.safetensors");
}

const zeros = (...shape: number[]): HostArray => ({
  shape,
  data: new Float32Array(shape.reduce((a, b) => a * b, 1)),
});
const [down, up] = [zeros(4, 6), zeros(5, 4)];

const NAMES: [format: string, down: string, up: string, name: string, alpha?: string][] = [
  [
    "kohya",
    "lora_unet_x_y.lora_down.weight",
    "lora_unet_x_y.lora_up.weight",
    "lora_unet_x_y",
    "lora_unet_x_y.alpha",
  ],
  ["kohya", "lora_te2_x.lora_down.weight", "lora_te2_x.lora_up.weight", "lora_te2_x", "lora_te2_x.alpha"],
  [
    "OneTrainer",
    "lora_transformer_x.lora_down.weight",
    "lora_transformer_x.lora_up.weight",
    "lora_transformer_x",
  ],
  ["peft", "unet.x.to_out.0.lora_A.weight", "unet.x.to_out.0.lora_B.weight", "unet.x.to_out.0"],
  ["peft", "x.to_q.lora_A.default.weight", "x.to_q.lora_B.default.weight", "x.to_q"],
  ["diffusers", "x.processor.to_q_lora.down.weight", "x.processor.to_q_lora.up.weight", "x.processor.to_q"],
  ["diffusers", "unet.x.to_q.lora.down.weight", "unet.x.to_q.lora.up.weight", "unet.x.to_q"],
  ["diffusers", "x.fc1.lora_linear_layer.down.weight", "x.fc1.lora_linear_layer.up.weight", "x.fc1"],
  [
    "xlabs",
    "double_blocks.0.processor.qkv_lora1.down.weight",
    "double_blocks.0.processor.qkv_lora1.up.weight",
    "double_blocks.0.processor.qkv1",
  ],
  ["ComfyUI", "diffusion_model.x.lora_down.weight", "diffusion_model.x.lora_up.weight", "diffusion_model.x"],
  [
    "fal",
    "base_model.model.double_blocks.0.x.lora_A.weight",
    "base_model.model.double_blocks.0.x.lora_B.weight",
    "base_model.model.double_blocks.0.x",
  ],
  [
    "BFL",
    "single_blocks.0.linear1.lora_A.weight",
    "single_blocks.0.linear1.lora_B.weight",
    "single_blocks.0.linear1",
  ],
];

for (const [format, downName, upName, name, alphaName] of NAMES) {
  Deno.test(`readLora() knows the halves of ${downName} as ${format}`, async () => {
    const alpha: Record<string, HostArray> = alphaName ? { [alphaName]: scalar(2) } : {};
    const file = await read({ [downName]: down, [upName]: up, ...alpha });
    assert.equal(file.format, format);
    assert.deepEqual(file.others, []);
    assert.equal(file.pairs.length, 1);
    const [pair] = file.pairs;
    assert.deepEqual([pair!.name, pair!.down.name, pair!.up.name, pair!.rank], [name, downName, upName, 4]);
    assert.equal(pair!.factor, alphaName ? 0.5 : 1);
  });
}

Deno.test("readLora() takes alpha from its tensor, else for the rank, whatever kohya notes in the header", async () => {
  const tensors = { "lora_unet_x.lora_down.weight": down, "lora_unet_x.lora_up.weight": up };
  const told = async (alpha: Record<string, HostArray>, metadata?: Record<string, string>) => {
    const { alpha: value, source, factor } = (await read({ ...tensors, ...alpha }, metadata)).pairs[0]!;
    return { value, source, factor };
  };
  const kohya = { ss_network_alpha: "1.0", ss_network_dim: "4" };
  assert.deepEqual(await told({ "lora_unet_x.alpha": scalar(2) }, kohya), {
    value: 2,
    source: "tensor",
    factor: 0.5,
  });
  assert.deepEqual(await told({}, kohya), { value: 4, source: "rank", factor: 1 }, "as in diffusers");
  assert.deepEqual(await told({}), { value: 4, source: "rank", factor: 1 });
});

Deno.test("readLora() takes alphas from what peft notes, by component, by pattern and with rsLoRA", async () => {
  const tensors = {
    "unet.a.to_q.lora_A.weight": down,
    "unet.a.to_q.lora_B.weight": up,
    "unet.b.to_k.lora_A.weight": down,
    "unet.b.to_k.lora_B.weight": up,
    "text_encoder.c.lora_A.weight": down,
    "text_encoder.c.lora_B.weight": up,
  };
  const note = {
    "unet.r": 4,
    "unet.lora_alpha": 8,
    "unet.alpha_pattern": { "b.to_k": 2 },
    "unet.use_rslora": false,
    "text_encoder.lora_alpha": 6,
    "text_encoder.use_rslora": true,
  };
  const file = await read(tensors, { lora_adapter_metadata: JSON.stringify(note) });
  assert.deepEqual(file.pairs.map(({ alpha, source, factor }) => [alpha, source, factor]), [
    [8, "metadata", 2],
    [2, "metadata", 0.5],
    [6, "metadata", 3],
  ]);
});

const UNBUILT: [kind: string, key: string][] = [
  ["OFT", "lora_unet_x.oft_diag"],
  ["BOFT", "lora_unet_x.boft_R"],
  ["GLoRA", "lora_unet_x.a1.weight"],
  ["IA3", "lora_unet_x.on_input"],
  ["LoRA of tables of tokens", "text_encoder.x.lora_embedding_A"],
  ["LoRA for layers of another shape", "diffusion_model.img_in.reshape_weight"],
  ["GLoRA", "base_model.model.x.glora_Ad"],
  ["VeRA", "base_model.model.x.vera_lambda_b"],
  ["another adapter of peft", "base_model.model.x.hra_u"],
  ["another adapter of peft", "base_model.model.x.fourierft_spectrum"],
];

for (const [kind, key] of UNBUILT) {
  Deno.test(`readLora() refuses ${kind} by name, as in ${key}`, async () => {
    await assert.rejects(
      read({ "lora_unet_x.lora_down.weight": down, "lora_unet_x.lora_up.weight": up, [key]: zeros(4) }),
      {
        message: `Cannot load lora.safetensors: expected a LoRA, got ${kind} ("${key}"), which is not built`,
      },
    );
  });
}

Deno.test("readLora() reads the norms of a Control LoRA as whole weights, and leaves those of a model alone", async () => {
  const norms = {
    "double_blocks.0.img_attn.norm.query_norm.scale": zeros(4),
    "transformer.transformer_blocks.0.attn.norm_added_k.weight": zeros(4),
  };
  const file = await read({ ...norms, "img_in.lora_A.weight": down, "img_in.lora_B.weight": up });
  assert.deepEqual(file.changes.map(({ kind, name, target }) => [kind, name, target]), [
    ["whole weight", "double_blocks.0.img_attn.norm.query_norm", "weight"],
    ["whole weight", "transformer.transformer_blocks.0.attn.norm_added_k", "weight"],
  ]);
  const model = await read({ ...norms, "img_in.weight": down });
  assert.deepEqual([model.changes, model.others.length], [[], 3]);
});

Deno.test("readLora() finds what peft notes of a layer behind wrappers of its name", async () => {
  const name = "base_model.model.transformer.a.to_q";
  const note = { "transformer.lora_alpha": 8, "transformer.alpha_pattern": {} };
  const file = await read({ [`${name}.lora_A.weight`]: down, [`${name}.lora_B.weight`]: up }, {
    lora_adapter_metadata: JSON.stringify(note),
  });
  assert.deepEqual(file.pairs.map(({ alpha, factor }) => [alpha, factor]), [[8, 2]]);
});

Deno.test("readLora() refuses DoRA of which only the header tells", async () => {
  const metadata = { lora_adapter_metadata: '{"unet.use_dora": true}' };
  await assert.rejects(read({ "unet.x.lora_A.weight": down, "unet.x.lora_B.weight": up }, metadata), {
    message:
      "Cannot load lora.safetensors: expected the magnitudes of DoRA, as its config has use_dora, got none; " +
      "the file is incomplete, save it again",
  });
});

const pair = { "x.lora_down.weight": down, "x.lora_up.weight": up };
const loha = {
  "x.hada_w1_a": zeros(5, 2),
  "x.hada_w1_b": zeros(2, 6),
  "x.hada_w2_a": zeros(5, 2),
  "x.hada_w2_b": zeros(2, 6),
};

const CHANGES: [
  kind: string,
  target: string,
  size: (number | undefined)[],
  tensors: Record<string, HostArray>,
][] = [
  ["DoRA", "weight", [5, 6], { ...pair, "x.dora_scale": zeros(5, 1) }],
  ["DoRA", "weight", [5, 6], { ...pair, "x.dora_scale": zeros(1, 6) }],
  ["DoRA", "weight", [5, 6], { ...pair, "x.lora_magnitude_vector": zeros(5) }],
  ["DoRA", "weight", [5, 6], { ...pair, "x.lora_magnitude_vector.default.weight": zeros(5) }],
  ["LoCon", "weight", [5, 54], {
    "x.lora_down.weight": zeros(2, 6, 1, 1),
    "x.lora_up.weight": zeros(5, 2, 1, 1),
    "x.lora_mid.weight": zeros(2, 2, 3, 3),
  }],
  ["LoHa", "weight", [5, 6], loha],
  [
    "LoHa",
    "weight",
    [5, 6],
    Object.fromEntries(Object.entries(loha).map(([key, x]) => [`${key}.default`, x])),
  ],
  ["LoHa", "weight", [5, 54], {
    "x.hada_w1_a": zeros(2, 5),
    "x.hada_w1_b": zeros(2, 6),
    "x.hada_t1": zeros(2, 2, 3, 3),
    "x.hada_w2_a": zeros(2, 5),
    "x.hada_w2_b": zeros(2, 6),
    "x.hada_t2": zeros(2, 2, 3, 3),
  }],
  ["LoKr", "weight", [10, 12], { "x.lokr_w1": zeros(2, 3), "x.lokr_w2": zeros(5, 4) }],
  ["LoKr", "weight", [10, 108], { "x.lokr_w1": zeros(2, 3), "x.lokr_w2": zeros(5, 4, 3, 3) }],
  ["LoKr", "weight", [10, 12], {
    "x.lokr_w1_a": zeros(2, 1),
    "x.lokr_w1_b": zeros(1, 3),
    "x.lokr_w2_a": zeros(5, 2),
    "x.lokr_w2_b": zeros(2, 4),
  }],
  ["OFT", "weight", [6, undefined], { "x.oft_blocks": zeros(3, 2, 2), "x.rescale": zeros(6, 1) }],
  ["BOFT", "weight", [8, undefined], { "x.oft_blocks": zeros(3, 4, 2, 2) }],
  ["OFT", "weight", [undefined, 12], { "x.oft_R.weight": zeros(4, 3) }],
  ["difference", "weight", [5, 6], { "x.diff": zeros(5, 6) }],
  ["difference", "bias", [5, 1], { "x.diff_b": zeros(5) }],
  ["difference", "weight", [5, 1], { "x.w_norm": zeros(5) }],
  ["difference", "bias", [5, 1], { "x.b_norm": zeros(5) }],
  ["difference", "bias", [5, 1], { "x.lora_B.default.bias": zeros(5) }],
  ["whole weight", "weight", [5, 6], { "x.set_weight": zeros(5, 6) }],
  ["whole weight", "bias", [5, 1], { "x.modules_to_save.default.bias": zeros(5) }],
];

for (const [kind, target, size, tensors] of CHANGES) {
  Deno.test(`readLora() reads ${Object.keys(tensors).at(-1)} as a ${kind} of a ${target}`, async () => {
    const file = await read(tensors);
    assert.deepEqual([file.pairs, file.others, file.changes.length], [[], [], 1]);
    const [change] = file.changes;
    assert.deepEqual([kindOfChange(change!), change!.name, change!.target], [kind, "x", target]);
    assert.deepEqual([change!.rows, change!.columns], size);
  });
}

Deno.test("readLora() takes the strength of LoHa and LoKr from alpha and their rank", async () => {
  const factors = async (tensors: Record<string, HostArray>, note?: object) => {
    const metadata = note && { lora_adapter_metadata: JSON.stringify(note) };
    return (await read(tensors, metadata)).changes.map(({ factor }) => factor);
  };
  assert.deepEqual(await factors({ ...loha, "x.alpha": scalar(1) }), [0.5]);
  assert.deepEqual(await factors(loha), [1]);
  assert.deepEqual(await factors(loha, { r: 2, alpha: 3 }), [1.5]);
  const whole = { "x.lokr_w1": zeros(2, 3), "x.lokr_w2": zeros(5, 4) };
  assert.deepEqual(await factors({ ...whole, "x.alpha": scalar(4) }), [1]); // LyCORIS ignores it
  assert.deepEqual(await factors(whole, { r: 2, alpha: 3 }), [1.5]); // and peft does not
  const half = { "x.lokr_w1": zeros(2, 3), "x.lokr_w2_a": zeros(5, 2), "x.lokr_w2_b": zeros(2, 4) };
  assert.deepEqual(await factors({ ...half, "x.alpha": scalar(1) }), [0.5]);
});

Deno.test("readLora() reads pairs, and differences of biases beside them", async () => {
  const file = await read({ ...pair, "x.diff_b": zeros(5), "norm.w_norm": zeros(3) });
  assert.deepEqual(file.pairs.map(({ name }) => name), ["x"]);
  assert.deepEqual(file.changes.map(({ name, target }) => [name, target]), [["x", "bias"], [
    "norm",
    "weight",
  ]]);
});

const DAMAGED: [what: string, tensors: Record<string, HostArray>, message: RegExp][] = [
  [
    "a down without an up",
    { "lora_unet_x.lora_down.weight": down },
    /expected both halves of "lora_unet_x", got "lora_unet_x\.lora_down\.weight" without its up; the file is incomplete/,
  ],
  ["an up without a down", { "unet.x.lora_B.weight": up }, /got "unet\.x\.lora_B\.weight" without its down/],
  [
    "halves of two ranks",
    { "x.lora_A.weight": down, "x.lora_B.weight": zeros(5, 3) },
    /expected "x\.lora_A\.weight" \[rank, K\] and its up \[N, rank\] of one rank, got \[4, 6\] and \[5, 3\]/,
  ],
  [
    "halves of one axis",
    { "x.lora_A.weight": zeros(4), "x.lora_B.weight": up },
    /of one rank, got \[4\] and \[5, 4\]/,
  ],
  [
    "an up with a kernel",
    { "x.lora_A.weight": zeros(4, 6, 3, 3), "x.lora_B.weight": zeros(5, 4, 3, 3) },
    /got \[4, 6, 3, 3\] and \[5, 4, 3, 3\]/,
  ],
  [
    "a rank of none",
    { "x.lora_A.weight": zeros(0, 6), "x.lora_B.weight": zeros(5, 0) },
    /got \[0, 6\] and \[5, 0\]/,
  ],
  [
    "a LoHa without a half",
    { "x.hada_w1_a": zeros(5, 2), "x.hada_w1_b": zeros(2, 6), "x.hada_w2_a": zeros(5, 2) },
    /expected both halves of "x", got "x\.hada_w2_a" without its hada_w2_b; the file is incomplete/,
  ],
  [
    "a LoHa of two sizes",
    { ...loha, "x.hada_w2_b": zeros(2, 7) },
    /expected shapes of one LoHa in "x", got hada_w1_a \[5, 2\], .*hada_w2_b \[2, 7\]; the file is damaged/,
  ],
  [
    "a LoKr of two ranks",
    { "x.lokr_w1": zeros(2, 3), "x.lokr_w2_a": zeros(5, 2), "x.lokr_w2_b": zeros(3, 4) },
    /expected shapes of one LoKr in "x"/,
  ],
  [
    "a LoKr without its second factor",
    { "x.lokr_w1": zeros(2, 3) },
    /expected both halves of "x", got "x\.lokr_w1" without its lokr_w2_a and lokr_w2_b/,
  ],
  [
    "magnitudes of another size",
    { ...pair, "x.dora_scale": zeros(4, 1) },
    /expected "x\.dora_scale" of one number a row or column of its \[5, 6\], got \[4, 1\]; the file is damaged/,
  ],
  ["blocks that are not square", { "x.oft_blocks": zeros(3, 2, 3) }, /expected shapes of one OFT in "x"/],
  [
    "a butterfly of too many stages",
    { "x.oft_blocks": zeros(4, 4, 2, 2) },
    /expected shapes of one BOFT in "x"/,
  ],
  ["blocks of no triangle", { "x.oft_R.weight": zeros(4, 4) }, /expected shapes of one OFT in "x"/],
  [
    "magnitudes alone",
    { "x.dora_scale": zeros(4, 1) },
    /expected a LoRA, LoHa or LoKr beside "x\.dora_scale", got none; the file is incomplete/,
  ],
  [
    "an alpha that is no number",
    { "x.lora_A.weight": down, "x.lora_B.weight": up, "x.alpha": scalar(NaN) },
    /expected a finite "x\.alpha", got NaN; the file is damaged/,
  ],
  [
    "an alpha of several numbers",
    { "x.lora_A.weight": down, "x.lora_B.weight": up, "x.alpha": zeros(2) },
    /expected one number in "x\.alpha", got F32 \[2\]; the file is damaged/,
  ],
];

for (const [what, tensors, message] of DAMAGED) {
  Deno.test(`readLora() refuses ${what} in one line`, async () => {
    await assert.rejects(read(tensors), (error: Error) => {
      assert.match(error.message, message);
      assert.match(error.message, /^Cannot load lora\.safetensors: [^\n]+$/);
      return true;
    });
  });
}

Deno.test("readLora() refuses a header that notes no numbers", async () => {
  const metadata = { lora_adapter_metadata: '{"unet.lora_alpha": "much"}' };
  await assert.rejects(
    read({ "unet.x.lora_A.weight": down, "unet.x.lora_B.weight": up }, metadata),
    /^TypeError: Cannot load the lora_adapter_metadata of lora\.safetensors: expected lora_alpha to be a number/,
  );
});

Deno.test("readLora() refuses the malformed set's orphan", async () => {
  using checkpoint = await openCheckpoint(badFile("lora_orphan_up.safetensors"));
  await assert.rejects(readLora(checkpoint, "orphan"), /^Error: Cannot load orphan: expected both halves/);
});

Deno.test("readLora() names what is of no pair", async () => {
  const file = await read({
    "lora_unet_x.lora_down.weight": down,
    "lora_unet_x.lora_up.weight": up,
    "lora_unet_lost.alpha": scalar(1),
  });
  assert.deepEqual(file.others, ["lora_unet_lost.alpha"]);
});
