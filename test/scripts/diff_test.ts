import assert from "node:assert/strict";
import { join } from "node:path";
import { openDevice } from "denoise";
import { recordedCall } from "../../scripts/diff/calls.ts";
import { type Diff, diffModel, type DiffOptions } from "../../scripts/diff/diff.ts";
import { differenceOf, isSameOrder } from "../../scripts/diff/difference.ts";
import { RecordedInputs } from "../../scripts/diff/inputs.ts";
import { openRecording } from "../../scripts/diff/recording.ts";
import { toleranceOf } from "../../scripts/diff/tolerance.ts";
import { openOneModel } from "../../scripts/inspect/find_model.ts";
import { editedModel, type ModelEdits } from "../support/edited_model.ts";
import { safetensors, TestFolder } from "../support/files.ts";
import { runScript } from "../support/script.ts";

const root = join(import.meta.dirname!, "../..");
const emoji = join(root, "models/emoji-diffusion");
const ddpm = join(root, "test/fixtures/ddpm/pipeline");
const flux = join(root, "test/fixtures/flux/pipeline");
const flux2 = join(root, "test/fixtures/flux2/pipeline");
const zImage = join(root, "test/fixtures/zimage/pipeline");
const controlNet = join(root, "test/fixtures/controlnet/controlnet");
const recorded = (name: string) => join(root, `test/fixtures/features/${name}.safetensors`);

async function diffOf(
  model: string,
  path: string,
  { dtype = "f32", ...options }: DiffOptions & { dtype?: "f32" | "f16" } = {},
): Promise<Diff> {
  using _device = await openDevice();
  using recording = await openRecording(path);
  const { class: className, call } = recording.facts;
  using opened = await openOneModel("compare", model, { className }, { dtype });
  const inputs = new RecordedInputs(await recording.inputs(), `${className}.${call} of ${path}`);
  return await diffModel(opened, recording, recordedCall(opened, call, inputs), options);
}

for (
  const [name, model, className, count] of [
    ["unet", emoji, "UNet2DConditionModel", 5],
    ["vae", emoji, "AutoencoderKL", 12],
    ["clip", emoji, "CLIPTextModel", 11],
    ["ddpm", ddpm, "UNet2DModel", 14],
    ["flux", flux, "FluxTransformer2DModel", 12],
    ["t5", flux, "T5EncoderModel", 25],
    ["flux2", flux2, "Flux2Transformer2DModel", 8],
    ["qwen3", zImage, "Qwen3Model", 10],
    ["controlnet", controlNet, "ControlNetModel", 5],
    ["zimage", zImage, "ZImageTransformer2DModel", 12],
  ] as const
) {
  for (const dtype of ["f32", "f16"] as const) {
    Deno.test(`${className} in ${dtype} computes what torch recorded, module by module`, async () => {
      const diff = await diffOf(model, recorded(name), { dtype });
      assert.equal(diff.className, className);
      assert.equal(diff.first, undefined);
      assert.deepEqual(diff.config, []);
      assert.ok(diff.features.length >= count);
      assert.ok(diff.results.length > 0);
      for (const { path, error, rms } of [...diff.features, ...diff.results]) {
        assert.ok(error <= (dtype === "f32" ? 3e-5 : 1e-2), `${path} is off by ${error}`);
        assert.ok(rms <= 2 * error);
      }
    });
  }
}

async function planted(
  [model, path]: readonly [model: string, path: string],
  edits: ModelEdits,
): Promise<Diff> {
  using folder = new TestFolder();
  return await diffOf(await editedModel(model, folder.path, edits), recorded(path));
}

Deno.test("an error in a layer's weight is found in that layer, its inputs being right", async () => {
  const key = "mid_block.resnets.0.conv2.weight";
  const { first, config } = await planted([`${emoji}/unet`, "unet"], {
    weight: { key, element: 4, value: 0.5 }, // the middle of a kernel
  });
  assert.equal(first?.path, "mid_block.resnets.0.conv2");
  assert.deepEqual(first.sources.map(({ path, isRight }) => [path, isRight]), [
    ["mid_block.resnets.0.norm2", true],
  ]);
  assert.ok(first.error > 1e-3 && first.worst.index[1] === 0 && first.worst.here !== first.worst.there);
  assert.equal(first.decades.reduce((a, b) => a + b), 2 * 192 * 2 * 2);
  assert.ok(first.decades.slice(0, 3).reduce((a, b) => a + b) >= 2 * 191 * 2 * 2); // other channels are right
  assert.deepEqual(config, []);
});

Deno.test("an error in an embedding of time is found where it is added", async () => {
  const { first } = await planted([`${emoji}/unet`, "unet"], {
    weight: { key: "mid_block.resnets.0.time_emb_proj.bias", element: 2, value: 3 },
  });
  assert.equal(first?.path, "mid_block.resnets.0.norm2");
  assert.deepEqual(first.sources.map(({ path }) => path), ["mid_block.resnets.0.conv1"]);
});

for (
  const [config, path] of [
    [{ layer_norm_epsilon: 0.5 }, "encoder.block.0.layer.0.layer_norm"],
    [{ feed_forward_proj: "gated-silu", dense_act_fn: "silu" }, "encoder.block.0.layer.1.DenseReluDense.wo"],
  ] as const
) {
  Deno.test(`another ${Object.keys(config)[0]} is found at ${path}`, async () => {
    const diff = await planted([`${flux}/text_encoder_2`, "t5"], { config });
    assert.equal(diff.first?.path, path);
    assert.ok(diff.first.sources.every(({ isRight }) => isRight));
    assert.deepEqual(diff.config.map(({ key }) => key).sort(), Object.keys(config).sort());
  });
}

Deno.test("deno task diff prints the first wrong path, writes its numbers, and exits with 1", async () => {
  using folder = new TestFolder();
  const model = await editedModel(`${emoji}/unet`, folder.path, {
    weight: { key: "mid_block.resnets.0.conv1.weight", element: 4, value: 0.5 },
  });
  const against = ["--against", recorded("unet"), "--dtype", "f32"];
  const { code, stdout } = await runScript(folder.path, "diff.ts", model, ...against, "--json", "diff.json");
  assert.equal(code, 1);
  assert.match(stdout, /first that is wrong: mid_block\.resnets\.0\.conv1, error .*, tolerance /);
  assert.match(stdout, /computed from\n {4}mid_block\.resnets\.0\.norm1: right/);
  assert.match(stdout, /furthest off at \[\d, 0, \d, \d\]: -?[\d.]+ here, -?[\d.]+ there/);
  const { format, version, first } = JSON.parse(await Deno.readTextFile(join(folder.path, "diff.json")));
  assert.deepEqual([format, version, first.path], ["denoise-diff", 1, "mid_block.resnets.0.conv1"]);

  const right = await runScript(
    folder.path,
    "diff.ts",
    emoji,
    ...against,
    "--only",
    "mid_block.resnets.0.norm",
  );
  assert.equal(right.code, 0, right.stderr);
  assert.match(right.stdout, /^3 of 3 are right$/m); // two norms and the sample
  const strict = await runScript(folder.path, "diff.ts", emoji, ...against, "--tolerance", "1e-12");
  assert.equal(strict.code, 1);
  assert.match(strict.stdout, /first that is wrong: mid_block\.resnets\.0\.norm1, .* 1\.0e-12/);
  assert.match(strict.stdout, /computed from features that were not compared/);
});

/** A recording with other tensors or metadata. */
async function changed(
  path: string,
  change: (header: Record<string, { shape: number[] }>, metadata: Record<string, string>) => void,
): Promise<Uint8Array> {
  const bytes = await Deno.readFile(path);
  const length = Number(new DataView(bytes.buffer).getBigUint64(0, true));
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + length)));
  change(header, header.__metadata__);
  return safetensors(header, bytes.subarray(8 + length));
}

for (
  const [what, change, message] of [
    [
      "of another model",
      (_, m) => m["class"] = "AutoencoderKL",
      /expected features of T5EncoderModel, got those of AutoencoderKL/,
    ],
    [
      "of another method",
      (_, m) => m["call"] = "generate",
      /Cannot call generate of T5EncoderModel: expected/,
    ],
    ["without an input", (h) => {
      h["inputs/ids"] = h["inputs/input_ids"]!;
      delete h["inputs/input_ids"];
    }, /expected an input "input_ids", got ids; record it with/],
    ["with an input more", (h) => {
      h["inputs/inputs_embeds"] = h["results/last_hidden_state"]!;
      delete h["results/last_hidden_state"];
    }, /expected no input "inputs_embeds", which nothing here takes/],
    [
      "with another shape",
      (h) => h["results/last_hidden_state"]!.shape = [2, 14, 8],
      /expected the recorded shape \[2, 14, 8\], got \[2, 7, 16\]/,
    ],
    [
      "without a feature",
      (_, m) => m["order"] = '["encoder.block.9"]',
      /expected "features\/encoder.block.9", which its order lists/,
    ],
    [
      "without sources",
      (_, m) => delete m["sources"],
      /expected features of a model, got no JSON in "sources"/,
    ],
    ["of the future", (_, m) => m["version"] = "2", /got "version" of its metadata with another form/],
    [
      "without metadata",
      (h) => delete h["__metadata__"],
      /expected features of a model, got other tensors; record them with/,
    ],
  ] as [string, Parameters<typeof changed>[1], RegExp][]
) {
  Deno.test(`a recording ${what} is refused in a line`, async () => {
    using folder = new TestFolder();
    const path = folder.write("f.safetensors", await changed(recorded("t5"), change));
    const args = [`${flux}/text_encoder_2`, "--against", path];
    const { code, stderr, stdout } = await runScript(folder.path, "diff.ts", ...args);
    assert.equal(code, 1, stdout);
    assert.match(stderr, message);
    assert.equal(stderr.trim().split("\n").length, 1, stderr);
  });
}

Deno.test("a difference is that of the worst element, and equal infinities are right", () => {
  const there = [0, 4, Infinity, NaN, -2, 1];
  const same = differenceOf(there, there, [2, 3]);
  assert.deepEqual([same.error, same.rms], [0, 0]);
  const near = differenceOf([0, 4, Infinity, NaN, -2.5, 1.001], there, [2, 3]);
  assert.deepEqual(near.worst, { index: [1, 1], here: -2.5, there: -2 });
  assert.equal(near.error, 0.125);
  assert.deepEqual(near.decades, [4, 0, 0, 0, 0, 1, 0, 0, 1, 0]);
  const wrong = differenceOf([0, 4, Infinity, 7, -2, 1], there, [2, 3]);
  assert.deepEqual([wrong.error, wrong.worst.index], [Infinity, [1, 0]]);
  assert.equal(differenceOf([NaN, 1], [1, 1], [2]).error, Infinity);
  assert.equal(differenceOf([1, 0], [0, 0], [2]).error, Infinity);
});

Deno.test("shapes may differ in how adjacent axes are put together", () => {
  assert.ok(isSameOrder([2, 24, 4, 4], [2, 24, 16]));
  assert.ok(isSameOrder([1, 96], [1, 1, 96]));
  assert.ok(isSameOrder([], [1]));
  assert.ok(!isSameOrder([2, 24, 16], [2, 16, 24]));
  assert.ok(!isSameOrder([2, 3], [2, 2]));
});

Deno.test("a tolerance follows the coarser type, and grows with the modules in front", () => {
  assert.ok(toleranceOf(["f32", "F32"], 1, 0.2) < toleranceOf(["f32", "F32"], 200, 0.2));
  assert.equal(toleranceOf(["f16", "F32"], 9, 0.2), toleranceOf(["f32", "F16"], 9, 0.2));
  assert.equal(toleranceOf(["f16", "BF16"], 9, 0.2), 8 * toleranceOf(["f16", "F16"], 9, 0.2));
});
