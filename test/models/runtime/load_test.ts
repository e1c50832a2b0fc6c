import assert from "node:assert/strict";
import { join } from "node:path";
import { streamOf } from "../../../src/graph/run/stream.ts";
import { randn, type Tensor } from "../../../src/mod.ts";
import { buildModel } from "../../../src/models/runtime/load.ts";
import { type LoadOptions, UNet2DModel } from "../../../src/models/mod.ts";
import type { ModelSource } from "../../../src/io/single_file/contents.ts";
import { openModelSource } from "../../../src/models/runtime/model_source.ts";
import { manualSeed } from "../../../src/random/mod.ts";
import { fixture } from "../../support/fixtures.ts";
import { device } from "../../support/device.ts";

const folder = fixture("ddpm/pipeline");
const notThere = "Cannot run UNet2DModel: its weights are not in memory; await its load() first";

Deno.test("a deferred model knows its config, takes no memory for weights, and says that it must be loaded", async () => {
  const before = device.buffers.usage().bytes;
  using unet = await open({ defer: true });
  assert.equal(unet.loaded, false);
  assert.equal(unet.config.in_channels, 3);
  assert.ok(unet.bytes > Deno.statSync(join(folder, "unet/diffusion_pytorch_model.safetensors")).size / 2); // less its header
  assert.ok(device.buffers.usage().bytes - before < unet.bytes / 4);
  assert.throws(() => unet.forward(noise(unet), 1), { message: notThere });
  await unet.load();
  assert.equal(unet.loaded, true);
  assert.ok(device.buffers.usage().bytes - before >= unet.bytes);
});

Deno.test("load() brings the weights once, whoever asks, and unload() gives their memory back", async () => {
  const source = await openModelSource(folder, { subfolder: "unet" });
  let opened = 0;
  const counted: ModelSource = { ...source, open: () => (opened++, source.open()) };
  using unet = await buildModel(UNet2DModel, counted, { dtype: "f32", defer: true });
  assert.equal(opened, 1); // the header
  await Promise.all([unet.load(), unet.load()]);
  await unet.load();
  assert.equal(opened, 2);
  const want = await unet.forward(noise(unet), 500).sample.data();

  const before = device.buffers.usage().bytes;
  unet.unload();
  unet.unload();
  assert.ok(before - device.buffers.usage().bytes >= unet.bytes);
  assert.throws(() => unet.forward(noise(unet), 500), { message: notThere });
  await unet.load();
  assert.deepEqual(await unet.forward(noise(unet), 500).sample.data(), want);
});

Deno.test("unload() waits for the work that was recorded before it, and load() for what was unloaded", async () => {
  using unet = await open({});
  const want = await unet.forward(noise(unet), 10).sample.data();
  const { sample } = unet.forward(noise(unet), 10);
  unet.unload();
  const before = device.buffers.usage().bytes;
  await unet.load();
  assert.ok(device.buffers.usage().bytes < before + unet.bytes / 2); // never twice in memory
  assert.deepEqual(await sample.data(), want);
  assert.deepEqual(await unet.forward(noise(unet), 10).sample.data(), want);
});

Deno.test("a model that is unloaded or disposed while it loads gives back what comes late", async () => {
  const before = device.buffers.usage().bytes;
  const unet = await open({ defer: true });
  const first = unet.load();
  unet.unload();
  await first;
  assert.equal(unet.loaded, false);
  const [late, again] = [unet.load(), unet.load()];
  unet.unload();
  const last = unet.load();
  await Promise.all([late, again, last]);
  assert.equal(unet.loaded, true);
  unet.unload();
  const lost = unet.load();
  unet[Symbol.dispose]();
  await assert.rejects(lost, {
    message: "Cannot run UNet2DModel: it was disposed; load it again",
  });
  await streamOf(device).flush(); // what is freed waits for work, of earlier tests too
  assert.ok(device.buffers.usage().bytes <= before); // less where earlier tensors were collected
});

Deno.test("load() refuses a file that was exchanged for another since the model was opened", async () => {
  const copy = await Deno.makeTempDir();
  try {
    for (const name of ["config.json", "diffusion_pytorch_model.safetensors"]) {
      await Deno.copyFile(`${folder}/unet/${name}`, `${copy}/${name}`);
    }
    using unet = await UNet2DModel.fromPretrained(copy, { defer: true });
    const other = fixture("unet_2d/weights/base.safetensors");
    await Deno.copyFile(other, `${copy}/diffusion_pytorch_model.safetensors`);
    await assert.rejects(
      unet.load(),
      /^Error: Cannot load "conv_in.bias" .*: expected .* as when it was opened/,
    );
  } finally {
    await Deno.remove(copy, { recursive: true });
  }
});

function open(options: LoadOptions): Promise<UNet2DModel> {
  return UNet2DModel.fromPretrained(folder, { subfolder: "unet", dtype: "f32", ...options });
}

function noise({ config, sampleSize }: UNet2DModel): Tensor {
  return randn([1, config.in_channels, ...sampleSize], { generator: manualSeed(0) });
}
