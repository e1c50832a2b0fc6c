import assert from "node:assert/strict";
import type { Device } from "../../src/gpu/device.ts";
import { openDevice } from "../../src/gpu/open/open.ts";
import { Leaf } from "../../src/graph/node.ts";
import { type Checkpoint, openCheckpoint } from "../../src/io/formats/checkpoint.ts";
import { toFloats } from "../../src/io/formats/numbers.ts";
import { upload } from "../../src/io/upload/upload.ts";
import { join, safetensors, TestFolder } from "../support/files.ts";
import { readTensors } from "../support/arrays.ts";
import { asGpu, testOnBothEngines } from "../support/engines.ts";
import { fixture } from "../support/fixtures.ts";
import { codes, scaledFile, torchNumbers } from "../support/float8.ts";

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

testOnBothEngines("upload() multiplies fp8 by a scale for each of many rows", async (device) => {
  using folder = new TestFolder();
  const scales = Array.from({ length: 300 }, (_, row) => row - 7); // more than lie in front of a piece by themselves
  const one = toFloats(codes, "F8_E4M3").indexOf(1);
  const header = {
    "a.weight": { dtype: "F8_E4M3", shape: [300, 4], data_offsets: [0, 1200] },
    "a.weight_scale": { dtype: "F32", shape: [300, 1], data_offsets: [1200, 2400] },
  };
  const bytes = join(new Uint8Array(1200).fill(one), new Uint8Array(Float32Array.from(scales).buffer));
  const [got] = await uploaded(device, folder.write("a.safetensors", safetensors(header, bytes)), "a.weight");
  assert.deepEqual([...got], scales.flatMap((scale) => Array(4).fill(scale)));
});

/** Where the adapter is a CPU, the host converts; everywhere else shaders do. */
const ways: [string, (device: Device) => void][] = [["the host", () => {}], ["shaders", asGpu]];

for (const [who, choose] of ways) {
  for (
    const [from, to] of [["F32", "f32"], ["F16", "f16"], ["F16", "f32"], ["BF16", "f32"], [
      "F32",
      "f16",
    ]] as const
  ) {
    testOnBothEngines(`${who} brings tensors of ${from} in several pieces as ${to}`, async (device) => {
      choose(device);
      using folder = new TestFolder();
      const shapes = { matrix: [2501, 1777], kernel: [133, 1111, 5, 6], short: [3], none: [0] };
      const { path, values } = written(folder, from, shapes);
      const got = await uploadedAll(device, path, to);
      for (const [name, shape] of Object.entries(shapes)) {
        const [, inputs = 1, ...kernel] = shape;
        const taps = kernel.reduce((product, n) => product * n, 1);
        const want = kernel.length ? channelsLast(values[name]!, inputs, taps) : values[name]!;
        const wrong = got[name]!.findIndex((value, i) => value !== want[i]);
        assert.deepEqual([got[name]!.length, wrong], [want.length, -1], name);
      }
    });
  }

  for (const from of ["F32", "F16"] as const) {
    testOnBothEngines(`${who} names the tensors of ${from} that hold NaN or infinity`, async (device) => {
      choose(device);
      using folder = new TestFolder();
      const values = { a: [1, NaN, 2], b: [1, 2, 3, -65504], c: [[[[1]], [[-Infinity]]]].flat(3), d: [0] };
      const path = folder.write("a.safetensors", ofValues(values, from));
      using checkpoint = await openCheckpoint(path);
      for (const dtype of ["f32", "f16"] as const) {
        const fillings = fillingsOf(checkpoint, dtype);
        const { notFinite, release } = await upload(device, checkpoint, fillings, { label: "test" });
        assert.deepEqual(notFinite, ["a", "c"]);
        release();
      }
    });
  }

  testOnBothEngines(`${who} refuses as f16 what f16 has not`, async (device) => {
    choose(device);
    using folder = new TestFolder();
    const before = device.buffers.usage();
    using checkpoint = await openCheckpoint(
      folder.write("a.safetensors", ofValues({ a: [1], b: [2, 65600] }, "F32")),
    );
    await assert.rejects(
      () => upload(device, checkpoint, fillingsOf(checkpoint, "f16"), { label: "Model" }),
      /^RangeError: Cannot load Model as f16: 1 tensors hold values beyond 65504, e\.g\. "b"; load it as f32$/,
    );
    assert.equal(device.buffers.usage().count, before.count);
  });
}

testOnBothEngines("an upload that is ended, or whose file ends, leaves nothing behind", async (device) => {
  using folder = new TestFolder();
  const before = device.buffers.usage();
  const { path } = written(folder, "F32", { a: [5 << 20], b: [5 << 20] });
  using checkpoint = await openCheckpoint(path);
  const ending = new AbortController();
  const options = {
    label: "test",
    signal: ending.signal,
    onProgress: () => ending.abort(new Error("enough")),
  };
  const load = () => upload(device, checkpoint, fillingsOf(checkpoint, "f32"), options);
  await assert.rejects(load, /^Error: enough$/);
  await Deno.truncate(path, 30 << 20);
  await assert.rejects(
    () => upload(device, checkpoint, fillingsOf(checkpoint, "f32"), { label: "test" }),
    /expected as many bytes as when it was opened, got fewer/,
  );
  await device.idle();
  assert.equal(device.buffers.usage().count, before.count);
});

Deno.test("an upload whose device is closed meanwhile tells so", async () => {
  using folder = new TestFolder();
  const { path } = written(folder, "F32", { a: [20 << 20] });
  using checkpoint = await openCheckpoint(path);
  const device = await openDevice();
  const loading = upload(device, checkpoint, fillingsOf(checkpoint, "f32"), {
    label: "test",
    onProgress: ({ loaded, total }) => loaded > total / 2 && device[Symbol.dispose](),
  });
  await assert.rejects(loading, /^DeviceLostError: Cannot use the device: it was closed/);
});

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

const WIDTHS = { F32: 4, F16: 2, BF16: 2 };

/** A file of tensors whose elements are small whole numbers, which all types have. */
function written(folder: TestFolder, dtype: keyof typeof WIDTHS, shapes: Record<string, number[]>) {
  const values = Object.fromEntries(
    Object.entries(shapes).map(([name, shape], k) => {
      const count = shape.reduce((product, n) => product * n, 1);
      return [name, Float32Array.from({ length: count }, (_, i) => (i * 31 + (i >> 9) + k) % 251 - 125)];
    }),
  );
  return { path: folder.write("all.safetensors", fileOf(values, dtype, shapes)), values };
}

/** A file of vectors; "c" is a convolution's kernel of one tap. */
function ofValues(values: Record<string, number[]>, dtype: keyof typeof WIDTHS): Uint8Array {
  const shapes = Object.entries(values).map((
    [name, { length }],
  ) => [name, name === "c" ? [1, length, 1, 1] : [length]]);
  return fileOf(values, dtype, Object.fromEntries(shapes));
}

function fileOf(
  values: Record<string, ArrayLike<number>>,
  dtype: keyof typeof WIDTHS,
  shapes: Record<string, number[]>,
): Uint8Array {
  let end = 0;
  const header = Object.entries(values).map(([name, { length }]) => {
    const begin = end;
    end += length * WIDTHS[dtype];
    return [name, { dtype, shape: shapes[name], data_offsets: [begin, end] }];
  });
  const head = safetensors(Object.fromEntries(header));
  const file = new Uint8Array(head.length + end);
  file.set(head);
  let at = head.length;
  for (const list of Object.values(values)) {
    const floats = new Float32Array(list);
    const bytes = dtype === "F32"
      ? floats
      : dtype === "F16"
      ? new Float16Array(floats)
      : Uint16Array.from(new Uint32Array(floats.buffer), (word) => word >>> 16);
    file.set(new Uint8Array(bytes.buffer), at);
    at += bytes.byteLength;
  }
  return file;
}

function fillingsOf(checkpoint: Checkpoint, dtype: "f32" | "f16") {
  return [...checkpoint.tensors.values()].map((info) => ({
    info,
    leaf: new Leaf(dtype, info.shape.reduce((product, n) => product * n, 1), info.name),
  }));
}

async function uploadedAll(
  device: Device,
  path: string,
  dtype: "f32" | "f16",
): Promise<Record<string, Float32Array>> {
  using checkpoint = await openCheckpoint(path);
  const fillings = fillingsOf(checkpoint, dtype);
  const { release } = await upload(device, checkpoint, fillings, { label: "test" });
  const all: Record<string, Float32Array> = {};
  for (const { leaf } of fillings) {
    const { buffer, offset, bytes } = leaf.storage!;
    const read = await device.read(buffer, offset, Math.ceil(bytes / 4) * 4);
    const Elements = dtype === "f32" ? Float32Array : Float16Array;
    all[leaf.label] = new Float32Array(new Elements(read, 0, leaf.count));
  }
  release();
  return all;
}

/** [O, I, T] as [O, T, I]. */
function channelsLast(values: Float32Array, inputs: number, taps: number): Float32Array {
  const row = inputs * taps;
  return values.map((_, i) => {
    const rest = i % row;
    return values[i - rest + rest % inputs * taps + Math.floor(rest / inputs)]!;
  });
}
