import assert from "node:assert/strict";
import { openCheckpoint } from "../../../src/io/formats/checkpoint.ts";
import { openSingleFile, predictionOf } from "../../../src/io/single_file/file.ts";
import { fixture } from "../../support/fixtures.ts";
import { infosOf, openClipShapes, prefixed, unetShapes } from "../../support/real_headers.ts";
import { findParts } from "../../../src/io/single_file/parts.ts";

for (const name of ["lightning.ckpt", "lightning_legacy.ckpt"]) {
  Deno.test(`${name} gives its weights, not what training left beside them`, async () => {
    using checkpoint = await openCheckpoint(fixture(`single_file/${name}`));
    assert.equal(checkpoint.tensors.size, 7);
    assert.deepEqual(checkpoint.tensors.get("model.diffusion_model.out.2.weight")!.shape, [2, 3]);
    assert.deepEqual([...checkpoint.metadata], [
      ["epoch", "4"],
      ["global_step", "875000"],
      ["pytorch-lightning_version", "1.4.2"],
    ]);
  });
}

Deno.test("the weights of a .ckpt are those without EMA, as diffusers takes them", async () => {
  const path = fixture("single_file/lightning.ckpt");
  const { parts } = await openSingleFile(path);
  using checkpoint = await openCheckpoint(path, parts.get("unet")!.view);
  using whole = await openCheckpoint(path);
  assert.deepEqual([...checkpoint.tensors.keys()].sort(), [
    "conv_in.weight",
    "conv_out.weight",
    "time_embedding.linear_1.weight",
  ]);
  const [got, want] = await Promise.all([
    checkpoint.read(checkpoint.tensors.get("conv_out.weight")!, 0, 6),
    whole.read(whole.tensors.get("model.diffusion_model.out.2.weight")!, 0, 6),
  ]);
  assert.deepEqual(got, want);
});

const channels = [320, 640, 1280, 1280];
const sd2 = (inputs = 4) => ({
  ...prefixed(
    "model.diffusion_model.",
    unetShapes({ channels, depths: [1, 1, 1, 0], middle: 1, cross: 1024, linear: true, inputs }),
  ),
  ...prefixed("cond_stage_model.model.", openClipShapes(1024, 24)),
});

/** Shapes and metadata of an SD 2 file, the option, and what is decided by what. */
const predictions: [
  string,
  Record<string, readonly number[]>,
  [string, string][],
  "epsilon" | undefined,
  string,
  boolean,
][] = [
  ["nothing", sd2(), [], undefined, "v_prediction", true],
  ["the option", sd2(), [], "epsilon", "epsilon", false],
  ["the steps of its training", sd2(), [["global_step", "875000"]], undefined, "epsilon", false],
  ["other steps of training", sd2(), [["global_step", "110000"]], undefined, "v_prediction", false],
  ["its metadata", sd2(), [["modelspec.prediction_type", "epsilon"]], undefined, "epsilon", false],
  ["its channels for inpainting", sd2(9), [], undefined, "epsilon", true],
];

for (const [what, shapes, metadata, predictionType, type, isGuess] of predictions) {
  Deno.test(`what SD 2 predicts is told by ${what}: ${type}`, () => {
    const tensors = infosOf(shapes);
    const file = {
      ...{ tensors, metadata: new Map(metadata), parts: findParts(tensors) },
      family: "sd2",
    } as const;
    assert.deepEqual(predictionOf(file, { predictionType }), { type, isGuess });
  });
}

Deno.test("a mark of its author tells that an SDXL file predicts v", () => {
  const tensors = infosOf({ v_pred: [] });
  const file = { tensors, metadata: new Map(), parts: new Map(), family: "sdxl" } as const;
  assert.deepEqual(predictionOf(file, {}), { type: "v_prediction", isGuess: false });
});
