import assert from "node:assert/strict";
import { openDevice } from "../../../src/gpu/open/open.ts";
import { streamOf } from "../../../src/graph/run/stream.ts";
import {
  type LoadOptions,
  ZImageTransformer2DModel,
  type ZImageTransformer2DOptions,
} from "../../../src/models/mod.ts";
import { scope, zeros } from "../../../src/tensor/mod.ts";
import type { HostTensor } from "../../support/arrays.ts";
import { device } from "../../support/device.ts";
import { asGpu } from "../../support/engines.ts";
import { TestFolder } from "../../support/files.ts";
import { fixture } from "../../support/fixtures.ts";
import { type ModelCase, readCases } from "../../support/model_cases.ts";
import { readRaw, safetensorsOf } from "../../support/raw_tensors.ts";
import { assertTensor, upload } from "../../support/tensors.ts";

/** f32; torch's frequencies of time are 1 ulp off in 5 of 128 places, and so are angles of 700 by 3e-5. */
const bound = 3e-5;
const f16Bound = 5e-3;

/** A case of test/fixtures/z_image_transformer_2d. */
interface Case extends ModelCase {
  t: number | number[];
  /** Tokens of each. */
  captions: number[];
  patch: [side: number, frames: number] | null;
  taps: string[];
}

const set = "z_image_transformer_2d";
const { cases, caseOf, expected } = await readCases<Case>(set);

for (const example of cases) {
  Deno.test(`ZImageTransformer2DModel follows diffusers: ${example.name}`, async () => {
    const notices: string[] = [];
    using model = await load(example, { dtype: "f32", onNotice: (line) => notices.push(line) });
    assert.deepEqual(notices, []); // every key of the file is read

    const { x, captions, options } = inputsOf(example);
    const { sample, taps } = model.forward(x, example.t, captions, { ...options, taps: example.taps });
    await assertTensor(sample, wanted(example, "out"), bound, "out");
    for (const path of example.taps) {
      const want = wanted(example, `taps/${path}`);
      const count = taps[path]!.shape[1]!; // diffusers computes the last layers for all tokens
      await assertTensor(taps[path]!, count === want.shape[1] ? want : tokensOf(want, count), bound, path);
    }
  });
}

for (const name of ["base", "three_lengths", "no_qk_norm"]) {
  Deno.test(`ZImageTransformer2DModel in f16 stays near f32: ${name}`, async () => {
    const example = caseOf(name);
    using model = await load(example, { dtype: "f16" });
    const { x, captions, options } = inputsOf(example);
    const out = model.forward(x, example.t, captions, options).sample;
    assert.equal(out.dtype, "f32");
    await assertTensor(out, wanted(example, "out"), f16Bound, "out");
  });
}

Deno.test("ZImageTransformer2DModel takes pictures without an axis of frames", async () => {
  const example = caseOf("base");
  using model = await load(example);
  const { x, captions, options } = inputsOf(example);
  const { sample } = model.forward(x.squeeze(2), example.t, captions, options);
  await assertTensor(sample.unsqueeze(2), wanted(example, "out"), bound, "out");
});

Deno.test("ZImageTransformer2DModel gives a row alone what it has in a batch, whatever fills it up", async () => {
  const example = caseOf("three_lengths");
  using model = await load(example);
  const { x, captions } = inputsOf(example);
  const filled = captions.pad([0, 0, 0, 58], { value: 9 }); // 128 tokens: more than any row has
  const capLengths = example.captions;
  await assertTensor(
    model.forward(x, example.t, filled, { capLengths }).sample,
    wanted(example, "out"),
    bound,
    "filled up",
  );
  for (const [row, length] of capLengths.entries()) {
    const alone = captions.slice(0, row, row + 1).slice(1, 0, length);
    const t = (example.t as number[])[row]!;
    const { sample } = model.forward(x.slice(0, row, row + 1), t, alone);
    await assertTensor(sample.squeeze(0), rowOf(wanted(example, "out"), row), bound, `row ${row}`);
  }
});

Deno.test("ZImageTransformer2DModel runs the blocks of the caption once in a loop", async () => {
  const example = caseOf("three_layers");
  using model = await load(example);
  const { x, captions } = inputsOf(example);
  const step = async (t: number) => {
    using _step = scope();
    const data = await model.forward(x.add(t), t, captions).sample.data();
    return { data, dispatches: streamOf(device).statistics.dispatches };
  };
  const first = await step(0.1);
  await step(0.2); // tells the plan what stays
  const later = await step(0.3);
  const again = await step(0.1);
  assert.deepEqual(again.data, first.data);
  const ofCaption = device.dump().split("\n\n").find((text) => text.includes("@ layers.2"))!
    .split("\n").filter((line) => /@ (cap_embedder|context_refiner)/.test(line)).length;
  assert.ok(ofCaption > 20, `${ofCaption} dispatches of the caption`);
  assert.ok(first.dispatches - later.dispatches >= ofCaption, `${first.dispatches} then ${later.dispatches}`);
});

Deno.test("ZImageTransformer2DModel takes 14 dispatches a block on a GPU, 12 where there is no time", async () => {
  using gpu = await openDevice();
  asGpu(gpu);
  using _model = await load(caseOf("three_layers"));
  const graph = gpu.dump().split("\n\n").find((text) => text.includes("@ layers.2"))!;
  const count = (path: string) =>
    graph.split("\n").filter((line) => line.includes(`@ ${path}`) && !/= pointwise\((cos|sin)\)/.test(line))
      .length;
  assert.equal(count("layers.1"), 14, graph);
  assert.equal(count("context_refiner.1"), 12, graph);
});

Deno.test("ZImageTransformer2DModel.forward() tells what is wrong with its arguments", async () => {
  using model = await load(caseOf("base"));
  const x = zeros([2, 3, 6, 4]);
  const captions = zeros([2, 7, 5]);
  const refuses = (
    message: string,
    options: object = {},
    sample = x,
    t: number | number[] = 0.5,
    caps = captions,
  ) =>
    assert.throws(() => model.forward(sample, t, caps, options as ZImageTransformer2DOptions), { message });
  refuses(
    "Cannot denoise: expected latents [B, 3, H, W] or [B, 3, F, H, W], H and W multiples of 2, got [2, 3, 5, 4]",
    {},
    zeros([2, 3, 5, 4]),
  );
  refuses(
    "Cannot denoise: expected latents [B, 3, H, W] or [B, 3, F, H, W], H and W multiples of 2, got [2, 4, 6, 4]",
    {},
    zeros([2, 4, 6, 4]),
  );
  refuses("Cannot use capFeats: expected shape [2, N, 5], got [2, 7, 6]", {}, x, 0.5, zeros([2, 7, 6]));
  refuses("Cannot denoise: expected one t, or 2 as there are rows in the sample, got 3", {}, x, [1, 1, 1]);
  refuses(
    "Cannot use capLengths: expected 2 whole numbers from 1 to 7, the tokens of capFeats, got [7, 8]",
    { capLengths: [7, 8] },
  );
  refuses(
    "Cannot denoise: expected at most 16 rows of tokens, as axes_lens says, got 17; draw a lower picture",
    {},
    zeros([2, 3, 34, 4]),
  );
  refuses(
    "Cannot denoise: expected at most 160 positions for caption and frames, as axes_lens says, got 162; shorten the prompt",
    {},
    x,
    0.5,
    zeros([2, 129, 5]),
  );
  refuses("Cannot denoise with tokens of size 4-any: expected 2-1, as the config has", { patchSize: 4 });
  refuses("Cannot denoise with siglipFeats: no such option; Omni is not built", {
    siglipFeats: [],
  });
});

Deno.test("ZImageTransformer2DModel comes back after it gave its memory away", async () => {
  const example = caseOf("three_lengths");
  using model = await load(example);
  const { x, captions, options } = inputsOf(example);
  const before = await model.forward(x, example.t, captions, options).sample.data();
  model.unload();
  assert.throws(() => model.forward(x, example.t, captions, options), {
    message: /its weights are not in memory; await its load\(\) first/,
  });
  await model.load();
  assert.deepEqual(await model.forward(x, example.t, captions, options).sample.data(), before);
});

function wanted({ name }: Case, array: string): HostTensor {
  return expected.get(`${name}/${array}`)!;
}

function inputsOf(example: Case) {
  const options = {
    capLengths: example.captions,
    ...(example.patch ? { patchSize: example.patch[0], fPatchSize: example.patch[1] } : {}),
  };
  return { x: upload(wanted(example, "x")), captions: upload(wanted(example, "captions")), options };
}

/** The first tokens of rows [B, tokens, D]. */
function tokensOf({ shape: [B, all, D], data, ...rest }: HostTensor, count: number): HostTensor {
  const rows = Array.from(
    { length: B! },
    (_, b) => [...data.subarray(b * all! * D!, (b * all! + count) * D!)],
  );
  return { ...rest, shape: [B!, count, D!], data: Float64Array.from(rows.flat()) };
}

function rowOf({ shape: [, ...shape], data, ...rest }: HostTensor, row: number): HostTensor {
  const size = shape.reduce((a, b) => a * b);
  return { ...rest, shape, data: data.subarray(row * size, (row + 1) * size) };
}

/** Loads the model of a case from a folder as on the hub, with the weights that the fixtures leave out. */
async function load(example: Case, options: LoadOptions = {}): Promise<ZImageTransformer2DModel> {
  const folder = new TestFolder();
  globalThis.addEventListener("unload", () => folder[Symbol.dispose]()); // weights may come again
  const tensors = await readRaw(fixture(`${set}/weights/${example.weights}.safetensors`));
  const width = tensors.get("t_embedder.mlp.2.bias")!.shape[0]!;
  for (const [layer, rows, columns] of [[0, 1024, 256], [2, width, 1024]] as const) {
    const values = Float32Array.from(
      { length: rows * columns },
      (_, i) => ((7919 * i) % 2039 - 1019) / 16384,
    );
    tensors.set(`t_embedder.mlp.${layer}.weight`, {
      dtype: "F32",
      shape: [rows, columns],
      bytes: new Uint8Array(values.buffer),
    });
  }
  folder.write("diffusion_pytorch_model.safetensors", safetensorsOf(tensors));
  folder.write("config.json", JSON.stringify(example.config));
  return await ZImageTransformer2DModel.fromPretrained(folder.path, { dtype: "f32", ...options });
}
