import assert from "node:assert/strict";
import { join } from "node:path";
import { openDevice } from "../../src/gpu/open/open.ts";
import { classOf, idOf, watchKernels } from "../../src/graph/tuning/choice.ts";
import type { KernelSpec } from "../../src/graph/node.ts";
import { AutoencoderKL, CLIPTextModel, UNet2DConditionModel, UNet2DModel } from "../../src/models/mod.ts";
import { asGpu } from "../support/engines.ts";

const models = join(import.meta.dirname!, "../../models");

for (const gpu of [false, true]) {
  Deno.test(`the kernels of the embedded models have one plain candidate each, and others beside it${gpu ? " on a GPU" : ""}`, async () => {
    using device = await openDevice();
    if (gpu) asGpu(device);
    const specs: KernelSpec[] = [];
    using _watch = watchKernels(device, ({ spec }) => {
      if (spec.candidates.length > 1) specs.push(spec);
    });
    const source = { headersOnly: true };
    using _unet = await UNet2DModel.fromPretrained(`${models}/emoji-ddpm`, { ...source, subfolder: "unet" });
    const sd = `${models}/emoji-diffusion`;
    using _text = await CLIPTextModel.fromPretrained(sd, { ...source, subfolder: "text_encoder" });
    using _guided = await UNet2DConditionModel.fromPretrained(sd, { ...source, subfolder: "unet" });
    using _vae = await AutoencoderKL.fromPretrained(sd, { ...source, subfolder: "vae" });
    if (!gpu && device.engine === "dawn") assert.ok(specs.length > 20, `only ${specs.length} choices`);
    for (const spec of specs) {
      const plain = spec.candidates.filter((candidate) => candidate.plain);
      assert.equal(plain.length, 1, `${classOf(spec)} has ${plain.length} plain candidates`);
      const ids = spec.candidates.map(idOf);
      assert.equal(new Set(ids).size, ids.length, `names and constants do not tell ${ids.join("; ")} apart`);
    }
  });
}
