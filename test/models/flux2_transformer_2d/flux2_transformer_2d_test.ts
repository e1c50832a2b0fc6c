import assert from "node:assert/strict";
import { streamOf } from "../../../src/graph/run/stream.ts";
import {
  Flux2Transformer2DModel,
  type Flux2Transformer2DOptions,
  type LoadOptions,
} from "../../../src/models/mod.ts";
import { scope, type Tensor, zeros } from "../../../src/tensor/mod.ts";
import type { HostTensor } from "../../support/arrays.ts";
import { device } from "../../support/device.ts";
import { loadCase, type ModelCase, readCases } from "../../support/model_cases.ts";
import { assertTensor, upload } from "../../support/tensors.ts";

const bound = 1e-5; // f32
const f16Bound = 5e-3;

/** A case of test/fixtures/flux2_transformer_2d. */
interface Case extends ModelCase {
  t: number | number[];
  guidance: number | number[] | null;
  taps: string[];
}

const set = "flux2_transformer_2d";
const { cases, caseOf, expected } = await readCases<Case>(set);

for (const example of cases) {
  Deno.test(`Flux2Transformer2DModel follows diffusers: ${example.name}`, async () => {
    const notices: string[] = [];
    using model = await load(example, { dtype: "f32", onNotice: (line) => notices.push(line) });
    assert.deepEqual(notices, []); // every key of the file is read

    const { hiddenStates, options } = inputsOf(example);
    await assertTensor(model.forward(hiddenStates, options).sample, wanted(example, "out"), bound, "out");
    const parts = model.forward(hiddenStates, { ...options, taps: example.taps }).taps;
    for (const path of example.taps) {
      await assertTensor(parts[path]!, wanted(example, `taps/${path}`), bound, path);
    }
  });
}

for (const name of ["guided", "base", "uneven_width"]) {
  Deno.test(`Flux2Transformer2DModel in f16 stays near f32: ${name}`, async () => {
    const example = caseOf(name);
    using model = await load(example, { dtype: "f16" });
    const { hiddenStates, options } = inputsOf(example);
    const out = model.forward(hiddenStates, options).sample;
    assert.equal(out.dtype, "f32");
    await assertTensor(out, wanted(example, "out"), f16Bound, "out");
  });
}

Deno.test("Flux2Transformer2DModel computes in a loop only what the step changes", async () => {
  const example = caseOf("base");
  using model = await load(example, { dtype: "f32" });
  const { hiddenStates, options } = inputsOf(example);
  const run = async (timestep: number) => {
    using _step = scope();
    const data = await model.forward(hiddenStates, { ...options, timestep }).sample.data();
    return { data, dispatches: streamOf(device).statistics.dispatches };
  };
  const first = await run(0.7);
  await run(0.7); // tells the plan what stays
  assert.deepEqual(await run(0.7), { data: first.data, dispatches: first.dispatches - 2 }); // both embedders
  assert.notDeepEqual((await run(0.2)).data, first.data);
});

Deno.test("Flux2Transformer2DModel takes 22 dispatches a dual block and 9 a single one", async () => {
  for (const [name, path, count] of [["three_dual", "", 22], ["three_single", "single_", 9]] as const) {
    using _model = await load(caseOf(name), { dtype: "f32" });
    const graph = device.dump().split("\n\n").find((text) => text.includes(`@ ${path}transformer_blocks.2`))!;
    const lines = graph.split("\n").filter((line) => line.includes(`@ ${path}transformer_blocks.1.`));
    assert.equal(lines.length, count, lines.join("\n"));
  }
});

Deno.test("Flux2Transformer2DModel.forward() tells what is wrong with its arguments", async () => {
  const example = caseOf("base");
  using model = await load(example, { dtype: "f32" });
  const { hiddenStates, options } = inputsOf(example);
  const refuses = (message: string, changed: object, x = hiddenStates) =>
    assert.throws(() => model.forward(x, { ...options, ...changed } as Flux2Transformer2DOptions), {
      message,
    });
  refuses("Cannot use hiddenStates: expected shape [B, L, 8], got [2, 12, 9]", {}, zeros([2, 12, 9]));
  refuses("Cannot use encoderHiddenStates: expected shape [2, N, 5], got [1, 7, 5]", {
    encoderHiddenStates: zeros([1, 7, 5]),
  });
  refuses("Cannot use imgIds: expected 12 tokens with 4 numbers each, got 11 tokens", {
    imgIds: options.imgIds.slice(1),
  });
  refuses("Cannot use txtIds: expected 7 tokens with 4 numbers each, got 7 tokens, one with 3", {
    txtIds: options.txtIds.map((id) => id.slice(1)),
  });
  refuses("Cannot denoise: expected one timestep, or 2 as there are rows in the sample, got 3", {
    timestep: [1, 2, 3],
  });
  refuses("Cannot denoise: expected no guidance, got one; guidance_embeds is false", { guidance: 3.5 });
  refuses(
    "Cannot denoise with kvCache: no such option; keys and values of references are computed at every step, as klein was trained",
    { kvCache: {} },
  );
});

Deno.test("Flux2Transformer2DModel comes back after it gave its memory away", async () => {
  const example = caseOf("guided");
  using model = await load(example, { dtype: "f32" });
  const { hiddenStates, options } = inputsOf(example);
  const before = await model.forward(hiddenStates, options).sample.data();
  model.unload();
  assert.throws(() => model.forward(hiddenStates, options), {
    message: /its weights are not in memory; await its load\(\) first/,
  });
  await model.load();
  assert.deepEqual(await model.forward(hiddenStates, options).sample.data(), before);
});

function wanted({ name }: Case, array: string): HostTensor {
  return expected.get(`${name}/${array}`)!;
}

function inputsOf(example: Case): { hiddenStates: Tensor; options: Flux2Transformer2DOptions } {
  return {
    hiddenStates: upload(wanted(example, "hidden_states")),
    options: {
      encoderHiddenStates: upload(wanted(example, "prompts")),
      imgIds: rows(wanted(example, "img_ids")),
      txtIds: rows(wanted(example, "txt_ids")),
      timestep: example.t,
      guidance: example.guidance ?? undefined,
    },
  };
}

function load(example: Case, options: LoadOptions): Promise<Flux2Transformer2DModel> {
  return loadCase(Flux2Transformer2DModel, set, example, options);
}

function rows({ shape: [count, width], data }: HostTensor): number[][] {
  return Array.from({ length: count! }, (_, i) => [...data.subarray(i * width!, (i + 1) * width!)]);
}
