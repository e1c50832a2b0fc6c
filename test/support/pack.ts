import type { PackedDType } from "../../src/core/dtype.ts";
import { channelsLastStrides, contiguousStrides, size } from "../../src/core/shape.ts";
import type { Device } from "../../src/gpu/device.ts";
import { Leaf } from "../../src/graph/node.ts";
import { openCheckpoint } from "../../src/io/formats/checkpoint.ts";
import { upload } from "../../src/io/upload/upload.ts";
import { Tensor } from "../../src/tensor/mod.ts";
import { safetensors, TestFolder } from "./files.ts";
import { Dice } from "./dice.ts";

/** A packed weight, what it was made of, and the error that the upload told. */
export async function pack(device: Device, dtype: PackedDType, shape: number[], given?: Float32Array) {
  const dice = new Dice(7);
  const values = given ?? Float32Array.from({ length: size(shape) }, () => dice.next() * 2 - 1);
  using folder = new TestFolder();
  const header = { w: { dtype: "F32", shape, data_offsets: [0, values.byteLength] } };
  using checkpoint = await openCheckpoint(
    folder.write("w.safetensors", safetensors(header, new Uint8Array(values.buffer))),
  );
  const leaf = new Leaf(dtype, values.length, "w");
  const info = checkpoint.tensors.get("w")!;
  const { release, errors } = await upload(device, checkpoint, [{ info, leaf }], { label: "test" });
  const strides = shape.length === 4 ? channelsLastStrides(shape) : contiguousStrides(shape);
  const weight = new Tensor(device, leaf, shape, strides, 0);
  return { weight, values: [...values], error: errors.get("w")!, [Symbol.dispose]: release };
}
