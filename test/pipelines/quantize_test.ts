import assert from "node:assert/strict";
import { manualSeed } from "../../src/mod.ts";
import { StableDiffusionPipeline } from "../../src/pipelines/mod.ts";
import "../support/device.ts";
import { emoji } from "../support/emoji.ts";

Deno.test("a picture drawn in int8 is near that of f32, and one in int4 less so", async () => {
  const whole = await draw();
  const decibels = { int8: psnr(await draw("int8"), whole), int4: psnr(await draw("int4"), whole) };
  assert.ok(decibels.int8 > 35 && decibels.int8 < 90, `int8: PSNR ${decibels.int8} dB`);
  assert.ok(decibels.int4 > 15 && decibels.int4 < decibels.int8 - 6, `int4: PSNR ${decibels.int4} dB`);
});

async function draw(quantize?: "int8" | "int4"): Promise<Float32Array> {
  using pipeline = await StableDiffusionPipeline.fromPretrained(emoji, {
    dtype: "f32",
    quantize,
    onNotice: () => {},
  });
  const { images } = await pipeline.run({
    prompt: "a nice flower",
    numInferenceSteps: 8,
    guidanceScale: 4.5,
    generator: manualSeed(0),
    progress: false,
  });
  return await images.data() as Float32Array;
}

/** Peak signal to noise ratio of pictures in [0, 1], in dB. */
function psnr(got: Float32Array, want: Float32Array): number {
  const squares = got.reduce((sum, value, i) => sum + (value - want[i]!) ** 2, 0);
  return 10 * Math.log10(got.length / squares);
}
