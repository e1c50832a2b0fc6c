import assert from "node:assert/strict";
import type { Device } from "../../src/gpu/device.ts";
import { Leaf } from "../../src/graph/node.ts";
import { openCheckpoint } from "../../src/io/checkpoint.ts";
import { upload } from "../../src/io/upload.ts";
import { TestFolder } from "../io/files.ts";
import { readTensors } from "../support/arrays.ts";
import { testOnBothEngines } from "../support/engines.ts";
import { fixture } from "../support/fixtures.ts";
import { scaledFile, torchNumbers } from "../support/float8.ts";

for (const dtype of ["F8_E4M3", "F8_E5M2"] as const) {
  testOnBothEngines(`upload() brings all 256 codes of ${dtype} as torch reads them`, async (device) => {
    const want = await torchNumbers(dtype);
    const [got, notFinite] = await uploaded(device, fixture("gguf/float8.safetensors"), dtype);
    assert.deepEqual([...got], want);
    assert.deepEqual(notFinite, [dtype]);
  });
}

const scales: [string, string, number[], number[]][] = [
  ["one scale as ComfyUI has it", "a.scale_weight", [], [0.25]],
  ["one scale of shape [1]", "a.weight_scale", [1], [3]],
  ["a scale a row", "a.weight_scale", [3, 1], [2, 0.5, -1]],
  ["a scale that is not exact", "a.weight_scale", [3, 1], [1e-3, 7, 0]],
];

for (const [what, key, shape, values] of scales) {
  testOnBothEngines(`upload() multiplies fp8 by ${what}`, async (device) => {
    using folder = new TestFolder();
    const path = scaledFile(folder, key, shape, values);
    const [got] = await uploaded(device, path, "a.weight");
    assert.deepEqual([...got], expectedRows(values));
  });
}

const blocks = ["Q4_0", "Q5_0", "Q5_1", "Q8_0", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K"];
for (const dtype of [...blocks, "F16", "BF16"]) {
  testOnBothEngines(`upload() brings ${dtype} as the gguf package reads it`, async (device) => {
    const [got] = await uploaded(device, fixture("gguf/blocks.gguf"), dtype);
    const { data } = (await readTensors(fixture("gguf/blocks.safetensors"))).get(dtype)!;
    assert.deepEqual([...got], [...data]);
  });
}

testOnBothEngines(
  "upload() orders the taps of a convolution whose channels are no whole blocks",
  async (device) => {
    const [got] = await uploaded(device, fixture("gguf/blocks.gguf"), "Q4_1"); // [4, 32, 2, 2] by its metadata
    const { data } = (await readTensors(fixture("gguf/blocks.safetensors"))).get("Q4_1")!;
    const want = [...data].map((_, i) => {
      const [o, tap, channel] = [Math.floor(i / 128), Math.floor(i / 32) % 4, i % 32];
      return data[o * 128 + channel * 4 + tap];
    });
    assert.deepEqual([...got], want);
  },
);

/** A tensor's values in GPU memory, and the names of those that hold NaN or infinity. */
async function uploaded(
  device: Device,
  path: string,
  name: string,
): Promise<[Float32Array, readonly string[]]> {
  using checkpoint = await openCheckpoint(path);
  const info = checkpoint.tensors.get(name)!;
  const leaf = new Leaf("f32", info.shape.reduce((product, n) => product * n, 1), name);
  const { release, notFinite } = await upload(device, checkpoint, [{ info, leaf }], { label: "test" });
  const { buffer, offset } = leaf.storage!;
  const values = new Float32Array(await device.read(buffer, offset, leaf.count * 4));
  release();
  return [values, notFinite];
}

function expectedRows(scale: number[]): number[] {
  return Array.from(
    { length: 12 },
    (_, i) => Math.fround(i * Math.fround(scale[Math.floor(i / 4) % scale.length]!)),
  );
}
