import assert from "node:assert/strict";
import { Qwen3Model } from "../../../src/models/mod.ts";
import type { LoadOptions, ModelClass } from "../../../src/models/runtime/load.ts";
import { cat, type Tensor } from "../../../src/tensor/mod.ts";
import type { HostTensor } from "../../support/arrays.ts";
import { toLlamaQwen3 } from "../../support/authors_layout.ts";
import { TestFolder } from "../../support/files.ts";
import { fixture } from "../../support/fixtures.ts";
import { ggufFile } from "../../support/gguf.ts";
import { loadCase, type ModelCase, readCases } from "../../support/model_cases.ts";
import { OpenQwen3 } from "../../support/open_qwen3.ts";
import { readRaw } from "../../support/raw_tensors.ts";
import { assertTensor } from "../../support/tensors.ts";
import "../../support/device.ts";

const bound = 1e-5; // f32
const f16Bound = 1e-2;

/** A case of test/fixtures/qwen3. */
interface Case extends ModelCase {
  ids: number[][];
  mask?: number[][] | undefined;
  /** Rows of fillers see no token, and only the others are compared. */
  counted: boolean;
}

const { cases, caseOf, expected } = await readCases<Case>("qwen3");

for (const made of cases) {
  Deno.test(`Qwen3Model follows transformers: ${made.name}`, async () => {
    const notices: string[] = [];
    using model = await load(made, { dtype: "f32", onNotice: (line) => notices.push(line) });
    assert.deepEqual(notices, []); // every key of the file is read, or is the head's
    await assertSame(model, made, bound);
  });
}

for (const name of ["base", "padded", "large", "bias"]) {
  Deno.test(`Qwen3Model in f16 stays near f32: ${name}`, async () => {
    using model = await load(caseOf(name), { dtype: "f16" });
    await assertSame(model, caseOf(name), f16Bound);
  });
}

Deno.test("Qwen3Model masks nothing where every token counts", async () => {
  const { ids, ...made } = caseOf("base");
  using model = await load(made);
  const attentionMask = ids.map((row) => row.map(() => 1));
  const [masked] = model.forward(ids, { attentionMask }).hiddenStates;
  const [plain] = model.forward(ids).hiddenStates;
  assert.deepEqual(await masked!.data(), await plain!.data());
});

Deno.test("Qwen3Model gives the states that are asked for, in their order, counted from either end", async () => {
  const made = caseOf("base");
  using model = await load(made);
  const { hiddenStates } = model.forward(made.ids, { hiddenStates: [-1, 0, -2, 2] });
  assert.equal(hiddenStates.length, 4);
  for (const [i, k] of [2, 0, 1, 2].entries()) {
    await assertTensor(hiddenStates[i]!, expected.get(`base/hiddenStates.${k}`)!, bound, `state ${k}`);
  }
});

Deno.test("Qwen3Model.limitTo() loads only the layers that some states need", async () => {
  const made = caseOf("base");
  using model = await load(made, { defer: true }, OpenQwen3) as OpenQwen3;
  const whole = model.bytes;
  model.limitTo([-2]);
  assert.ok(model.bytes < 0.6 * whole, `${model.bytes} of ${whole}`);
  await model.load();
  assert.ok(
    !model.uploaded.some((name) => /layers\.1\.|norm\.weight$/.test(name.replace(/layers\.0\..*/, ""))),
  );
  const [state] = model.forward(made.ids).hiddenStates;
  await assertTensor(state!, expected.get("base/hiddenStates.1")!, bound, "state 1");
  assert.throws(() => model.forward(made.ids, { hiddenStates: [1, 2] }), {
    name: "RangeError",
    message: "Cannot give hidden state 2: expected at most 1, to which the model is limited; " +
      "call its limitTo() with all that are wanted",
  });
  model.limitTo([1]); // the same, from the other end
  assert.equal(model.loaded, true);
  model.limitTo([1, 2]);
  assert.equal(model.loaded, false);
  assert.equal(model.bytes, whole);
  await model.load();
  const [, last] = model.forward(made.ids).hiddenStates;
  await assertTensor(last!, expected.get("base/hiddenStates.2")!, bound, "state 2");
});

Deno.test("Qwen3Model names its parts as transformers does", async () => {
  const made = caseOf("base");
  using model = await load(made);
  const { taps } = model.forward(made.ids, { taps: ["norm", "layers.0"] });
  await assertTensor(taps.norm, expected.get("base/hiddenStates.2")!, bound, "norm");
  await assertTensor(taps["layers.0"], expected.get("base/hiddenStates.1")!, bound, "layers.0");
  const parts = ["self_attn", "mlp", "input_layernorm", "post_attention_layernorm"];
  const layers = ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj"];
  for (const path of [...parts, ...layers, "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"]) {
    assert.ok(model.paths.includes(`layers.1.${path}`), `${path} is none of ${model.paths.join(", ")}`);
  }
});

Deno.test("Qwen3Model keeps the table of tokens on the host, where no adapter's limit counts", async () => {
  using model = await load(caseOf("head_and_bf16"), {}, OpenQwen3) as OpenQwen3;
  assert.ok(model.uploaded.includes("model.norm.weight"));
  assert.ok(!model.uploaded.some((name) => /embed_tokens|lm_head/.test(name)));
});

Deno.test("Qwen3Model.forward() tells what is wrong with its arguments", async () => {
  using model = await load(caseOf("base"));
  const refusals: [() => unknown, string][] = [
    [
      () => model.forward([[38, 40]]),
      "Cannot encode token 40: expected a whole number from 0 to 39; the tokenizer is of another model",
    ],
    [
      () => model.forward([[3, 1]], { attentionMask: [[1]] }),
      "Cannot mask texts: expected 1 rows of 2 ones and zeros, got 1 rows of 1",
    ],
    [
      () => model.forward([[3, 1]], { hiddenStates: [3] }),
      "Cannot give hidden state 3: expected a whole number from -3 to 2, as the model has 2 layers",
    ],
    [
      () => model.limitTo([]),
      "Cannot give hidden states: expected a list of their numbers, got none",
    ],
  ];
  for (const [run, message] of refusals) assert.throws(run, { message });
});

const configs: [object, RegExp][] = [
  [{ model_type: "qwen2" }, /expected its config in .*, got that of "qwen2"; it is another model/],
  [
    { num_key_value_heads: 3 },
    /num_key_value_heads to be a divisor of num_attention_heads, which is 4, got 3/,
  ],
  [{ head_dim: 5 }, /head_dim to be even, as positions turn pairs of values, got 5/],
  [
    { rope_scaling: { rope_type: "llama3" } },
    /rope_scaling.rope_type to be one of "default", "linear", "yarn"/,
  ],
  [{ rope_scaling: { type: "linear" } }, /rope_scaling to be an object with a factor for linear, got/],
  [{ rope_parameters: { rope_type: "yarn" } }, /rope_parameters to be an object with a factor for yarn, got/],
  [{ layer_types: ["full_attention"] }, /layer_types to be 2 names, as many as num_hidden_layers, got/],
  [
    { layer_types: ["full_attention", "sliding_attention"] },
    /sliding_window to be a number beside use_sliding_window true/,
  ],
  [{ layer_types: ["full_attention", "linear_attention"] }, /layer_types\[1\] to be one of/],
  [{ vocab_size: 41 }, /^Cannot use "embed_tokens.weight": expected shape \[41, 12\], got \[40, 12\]/],
  [{ attention_bias: true }, /^Cannot load "layers.0.self_attn.q_proj.bias" from /],
  [{ intermediate_size: 11 }, /^Cannot use "layers.0.mlp.gate_proj.weight": expected shape \[11, 12\]/],
  [{ num_hidden_layers: 3 }, /^Cannot load "layers.2" from .*: no such key; nearest is "/],
];
for (const [change, message] of configs) {
  Deno.test(`Qwen3Model.fromPretrained() refuses ${JSON.stringify(change)}`, async () => {
    const { config, ...made } = caseOf("base");
    await assert.rejects(load({ ...made, config: { ...config, ...change } }), { message });
  });
}

/** Compares the states that the fixture has of a case. */
async function assertSame(model: Qwen3Model, { name, ids, mask, counted }: Case, limit: number) {
  const keys = [...expected.keys()].filter((key) => key.startsWith(`${name}/`));
  const wanted = keys.map((key) => Number(key.split(".").at(-1)));
  const { hiddenStates } = model.forward(ids, { attentionMask: mask, hiddenStates: wanted });
  for (const [i, key] of keys.entries()) {
    const [state, want] = [hiddenStates[i]!, expected.get(key)!];
    if (counted) await assertTensor(onlyCounted(state, mask!), countedOf(want, mask!), limit, key);
    else await assertTensor(state, want, limit, key);
  }
}

/** The rows of x [B, N, D] that a mask counts. → [rows, D] */
function onlyCounted(x: Tensor, mask: number[][]): Tensor {
  const rows = x.reshape([-1, x.shape[2]!]);
  return cat(mask.flat().flatMap((count, i) => count ? [rows.slice(0, i, i + 1)] : []), 0);
}

function countedOf({ data, shape, dtype }: HostTensor, mask: number[][]): HostTensor {
  const D = shape[2]!;
  const rows = mask.flat().flatMap((count, i) => count ? [...data.subarray(i * D, (i + 1) * D)] : []);
  return { data: Float64Array.from(rows), shape: [rows.length / D, D], dtype };
}

function load(
  made: Pick<Case, "weights" | "config">,
  options: LoadOptions = {},
  type: ModelClass<Qwen3Model> = Qwen3Model,
): Promise<Qwen3Model> {
  return loadCase(type, "qwen3", made, { dtype: "f32", ...options });
}

Deno.test("Qwen3Model takes the tables of transformers 4 and 5, whole and sharded", async () => {
  for (const family of ["flux2", "zimage"]) {
    const notices: string[] = [];
    const onNotice = (line: string) => notices.push(line);
    using model = await Qwen3Model.fromPretrained(fixture(`${family}/pipeline`), {
      subfolder: "text_encoder",
      dtype: "f32",
      onNotice,
    });
    assert.deepEqual(notices, []);
    assert.equal(model.forward([[1, 2, 3]]).hiddenStates.length, 1);
  }
});

Deno.test("Qwen3Model reads GGUF files under llama.cpp's names, with a config from their shapes", async () => {
  using folder = new TestFolder();
  const source = fixture("flux2/pipeline/text_encoder");
  const raws = toLlamaQwen3(await readRaw(`${source}/model.safetensors.index.json`));
  const type = 30; // BF16
  const tensors = [...raws].map(([name, { shape, bytes }]) => ({ name, shape, type, data: bytes }));
  const path = folder.write("qwen3.gguf", ggufFile({ tensors }));
  using whole = await Qwen3Model.fromPretrained(source, { dtype: "f32" });
  using read = await Qwen3Model.fromSingleFile(path, { dtype: "f32" });
  const ids = [[5, 6, 7, 1]];
  const [want, got] = [whole, read].map((model) => model.forward(ids).hiddenStates[0]!);
  assert.deepEqual(await got!.data(), await want!.data());
});

Deno.test("a streamed Qwen3 gives the same bits, and only the layers that are wanted are read", async () => {
  const ids = [[5, 6, 7, 1]];
  const results: ArrayLike<number>[] = [];
  for (const stream of [undefined, { chunk: 8 << 10 }]) {
    using model = await load(caseOf("base"), { stream, defer: true });
    model.limitTo([1]);
    await model.load();
    assert.equal(model.isStreamed, stream !== undefined);
    results.push(await model.forward(ids).hiddenStates[0]!.data());
  }
  assert.deepEqual(results[1], results[0]);
});
