import assert from "node:assert/strict";
import { streamOf } from "../../../src/graph/run/stream.ts";
import { UNet2DConditionModel, type UNet2DConditionOptions } from "../../../src/models/mod.ts";
import { type Tensor, zeros } from "../../../src/tensor/mod.ts";
import type { HostTensor } from "../../support/arrays.ts";
import { loadCase, type ModelCase, readCases } from "../../support/model_cases.ts";
import { assertTensor, upload } from "../../support/tensors.ts";
import { device } from "../../support/device.ts";

const bound = 1e-5; // f32
const f16Bound = 2e-2;

/** A case of test/fixtures/unet_2d_condition. */
interface Case extends ModelCase {
  t: number | number[];
  classes: number[] | "vectors" | null;
  time_ids: number[][] | null;
  taps: string[];
  /** How far torch itself is from f64. */
  noise_floor: number;
}

const set = "unet_2d_condition";
const { cases, caseOf, expected } = await readCases<Case>(set);

for (const example of cases) {
  const { name, t, taps, noise_floor } = example;

  Deno.test(`UNet2DConditionModel follows diffusers: ${name}`, async () => {
    const notices: string[] = [];
    using unet = await loadCase(UNet2DConditionModel, set, example, {
      onNotice: (line) => notices.push(line),
    });
    assert.deepEqual(notices, []); // every key of the file is read

    const { sample, prompts, options } = inputsOf(example);
    const limit = Math.max(bound, 4 * noise_floor);
    await assertSame(unet.forward(sample, t, prompts, options).sample, wanted(name, "out"), "out", limit);
    const parts = unet.forward(sample, t, prompts, { ...options, taps }).taps;
    for (const path of taps) await assertSame(parts[path]!, wanted(name, `taps/${path}`), path, limit);
  });
}

Deno.test("UNet2DConditionModel in f16 stays near f32", async () => {
  const example = caseOf("xl");
  using unet = await loadCase(UNet2DConditionModel, set, example, { dtype: "f16" });
  const { sample, prompts, options } = inputsOf(example);
  const out = unet.forward(sample, example.t, prompts, options).sample;
  assert.equal(out.dtype, "f32");
  await assertSame(out, wanted("xl", "out"), "out", f16Bound);
});

Deno.test("UNet2DConditionModel computes keys and values of a prompt once, and again for another prompt", async () => {
  const example = caseOf("base");
  using unet = await loadCase(UNet2DConditionModel, set, example);
  const { prompts } = inputsOf(example);
  const run = async (embeddings: Tensor, t: number) => {
    const { sample } = inputsOf(example); // a new one each time, as in a loop
    const data = await unet.forward(sample, t, embeddings).sample.data();
    return { data, dispatches: streamOf(device).statistics.dispatches };
  };
  const first = await run(prompts, 501);
  await run(prompts, 400); // tells the plan that the prompt stays
  const third = await run(prompts, 501);
  assert.equal(first.dispatches - third.dispatches, 8); // of 4 transformer blocks
  assert.deepEqual(third.data, first.data);

  const others = await run(upload(expected.get("gelu/prompts")!), 501);
  assert.equal(others.dispatches, first.dispatches);
  assert.notDeepEqual(others.data, first.data);
  const again = await run(prompts, 501);
  assert.equal(again.dispatches, first.dispatches);
  assert.deepEqual(again.data, first.data);
  assert.equal((await run(prompts, 2)).dispatches, third.dispatches);
});

Deno.test("UNet2DConditionModel takes one list of timeIds for all rows", async () => {
  const example = caseOf("xl");
  using unet = await loadCase(UNet2DConditionModel, set, example);
  const { sample, prompts, options } = inputsOf(example);
  const { textEmbeds } = options.addedCond!;
  const [, timeIds] = example.time_ids! as [number[], number[]];
  const run = (ids: number[] | number[][]) =>
    unet.forward(sample, 7, prompts, { addedCond: { textEmbeds, timeIds: ids } }).sample.data();
  assert.deepEqual(await run(timeIds), await run([timeIds, timeIds]));
});

Deno.test("UNet2DConditionModel.forward() tells what is wrong with its arguments", async () => {
  using unet = await loadCase(UNet2DConditionModel, set, caseOf("base"));
  const sample = zeros([2, 4, 8, 8]);
  const refuses = (message: string, prompts: Tensor, options: UNet2DConditionOptions = {}, x = sample) =>
    assert.throws(() => unet.forward(x, 1, prompts, options), { message });
  const prompts = zeros([2, 3, 5]);
  refuses(
    "Cannot denoise a sample: expected shape [B, 4, H, W], got [2, 9, 8, 8]",
    prompts,
    {},
    zeros([2, 9, 8, 8]),
  );
  refuses(
    "Cannot use encoderHiddenStates: expected shape [2, tokens, 5], got [1, 3, 5]",
    zeros([1, 3, 5]),
  );
  refuses("Cannot use encoderAttentionMask: expected shape [2, 3], got [2, 4]", prompts, {
    encoderAttentionMask: zeros([2, 4]),
  });
  refuses("Cannot denoise: expected no timestepCond, got one; time_cond_proj_dim is null", prompts, {
    timestepCond: zeros([2, 5]),
  });
  refuses("Cannot denoise: expected no classLabels, got some; the model draws no classes", prompts, {
    classLabels: 1,
  });
  refuses("Cannot denoise: expected no addedCond, got one; addition_embed_type is null", prompts, {
    addedCond: { textEmbeds: zeros([2, 7]), timeIds: [1] },
  });
});

Deno.test("UNet2DConditionModel.forward() wants addedCond where the config has text_time", async () => {
  using unet = await loadCase(UNet2DConditionModel, set, caseOf("xl"));
  const run = (addedCond?: unknown) =>
    unet.forward(
      zeros([2, 4, 8, 8]),
      1,
      zeros([2, 3, 5]),
      { addedCond } as UNet2DConditionOptions,
    );
  const message = (missing: string) =>
    `Cannot denoise: expected addedCond with textEmbeds and timeIds, got no ${missing}; ` +
    'addition_embed_type is "text_time"';
  assert.throws(() => run(), { name: "TypeError", message: message("textEmbeds") });
  const textEmbeds = zeros([2, 7]);
  assert.throws(() => run({ textEmbeds }), { name: "TypeError", message: message("timeIds") });
  assert.throws(() => run({ textEmbeds, timeIds: [1, 2, 3, 4, 5] }), {
    name: "RangeError",
    message: "Cannot use timeIds: expected 6 numbers for each of 2 rows of the sample, got 5 for each of 2",
  });
  assert.throws(() => run({ textEmbeds: zeros([1, 7]), timeIds: [1, 2, 3, 4, 5, 6] }), {
    name: "RangeError",
    message: "Cannot use textEmbeds: expected shape [2, 7], got [1, 7]",
  });
  assert.throws(() => run({ textEmbeds: zeros([2, 8]), timeIds: [1, 2, 3, 4, 5, 6] }), {
    name: "RangeError",
    message: "Cannot use textEmbeds: expected 31 − 4 · n values a row, got 8",
  });
});

function wanted(name: string, array: string): HostTensor {
  return expected.get(`${name}/${array}`)!;
}

function inputsOf({ name, classes, time_ids }: Case) {
  const optional = (array: string) => {
    const stored = expected.get(`${name}/${array}`);
    return stored && upload(stored);
  };
  const textEmbeds = optional("text_embeds");
  const options: UNet2DConditionOptions = {
    addedCond: textEmbeds && time_ids ? { textEmbeds, timeIds: time_ids } : undefined,
    timestepCond: optional("timestep_cond"),
    classLabels: optional("classes") ?? classes as number[] ?? undefined,
    encoderAttentionMask: optional("mask"),
  };
  return { sample: upload(wanted(name, "sample")), prompts: upload(wanted(name, "prompts")), options };
}

/** The model of a case, through files as on the hub. */
function assertSame(got: Tensor, want: HostTensor, what: string, limit = bound): Promise<void> {
  return assertTensor(got, want, limit, what);
}
