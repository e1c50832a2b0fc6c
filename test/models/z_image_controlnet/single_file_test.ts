import assert from "node:assert/strict";
import { parseConfig } from "../../../src/io/config.ts";
import { zImageControlNetConfig } from "../../../src/io/names/z_image_controlnet.ts";
import type { TensorInfo } from "../../../src/io/formats/stored_tensor.ts";
import { zImageControlNetConfig as schema } from "../../../src/models/z_image_controlnet/config.ts";
import { ZImageControlNetModel } from "../../../src/models/mod.ts";
import { TestFolder } from "../../support/files.ts";
import type { RawTensor } from "../../support/raw_tensors.ts";
import { safetensorsOf } from "../../support/raw_tensors.ts";
import { controlNetWeights } from "../../support/z_image_controlnet.ts";
import "../../support/device.ts";

/** Keys and shapes of a published file that decide its config. */
function published(layers: number, channels: number, refiner: string[]): Map<string, TensorInfo> {
  const shapes: [string, number[]][] = [
    ["control_all_x_embedder.2-1.weight", [3840, 4 * channels]],
    ["control_layers.0.attention.norm_q.weight", [128]],
    [`control_layers.${layers - 1}.after_proj.weight`, [3840, 3840]],
    ...refiner.map((key): [string, number[]] => [`control_noise_refiner.${key}`, [3840, 3840]]),
  ];
  return new Map(shapes.map(([name, shape]) => [name, { name, shape, dtype: "BF16", bytes: 0 }]));
}

const evenly = (count: number, step: number) => Array.from({ length: count }, (_, i) => i * step);
const adding = ["0.before_proj.weight", "0.after_proj.weight", "1.after_proj.weight"];
const cases: [name: string, file: Map<string, TensorInfo>, config: object][] = [
  ["version 1", published(6, 16, ["0.attention.to_q.weight", "1.attention.to_q.weight"]), {
    control_layers_places: evenly(6, 5),
    control_in_dim: 16,
    add_control_noise_refiner: undefined,
    control_refiner_layers_places: undefined,
  }],
  ["version 2.1", published(15, 33, adding), {
    control_layers_places: evenly(15, 2),
    control_in_dim: 33,
    add_control_noise_refiner: "control_noise_refiner",
    control_refiner_layers_places: [0, 1],
  }],
  ["version 2.1 lite", published(3, 33, adding), {
    control_layers_places: evenly(3, 10),
    control_in_dim: 33,
    add_control_noise_refiner: "control_noise_refiner",
    control_refiner_layers_places: [0, 1],
  }],
  ["version 2.0 without the refiner", published(15, 33, []), {
    control_layers_places: evenly(15, 2),
    control_in_dim: 33,
    add_control_noise_refiner: "control_layers",
    control_refiner_layers_places: [0, 1],
  }],
];

for (const [name, file, config] of cases) {
  Deno.test(`the config of a ControlNet of Z-Image follows from its shapes: ${name}`, () => {
    const got = parseConfig(schema, zImageControlNetConfig(file, ""), name);
    const common = { dim: 3840, n_heads: 30, n_refiner_layers: 2, qk_norm: true };
    const want = { ...config, ...common };
    assert.deepEqual(
      Object.fromEntries(Object.keys(want).map((key) => [key, got[key as keyof typeof got]])),
      want,
    );
  });
}

Deno.test("a ControlNet of Z-Image in one file is of version 2.0 where its refiner was not trained", async () => {
  using folder = new TestFolder();
  const notices: string[] = [];
  const open = async (name: string, tensors: ReadonlyMap<string, RawTensor>) =>
    await ZImageControlNetModel.fromSingleFile(folder.write(name, safetensorsOf(tensors)), {
      dtype: "f32",
      onNotice: (line) => notices.push(line),
    });
  const trained = await controlNetWeights("v2.1");
  using second = await open("2.1.safetensors", trained);
  assert.equal(second.config.add_control_noise_refiner, "control_noise_refiner");
  const untrained = new Map(
    [...trained].map(([key, tensor]) =>
      /refiner\..*before_proj/.test(key)
        ? [key, { ...tensor, bytes: tensor.bytes.map(() => 0) }]
        : [key, tensor]
    ),
  );
  using first = await open("2.0.safetensors", untrained);
  assert.equal(first.config.add_control_noise_refiner, "control_layers");
  assert.deepEqual(notices, []);
});
