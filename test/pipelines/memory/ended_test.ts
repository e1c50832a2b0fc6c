import assert from "node:assert/strict";
import { manualSeed, zeros } from "../../../src/mod.ts";
import { DiffusionPipeline } from "../../../src/pipelines/mod.ts";
import { device } from "../../support/device.ts";
import { fixture } from "../../support/fixtures.ts";

const settled = 3; // runs after which nothing new is needed
const steps = 2;
const endings = 3; // behind each step, and where latents do not fit
const folders = {
  "Stable Diffusion": `${import.meta.dirname}/../../../models/emoji-diffusion`,
  "Stable Diffusion XL": fixture("stable_diffusion_xl/pipeline"),
  "FLUX.1": fixture("flux/pipeline"),
  "FLUX.2": fixture("flux2/pipeline"),
  "Z-Image": fixture("zimage/pipeline"),
};

for (const [name, folder] of Object.entries(folders)) {
  Deno.test(`runs of ${name} that end early, in the loop, behind it or before it, give all memory back`, async () => {
    using pipeline = await DiffusionPipeline.fromPretrained(folder);
    const bytes: number[] = [];
    const wrong = zeros([1, 2, 3]);
    await wrong.data();
    for (let seed = 0; seed < 9; seed++) {
      const controller = new AbortController();
      const onStep = (step: number) => {
        if (step === seed % endings) controller.abort(new Error("enough"));
      };
      const run = pipeline.run({
        ...{ prompt: "a nice flower", height: 32, width: 32, numInferenceSteps: steps, progress: false },
        ...{ signal: controller.signal, onStep, generator: manualSeed(seed) },
        latents: seed % endings === steps ? wrong : undefined,
      });
      await assert.rejects(run, seed % endings === steps ? /expected latents/ : /enough/);
      await device.settle();
      bytes.push(device.buffers.usage().bytes);
    }
    const most = Math.max(...bytes.slice(0, settled));
    assert.ok(bytes.every((now) => now <= most), `bytes after each run: ${bytes.join(", ")}`);
  });
}
