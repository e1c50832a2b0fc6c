import assert from "node:assert/strict";
import { manualSeed, randn, type Tensor } from "../../../src/mod.ts";
import { type LoadOptions, ZImageTransformer2DModel } from "../../../src/models/mod.ts";
import "../../support/device.ts";
import { Dice } from "../../support/dice.ts";
import { TestFolder } from "../../support/files.ts";
import { tensorFile } from "../../support/lora_files.ts";
import { assertTensor, onHost } from "../../support/tensors.ts";
import { zImageShapes, zImageTurboConfig } from "../../support/z_image_turbo.ts";

/** A small model whose matrices are large and wide enough to be packed. */
const config = {
  ...zImageTurboConfig,
  axes_dims: [32, 32, 32],
  cap_feat_dim: 64,
  dim: 192,
  n_heads: 2,
  n_kv_heads: 2,
  n_layers: 2,
  n_refiner_layers: 1,
};

/** Writes a model of random weights, those of some layers so many times as large. */
function write(folder: TestFolder, gains: Record<string, number> = {}): void {
  const dice = new Dice(7);
  const tensors = Object.fromEntries(
    Object.entries(zImageShapes(config)).map(([key, shape]) => {
      const size = shape.reduce((a, b) => a * b, 1);
      const gain = Object.entries(gains).find(([part]) => key.includes(part))?.[1] ?? 1;
      const isNorm = /norm\w*\.weight$|cap_embedder\.0/.test(key);
      const spread = shape.length === 2 ? 1 / Math.sqrt(shape[1]!) : 0.1;
      const data = dice.numbers(size, spread).map((x) => gain * (isNorm ? 1 + x : x));
      return [key, { shape, data }];
    }),
  );
  folder.write("diffusion_pytorch_model.safetensors", tensorFile(tensors));
  folder.write("config.json", JSON.stringify(config));
}

async function run(
  folder: TestFolder,
  options: LoadOptions,
): Promise<{ out: Tensor; inner: Record<string, Tensor> }> {
  using model = await ZImageTransformer2DModel.fromPretrained(folder.path, {
    onNotice: () => {},
    ...options,
  });
  const x = randn([1, 16, 8, 12], { generator: manualSeed(0) });
  const caption = randn([1, 20, 64], { generator: manualSeed(1) });
  const { sample, taps } = model.forward(x, 0.4, caption, { taps: ["layers.0.feed_forward.w3", "layers.1"] });
  if (options.quantize) assert.equal(model.quantize, options.quantize);
  return { out: sample, inner: taps };
}

for (const [quantize, bound] of [["int8", 0.02], ["int4", 0.25]] as const) {
  Deno.test(`ZImageTransformer2DModel in ${quantize} stays near f32`, async () => {
    using folder = new TestFolder();
    write(folder);
    const want = await onHost((await run(folder, { dtype: "f32" })).out);
    const { out } = await run(folder, { dtype: "f32", quantize });
    await assertTensor(out, want, bound, quantize);
    await assert.rejects(assertTensor(out, want, bound / 100, quantize)); // something was packed
  });
}

Deno.test("ZImageTransformer2DModel in f16 holds streams and gated products beyond the largest f16", async () => {
  using folder = new TestFolder();
  write(folder, { "feed_forward.w1": 400, "feed_forward.w3": 400, "attention_norm2": 4e4, "ffn_norm2": 4e4 });
  const exact = await run(folder, { dtype: "f32" });
  const most = async (x: Tensor) => Math.max(...Array.from(await x.data() as Float32Array, Math.abs));
  const w3 = await most(exact.inner["layers.0.feed_forward.w3"]!);
  assert.ok(w3 > 500 && w3 < 4096, `${w3}`); // whose product with as much is beyond 65504
  assert.ok(await most(exact.inner["layers.1"]!) > 65504);
  const half = await run(folder, { dtype: "f16" });
  await assertTensor(half.out, await onHost(exact.out), 5e-3, "f16");
});
