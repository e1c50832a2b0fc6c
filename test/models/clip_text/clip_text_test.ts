import assert from "node:assert/strict";
import type { LoadOptions, ModelClass } from "../../../src/models/runtime/load.ts";
import { CLIPTextModel, CLIPTextModelWithProjection } from "../../../src/models/mod.ts";
import type { Tensor } from "../../../src/tensor/mod.ts";
import { loadCase, type ModelCase, readCases } from "../../support/model_cases.ts";
import { assertTensor } from "../../support/tensors.ts";
import "../../support/device.ts";

const bound = 1e-5; // f32
const f16Bound = 1e-2;

/** A case of test/fixtures/clip_text. */
interface Case extends ModelCase {
  projection: boolean;
  ids: number[][];
}

const { cases, expected } = await readCases<Case>("clip_text");

for (const { name, ids, ...made } of cases) {
  Deno.test(`${made.projection ? CLIPTextModelWithProjection.name : CLIPTextModel.name} follows transformers: ${name}`, async () => {
    const notices: string[] = [];
    using model = await load(made, { dtype: "f32", onNotice: (line) => notices.push(line) });
    assert.deepEqual(notices, []); // every key of the file is read, or known to be none
    await assertSame(name, results(model, ids), bound);
  });
}

Deno.test("CLIPTextModel in f16 stays near f32", async () => {
  const { name, ids, ...made } = cases[0]!;
  using model = await load(made, { dtype: "f16" });
  await assertSame(name, results(model, ids), f16Bound);
});

Deno.test("CLIPTextModel keeps the table of tokens on the host, where no adapter's limit counts", async () => {
  using model = await load(cases[0]!, { dtype: "f32" }, OpenCLIPTextModel);
  const uploaded = (model as OpenCLIPTextModel).uploaded;
  assert.ok(uploaded.includes("text_model.embeddings.position_embedding.weight"));
  assert.ok(!uploaded.includes("text_model.embeddings.token_embedding.weight"));
});

Deno.test("CLIPTextModel.forward() tells what is wrong with its ids", async () => {
  using model = await load(cases[0]!, { dtype: "f32" });
  const refusals: [number[][], string][] = [
    [[], "Cannot encode texts: expected ids in rows of one length, got none; pad the rows"],
    [[[38, 39], [38]], "Cannot encode texts: expected ids in rows of one length, got 2 and 1; pad the rows"],
    [[new Array(10).fill(1)], "Cannot encode 10 tokens: expected at most 9; truncate the rows"],
    [
      [[38, 40]],
      "Cannot encode token 40: expected a whole number from 0 to 39; the tokenizer is of another model",
    ],
    [
      [[38, 0.5]],
      "Cannot encode token 0.5: expected a whole number from 0 to 39; the tokenizer is of another model",
    ],
  ];
  for (const [ids, message] of refusals) {
    assert.throws(() => model.forward(ids), { name: "RangeError", message });
  }
});

Deno.test("CLIPTextModel.forward() takes a mask of tokens that no others see", async () => {
  const { ids: [row], ...made } = cases[0]!;
  using model = await load(made, { dtype: "f32" });
  const [hidden, seen] = [2, 4]; // a token that is masked, and one behind it
  const other = row!.with(hidden, row![hidden]! + 1);
  const states = async (ids: number[], attentionMask?: number[][]) =>
    await model.forward([ids], { attentionMask }).lastHiddenState.select(1, seen).tolist();
  const mask = [row!.map((_, i) => i === hidden ? 0 : 1)];
  assert.notDeepEqual(await states(row!), await states(other));
  assert.deepEqual(await states(row!, mask), await states(other, mask));
  assert.notDeepEqual(await states(row!, mask), await states(row!));
  assert.deepEqual(await states(row!, [row!.map(() => 1)]), await states(row!));
  assert.throws(() => model.forward([row!], { attentionMask: [[1, 0]] }), {
    message: "Cannot mask texts: expected 1 rows of 9 ones and zeros, got 1 rows of 2",
  });
});

Deno.test("CLIPTextModel cannot run once it was disposed", async () => {
  const model = await load(cases[0]!, { dtype: "f32" });
  model[Symbol.dispose]();
  await Promise.resolve();
  assert.throws(() => model.forward(cases[0]!.ids), { message: /^Cannot .*disposed; load it again$/ });
});

const configs: [object, RegExp][] = [
  [{ hidden_act: "sparkle" }, /hidden_act to be one of "quick_gelu", "gelu", .*, got "sparkle"/],
  [{ num_attention_heads: 5 }, /num_attention_heads to be a divisor of hidden_size, which is 12, got 5/],
  [{ model_type: "t5" }, /expected its config in .*, got that of "t5"; it is another model/],
  [
    { vocab_size: 41 },
    /^Cannot use "embeddings.token_embedding.weight": expected shape \[41, 12\], got \[40, 12\]/,
  ],
  [
    { max_position_embeddings: 8 },
    /^Cannot use "embeddings.position_embedding.weight": expected shape \[8, 12\]/,
  ],
  [{ intermediate_size: 21 }, /^Cannot use "encoder.layers.0.mlp.fc1.weight": expected shape \[21, 12\]/],
  [{ num_hidden_layers: 3 }, /^Cannot load "encoder.layers.2" from .*: no such key; nearest is "/],
];
for (const [change, message] of configs) {
  Deno.test(`CLIPTextModel.fromPretrained() refuses ${JSON.stringify(change)}`, async () => {
    const { config, ...made } = cases[0]!;
    await assert.rejects(load({ ...made, config: { ...config, ...change } }, { dtype: "f32" }), { message });
  });
}

Deno.test("CLIPTextModelWithProjection wants the projection, and CLIPTextModel tells that it leaves it out", async () => {
  await assert.rejects(load({ ...cases[0]!, projection: true }, { dtype: "f32" }), {
    message: /^Cannot load "text_projection" from .*: no such key;/,
  });
  const notices: string[] = [];
  const plain = { ...cases.find(({ projection }) => projection)!, projection: false };
  using _model = await load(plain, { dtype: "f32", onNotice: (line) => notices.push(line) });
  assert.match(notices.join("\n"), /^.*: 1 tensors are not used, e.g. "text_projection.weight"$/);
});

/** A model whose uploads can be seen. */
class OpenCLIPTextModel extends CLIPTextModel {
  get uploaded(): string[] {
    return this.weights.fillings.map(({ info }) => info.name);
  }
}

/** All that a model makes of ids, by the names of the fixture. */
function results(model: CLIPTextModel, ids: number[][]): Record<string, Tensor> {
  const { hiddenStates, taps: _, ...others } = model.forward(ids);
  return {
    ...others,
    skipped: model.finalLayerNorm(hiddenStates.at(-2)!),
    ...Object.fromEntries(hiddenStates.map((state, i) => [`hiddenStates.${i}`, state])),
  };
}

async function assertSame(name: string, got: Record<string, Tensor>, limit: number) {
  for (const [key, want] of expected) {
    const [of, output] = key.split("/") as [string, string];
    if (of !== name) continue;
    await assertTensor(got[output]!, want, limit, key);
  }
}

function load(
  made: Pick<Case, "weights" | "config" | "projection">,
  options: LoadOptions,
  type: ModelClass<CLIPTextModel> = made.projection ? CLIPTextModelWithProjection : CLIPTextModel,
): Promise<CLIPTextModel> {
  return loadCase(type, "clip_text", made, options);
}
