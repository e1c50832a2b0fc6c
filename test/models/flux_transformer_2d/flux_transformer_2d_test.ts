import assert from "node:assert/strict";
import { streamOf } from "../../../src/graph/run/stream.ts";
import {
  FluxTransformer2DModel,
  type FluxTransformer2DOptions,
  type LoadOptions,
} from "../../../src/models/mod.ts";
import { scope, type Tensor, zeros } from "../../../src/tensor/mod.ts";
import type { HostTensor } from "../../support/arrays.ts";
import { assertRelativelyClose } from "../../support/close.ts";
import { loadCase, type ModelCase, readCases } from "../../support/model_cases.ts";
import { assertTensor, upload } from "../../support/tensors.ts";
import { device } from "../../support/device.ts";

const bound = 1e-5; // f32
const f16Bound = 5e-3;

/** A case of test/fixtures/flux_transformer_2d. */
interface Case extends ModelCase {
  t: number | number[];
  guidance: number | number[] | null;
  taps: string[];
}

const set = "flux_transformer_2d";
const { cases, caseOf, expected } = await readCases<Case>(set);

for (const example of cases) {
  Deno.test(`FluxTransformer2DModel follows diffusers: ${example.name}`, async () => {
    const notices: string[] = [];
    using model = await load(example, { dtype: "f32", onNotice: (line) => notices.push(line) });
    assert.deepEqual(notices, []); // every key of the file is read

    const { hiddenStates, options } = inputsOf(example);
    await assertSame(model.forward(hiddenStates, options).sample, wanted(example, "out"), "out", bound);
    const parts = model.forward(hiddenStates, { ...options, taps: example.taps }).taps;
    for (const path of example.taps) {
      await assertSame(parts[path]!, wanted(example, `taps/${path}`), path, bound);
    }
  });
}

for (const name of ["guided", "base", "uneven_width"]) {
  Deno.test(`FluxTransformer2DModel in f16 stays near f32: ${name}`, async () => {
    const example = caseOf(name);
    using model = await load(example, { dtype: "f16" });
    const { hiddenStates, options } = inputsOf(example);
    const out = model.forward(hiddenStates, options).sample;
    assert.equal(out.dtype, "f32");
    await assertSame(out, wanted(example, "out"), "out", f16Bound);
  });
}

for (const dtype of ["f32", "f16"] as const) {
  Deno.test(`FluxTransformer2DModel.condition() tells all steps what forward would be told in ${dtype}`, async () => {
    const example = caseOf("guided");
    using model = await load(example, { dtype });
    const { hiddenStates, tokens, conditions } = inputsOf(example);
    const timesteps = [1, 0.75, 0.7, 0.02];
    const modulation = model.condition(timesteps, conditions);
    assert.equal(modulation.steps, 4);
    for (const [i, timestep] of timesteps.entries()) {
      using _step = scope();
      const want = await model.forward(hiddenStates, { ...tokens, ...conditions, timestep }).sample.data();
      const got = await model.forward(hiddenStates, { ...tokens, modulation: modulation.at(i) }).sample
        .data();
      assertRelativelyClose(got, want, 1e-6, `step ${i}`);
    }
  });
}

Deno.test("FluxTransformer2DModel.condition() goes in parts where a binding does not hold all steps", async () => {
  const example = caseOf("guided_rows");
  using model = await load(example, { dtype: "f32" });
  const { conditions } = inputsOf(example);
  const timesteps = Array.from({ length: 7 }, (_, i) => 1 - i / 7);
  const whole = model.condition(timesteps, conditions);
  const width = whole.at(0).shape[1]!;
  const narrow = { ...model.device.limits, maxStorageBufferBindingSize: 4 * width * 3 * 2 }; // two steps of three rows
  const split = withLimits(model, narrow as GPUSupportedLimits, () => model.condition(timesteps, conditions));
  assert.equal(split.steps, 7);
  for (let i = 0; i < 7; i++) {
    assertRelativelyClose(await split.at(i).data(), await whole.at(i).data(), 1e-6, `step ${i}`);
  }
  assert.throws(() => split.at(7), { message: "Cannot take step 7 of a modulation: expected 0 to 6" });
  assert.throws(() => split.at(0.5), RangeError);
});

Deno.test("FluxTransformer2DModel neither makes nor sends the angles of positions again in a loop", async () => {
  const example = caseOf("base");
  using model = await load(example, { dtype: "f32" });
  const { hiddenStates, tokens, conditions } = inputsOf(example);
  const modulation = model.condition([0.5], conditions).at(0);
  const run = async (imgIds = tokens.imgIds) => {
    using _step = scope();
    const data = await model.forward(hiddenStates, { ...tokens, imgIds, modulation }).sample.data();
    return { data, dispatches: streamOf(device).statistics.dispatches };
  };
  const first = await run();
  await run(); // tells the plan what stays
  const copied = tokens.imgIds.map((id) => [...id]);
  assert.deepEqual(await run(copied), { data: first.data, dispatches: 0 });
  assert.notDeepEqual((await run(copied.map(([a, y, x]) => [a!, x!, y!]))).data, first.data);
});

Deno.test("FluxTransformer2DModel takes 20 dispatches a dual block and 10 a single one", async () => {
  for (const [name, path, count] of [["three_dual", "", 20], ["three_single", "single_", 10]] as const) {
    using _model = await load(caseOf(name), { dtype: "f32" });
    const graph = device.dump().split("\n\n").find((text) => text.includes(`@ ${path}transformer_blocks.2`))!;
    const lines = graph.split("\n").filter((line) => line.includes(`@ ${path}transformer_blocks.1.`));
    assert.equal(lines.length, count, lines.join("\n"));
  }
});

Deno.test("FluxTransformer2DModel.forward() tells what is wrong with its arguments", async () => {
  const example = caseOf("guided");
  using model = await load(example, { dtype: "f32" });
  const { hiddenStates, tokens, conditions, options } = inputsOf(example);
  const refuses = (message: string, changed: object, x = hiddenStates) =>
    assert.throws(() => model.forward(x, { ...options, ...changed } as FluxTransformer2DOptions), {
      message,
    });
  refuses("Cannot use hiddenStates: expected shape [B, L, 8], got [2, 12, 9]", {}, zeros([2, 12, 9]));
  refuses("Cannot use encoderHiddenStates: expected shape [2, N, 5], got [1, 7, 5]", {
    encoderHiddenStates: zeros([1, 7, 5]),
  });
  refuses("Cannot use imgIds: expected 12 tokens with 3 numbers each, got 11 tokens", {
    imgIds: tokens.imgIds.slice(1),
  });
  refuses("Cannot use txtIds: expected 7 tokens with 3 numbers each, got 7 tokens, one with 2", {
    txtIds: tokens.txtIds.map((id, i) => i === 3 ? id.slice(1) : id),
  });
  refuses("Cannot use pooledProjections: expected shape [2, 7], got [2, 8]", {
    pooledProjections: zeros([2, 8]),
  });
  refuses("Cannot denoise: expected guidance, got none; guidance_embeds is true", { guidance: undefined });
  refuses("Cannot denoise: expected one guidance, or 2 as there are rows in the sample, got 3", {
    guidance: [1, 2, 3],
  });
  refuses(
    "Cannot denoise with ipAdapterImageEmbeds: no such option; image prompts are not built",
    {
      ipAdapterImageEmbeds: [],
    },
  );
  assert.throws(
    () =>
      model.forward(
        hiddenStates,
        { ...tokens, modulation: undefined } as unknown as FluxTransformer2DOptions,
      ),
    {
      name: "TypeError",
      message: "Cannot denoise: expected a timestep, or a modulation made by condition(), got neither",
    },
  );
  const one = model.condition([1], {
    ...conditions,
    pooledProjections: conditions.pooledProjections.slice(0, 1),
  });
  refuses("Cannot use modulation: expected shape [2, 272], got [1, 272]", { modulation: one.at(0) });

  using unguided = await load(caseOf("base"), { dtype: "f32" });
  assert.throws(() => unguided.condition([1], { ...conditions, guidance: 3.5 }), {
    name: "TypeError",
    message: "Cannot denoise: expected no guidance, got one; guidance_embeds is false",
  });
});

Deno.test("FluxTransformer2DModel comes back after it gave its memory away", async () => {
  const example = caseOf("guided");
  using model = await load(example, { dtype: "f32" });
  const { hiddenStates, options, conditions } = inputsOf(example);
  const before = await model.forward(hiddenStates, options).sample.data();
  model.unload();
  const lacks = { message: /its weights are not in memory; await its load\(\) first/ };
  assert.throws(() => model.forward(hiddenStates, options), lacks);
  assert.throws(() => model.condition([1], conditions), lacks);
  await model.load();
  assert.deepEqual(await model.forward(hiddenStates, options).sample.data(), before);
});

function wanted({ name }: Case, array: string): HostTensor {
  return expected.get(`${name}/${array}`)!;
}

function inputsOf(example: Case) {
  const { t: timestep, guidance } = example;
  const tokens = {
    encoderHiddenStates: upload(wanted(example, "prompts")),
    imgIds: rows(wanted(example, "img_ids")),
    txtIds: rows(wanted(example, "txt_ids")),
  };
  const conditions = {
    pooledProjections: upload(wanted(example, "pooled")),
    guidance: guidance ?? undefined,
  };
  const hiddenStates = upload(wanted(example, "hidden_states"));
  return { hiddenStates, tokens, conditions, options: { ...tokens, ...conditions, timestep } };
}

/** Runs something on a model whose device says that it has other limits. */
function withLimits<T>(model: FluxTransformer2DModel, limits: GPUSupportedLimits, run: () => T): T {
  const { limits: own } = model.device;
  Object.assign(model.device, { limits });
  try {
    return run();
  } finally {
    Object.assign(model.device, { limits: own });
  }
}

function load(example: Case, options: LoadOptions): Promise<FluxTransformer2DModel> {
  return loadCase(FluxTransformer2DModel, set, example, options);
}

function rows({ shape: [count, width], data }: HostTensor): number[][] {
  return Array.from({ length: count! }, (_, i) => [...data.subarray(i * width!, (i + 1) * width!)]);
}

function assertSame(got: Tensor, want: HostTensor, what: string, limit = bound): Promise<void> {
  return assertTensor(got, want, limit, what);
}
