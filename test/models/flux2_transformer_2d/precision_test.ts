import assert from "node:assert/strict";
import { manualSeed, randn, type Tensor } from "../../../src/mod.ts";
import { Flux2Transformer2DModel, type LoadOptions } from "../../../src/models/mod.ts";
import { flux2ImageIds, flux2TextIds } from "../../../src/models/flux2_transformer_2d/positions.ts";
import "../../support/device.ts";
import { Dice } from "../../support/dice.ts";
import { TestFolder } from "../../support/files.ts";
import { flux2Config, flux2Shapes, type Flux2Sizes } from "../../support/flux2_shapes.ts";
import { tensorFile } from "../../support/lora_files.ts";
import { assertTensor, onHost } from "../../support/tensors.ts";

/** A small model whose matrices are large and wide enough to be packed. */
const sizes: Flux2Sizes = { heads: 1, doubles: 1, singles: 2, text: 96, qwen3: {} };

/** Writes a model of random weights, those of some layers so many times as large. */
function write(folder: TestFolder, gains: Record<string, number> = {}): void {
  const dice = new Dice(7);
  const tensors = Object.fromEntries(
    Object.entries(flux2Shapes(sizes)).map(([key, shape]) => {
      const gain = Object.entries(gains).find(([part]) => key.includes(part))?.[1] ?? 1;
      const spread = shape.length === 2 ? 1 / Math.sqrt(shape[1]!) : 0.1;
      const data = dice.numbers(shape.reduce((a, b) => a * b, 1), spread);
      return [key, { shape, data: shape.length === 1 ? data.map((x) => 1 + x) : data.map((x) => gain * x) }];
    }),
  );
  folder.write("diffusion_pytorch_model.safetensors", tensorFile(tensors));
  folder.write("config.json", JSON.stringify(flux2Config(sizes)));
}

const INNER = ["transformer_blocks.0.ff.linear_in", "single_transformer_blocks.1"] as const;

async function run(folder: TestFolder, options: LoadOptions, taps = false) {
  using model = await Flux2Transformer2DModel.fromPretrained(folder.path, { onNotice: () => {}, ...options });
  const { sample, taps: inner } = model.forward(randn([1, 20, 128], { generator: manualSeed(0) }), {
    encoderHiddenStates: randn([1, 9, 96], { generator: manualSeed(1) }),
    imgIds: flux2ImageIds([4, 5]),
    txtIds: flux2TextIds(9),
    timestep: 0.4,
    taps: taps ? INNER : [],
  });
  if (options.quantize) assert.equal(model.quantize, options.quantize);
  return { out: sample, inner: inner as Record<string, Tensor> };
}

for (const [quantize, bound] of [["int8", 0.02], ["int4", 0.25]] as const) {
  Deno.test(`Flux2Transformer2DModel in ${quantize} stays near f32`, async () => {
    using folder = new TestFolder();
    write(folder, { stream_modulation: 6 }); // gates that let much of each branch through
    const want = await onHost((await run(folder, { dtype: "f32" })).out);
    for (const dtype of ["f32", "f16"] as const) {
      const { out } = await run(folder, { dtype, quantize });
      await assertTensor(out, want, bound, quantize);
      await assert.rejects(assertTensor(out, want, bound / 100, quantize)); // something was packed
    }
  });
}

Deno.test("Flux2Transformer2DModel streamed from the disk gives the same bits", async () => {
  using folder = new TestFolder();
  write(folder);
  const want = await (await run(folder, { dtype: "f32" })).out.data();
  assert.deepEqual(await (await run(folder, { dtype: "f32", stream: true })).out.data(), want);
});

Deno.test("Flux2Transformer2DModel in f16 holds streams and gated products beyond the largest f16", async () => {
  using folder = new TestFolder();
  write(folder, { "linear_in": 300, "to_qkv_mlp_proj": 300, "linear_out": 1e2, "attn.to_out": 1e2 });
  const exact = await run(folder, { dtype: "f32" }, true);
  const most = async (x: Tensor) => Math.max(...Array.from(await x.data() as Float32Array, Math.abs));
  const halves = await most(exact.inner[INNER[0]]!);
  assert.ok(halves > 500 && halves < 4096, `${halves}`); // whose product with as much is beyond 65504
  assert.ok(await most(exact.inner[INNER[1]]!) > 65504);
  const half = await run(folder, { dtype: "f16" });
  await assertTensor(half.out, await onHost(exact.out), 5e-3, "f16");
});
