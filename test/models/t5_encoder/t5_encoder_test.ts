import assert from "node:assert/strict";
import type { LoadOptions, ModelClass } from "../../../src/models/runtime/load.ts";
import { T5EncoderModel } from "../../../src/models/mod.ts";
import { positionBuckets } from "../../../src/models/t5_encoder/inputs.ts";
import type { Tensor } from "../../../src/tensor/mod.ts";
import { fixture } from "../../support/fixtures.ts";
import { loadCase, type ModelCase, readCases } from "../../support/model_cases.ts";
import { assertTensor } from "../../support/tensors.ts";
import { OpenT5Encoder } from "../../support/open_t5_encoder.ts";
import "../../support/device.ts";

const bound = 1e-5; // f32
const f16Bound = 1e-2;

/** A case of test/fixtures/t5_encoder. */
interface Case extends ModelCase {
  ids: number[][];
  mask?: number[][] | undefined;
}

const { cases, caseOf, expected } = await readCases<Case>("t5_encoder");

for (const made of cases) {
  Deno.test(`T5EncoderModel follows transformers: ${made.name}`, async () => {
    const notices: string[] = [];
    using model = await load(made, { dtype: "f32", onNotice: (line) => notices.push(line) });
    assert.deepEqual(notices, []); // every key of the file is read, or known to be a copy
    await assertSame(made.name, results(model, made), bound);
  });
}

for (const name of ["gated-gelu", "masked", "large"]) {
  Deno.test(`T5EncoderModel in f16 stays near f32: ${name}`, async () => {
    const made = caseOf(name);
    using model = await load(made, { dtype: "f16" });
    await assertSame(name, results(model, made), f16Bound);
  });
}

Deno.test("positionBuckets() are torch's, for any numbers of buckets and largest distances", async () => {
  const sets = JSON.parse(await Deno.readTextFile(fixture("t5_encoder/buckets.json")));
  for (const { found, ...options } of sets) {
    const N = (found.length + 1) / 2;
    const pairs = positionBuckets(N, options);
    const first = [...pairs.subarray(0, N)]; // distances 0 to 400
    const last = [...pairs.subarray((N - 1) * N)]; // distances -400 to 0
    assert.deepEqual([...last.slice(0, -1), ...first], found, JSON.stringify(options));
  }
});

Deno.test("T5EncoderModel gives the states of every block only where they are asked for", async () => {
  const made = caseOf("relu");
  using model = await load(made, { dtype: "f32" });
  const { lastHiddenState, hiddenStates } = model.forward(made.ids);
  assert.equal(hiddenStates, undefined);
  await assertSame(made.name, { lastHiddenState }, bound);
});

Deno.test("T5EncoderModel names its parts as the checkpoint does", async () => {
  const made = caseOf("relu");
  using model = await load(made, { dtype: "f32" });
  const { taps } = model.forward(made.ids, { taps: ["encoder.final_layer_norm", "encoder.block.0"] });
  await assertSame(made.name, { lastHiddenState: taps["encoder.final_layer_norm"] }, bound);
  await assertSame(made.name, { "hiddenStates.1": taps["encoder.block.0"] }, bound);
  for (const path of ["layer.0.SelfAttention.q", "layer.1.DenseReluDense.wo"]) {
    assert.ok(
      model.paths.includes(`encoder.block.1.${path}`),
      `${path} is none of ${model.paths.join(", ")}`,
    );
  }
});

Deno.test("T5EncoderModel masks nothing where every token counts", async () => {
  const made = caseOf("relu");
  using model = await load(made, { dtype: "f32" });
  const attentionMask = made.ids.map((row) => row.map(() => 1));
  const { lastHiddenState } = model.forward(made.ids, { attentionMask });
  const plain = model.forward(made.ids).lastHiddenState;
  assert.deepEqual(await lastHiddenState.data(), await plain.data());
});

Deno.test("T5EncoderModel keeps the table of tokens on the host, where no adapter's limit counts", async () => {
  using model = await load(caseOf("relu"), { dtype: "f32" }, OpenT5Encoder);
  const { uploaded } = model as OpenT5Encoder;
  assert.ok(uploaded.includes("encoder.final_layer_norm.weight"));
  assert.ok(!uploaded.includes("shared.weight"));
});

Deno.test("T5EncoderModel.forward() tells what is wrong with its ids and its mask", async () => {
  using model = await load(caseOf("relu"), { dtype: "f32" });
  const refusals: [number[][], number[][] | undefined, string][] = [
    [[], undefined, "Cannot encode texts: expected ids in rows of one length, got none; pad the rows"],
    [
      [[38, 39], [38]],
      undefined,
      "Cannot encode texts: expected ids in rows of one length, got 2 and 1; pad the rows",
    ],
    [
      [[38, 40]],
      undefined,
      "Cannot encode token 40: expected a whole number from 0 to 39; the tokenizer is of another model",
    ],
    [[[3, 1]], [[1]], "Cannot mask texts: expected 1 rows of 2 ones and zeros, got 1 rows of 1"],
    [[[3, 1]], [[1, 0.5]], "Cannot mask texts: expected 1 rows of 2 ones and zeros, got 0.5"],
  ];
  for (const [ids, attentionMask, message] of refusals) {
    assert.throws(() => model.forward(ids, { attentionMask }), { name: "RangeError", message });
  }
});

Deno.test("T5EncoderModel.unload() gives the table back too, and load() brings it again", async () => {
  const made = caseOf("relu");
  using model = await load(made, { dtype: "f32", defer: true });
  assert.throws(() => model.forward(made.ids), { message: /^Cannot run T5EncoderModel: .*load\(\)/ });
  await model.load();
  model.unload();
  await model.load();
  await assertSame(made.name, results(model, made), bound);
});

const configs: [object, RegExp][] = [
  [
    { feed_forward_proj: "gated-sparkle" },
    /feed_forward_proj to be one of "quick_gelu", .*, got "gated-sparkle"/,
  ],
  [{ model_type: "umt5" }, /expected its config in .*, got that of "umt5"; it is another model/],
  [{ is_decoder: true }, /is_decoder to be false, got true/],
  [
    { relative_attention_max_distance: 2 },
    /relative_attention_max_distance to be more than 2, a quarter of .*, got 2/,
  ],
  [{ vocab_size: 41 }, /^Cannot use "shared.weight": expected shape \[41, 12\], got \[40, 12\]/],
  [{ d_kv: 4 }, /^Cannot use "encoder.block.0.layer.0.SelfAttention.q.weight": expected shape \[12, 12\]/],
  [{ d_ff: 21 }, /^Cannot use "encoder.block.0.layer.1.DenseReluDense.wi.weight": expected shape \[21, 12\]/],
  [{ feed_forward_proj: "gated-relu" }, /^Cannot load "encoder.block.0.layer.1.DenseReluDense.wi_0" from /],
  [
    { relative_attention_num_buckets: 16 },
    /relative_attention_bias.weight": expected shape \[16, 3\], got \[8, 3\]/,
  ],
  [{ num_layers: 3 }, /^Cannot load "encoder.block.2" from .*: no such key; nearest is "/],
];
for (const [change, message] of configs) {
  Deno.test(`T5EncoderModel.fromPretrained() refuses ${JSON.stringify(change)}`, async () => {
    const { config, ...made } = caseOf("relu");
    await assert.rejects(load({ ...made, config: { ...config, ...change } }, { dtype: "f32" }), { message });
  });
}

Deno.test("T5EncoderModel refuses a file without a table of tokens by its name", async () => {
  const clip = { ...caseOf("relu"), weights: "../../clip_text/weights/quick_gelu" };
  await assert.rejects(load(clip, { dtype: "f32" }), {
    message: /^Cannot load T5EncoderModel from .*: expected its keys, got those of CLIPTextModel$/,
  });
});

/** All that a model makes of a case, by the names of the fixture. */
function results(model: T5EncoderModel, { ids, mask }: Case): Record<string, Tensor> {
  const output = model.forward(ids, { attentionMask: mask, outputHiddenStates: true });
  const states = output.hiddenStates!.map((state, i) => [`hiddenStates.${i}`, state]);
  return { lastHiddenState: output.lastHiddenState, ...Object.fromEntries(states) };
}

async function assertSame(name: string, got: Record<string, Tensor>, limit: number) {
  for (const [output, tensor] of Object.entries(got)) {
    await assertTensor(tensor, expected.get(`${name}/${output}`)!, limit, output);
  }
}

function load(
  made: Pick<Case, "weights" | "config">,
  options: LoadOptions,
  type: ModelClass<T5EncoderModel> = T5EncoderModel,
): Promise<T5EncoderModel> {
  return loadCase(type, "t5_encoder", made, options);
}
