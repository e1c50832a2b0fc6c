import assert from "node:assert/strict";
import { manualSeed, randn, type Tensor } from "../../../src/mod.ts";
import {
  type LoadOptions,
  ZImageControlNetModel,
  ZImageTransformer2DModel,
} from "../../../src/models/mod.ts";
import "../../support/device.ts";
import { Dice } from "../../support/dice.ts";
import { TestFolder } from "../../support/files.ts";
import type { Shapes } from "../../support/flux_dev_shapes.ts";
import { tensorFile } from "../../support/lora_files.ts";
import { assertTensor, onHost } from "../../support/tensors.ts";
import {
  zImageControlNetConfig,
  zImageControlNetShapes,
  zImageShapes,
  zImageTurboConfig,
} from "../../support/z_image_turbo.ts";

/** Small models whose matrices are large and wide enough to be packed. */
const wide = { dim: 192, n_heads: 2, n_kv_heads: 2, n_refiner_layers: 1 };
const transformerConfig = {
  ...zImageTurboConfig,
  ...wide,
  axes_dims: [32, 32, 32],
  cap_feat_dim: 64,
  n_layers: 2,
};
const netConfig = {
  ...zImageControlNetConfig,
  ...wide,
  control_layers_places: [0, 1],
  control_refiner_layers_places: [0],
};

function write(folder: TestFolder, name: string, shapes: Shapes, config: object): string {
  const dice = new Dice(7);
  const tensors = Object.fromEntries(
    Object.entries(shapes).map(([key, shape]) => {
      const spread = shape.length === 2 ? 1 / Math.sqrt(shape[1]!) : 0.1;
      const isNorm = /norm\w*\.weight$|cap_embedder\.0/.test(key);
      const data = dice.numbers(shape.reduce((a, b) => a * b, 1), spread).map((x) => isNorm ? 1 + x : x);
      return [key, { shape, data }];
    }),
  );
  folder.write(`${name}/diffusion_pytorch_model.safetensors`, tensorFile(tensors));
  folder.write(`${name}/config.json`, JSON.stringify(config));
  return `${folder.path}/${name}`;
}

/** What is added behind the last block. */
async function sample(
  paths: readonly [transformer: string, net: string],
  options: LoadOptions,
): Promise<Tensor> {
  using transformer = await ZImageTransformer2DModel.fromPretrained(paths[0], { dtype: "f32" });
  using net = await ZImageControlNetModel.fromPretrained(paths[1], { onNotice: () => {}, ...options });
  if (options.quantize) assert.equal(net.quantize, options.quantize);
  ZImageControlNetModel.fromTransformer(net, transformer);
  const x = randn([1, 16, 8, 12], { generator: manualSeed(0) });
  const caption = randn([1, 20, 64], { generator: manualSeed(1) });
  const context = randn([1, 33, 8, 12], { generator: manualSeed(2) });
  return net.forward(x, 0.4, caption, context).controlnetBlockSamples[1]!;
}

Deno.test("ZImageControlNetModel in int8, in int4 and streamed from the disk stays near f32", async () => {
  using folder = new TestFolder();
  const paths = [
    write(folder, "transformer", zImageShapes(transformerConfig), transformerConfig),
    write(folder, "controlnet", zImageControlNetShapes(netConfig), netConfig),
  ] as const;
  const want = await onHost(await sample(paths, { dtype: "f32" }));
  for (
    const [options, bound] of [[{ quantize: "int8" }, 0.02], [{ quantize: "int4" }, 0.25], [
      { stream: true },
      0,
    ]] as const
  ) {
    await assertTensor(
      await sample(paths, { dtype: "f32", ...options }),
      want,
      bound,
      JSON.stringify(options),
    );
  }
});
