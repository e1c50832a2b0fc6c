import { bytesOf, dtypeOf, type HostArray, hostArray, type PlainDType } from "../core/dtype.ts";
import { checkShape, contiguousStrides, formatShape, type Shape, size } from "../core/shape.ts";
import { alignUp, type Storage } from "../gpu/buffers.ts";
import { currentDevice, type Device } from "../gpu/device.ts";
import { Leaf } from "../graph/node.ts";
import { streamOf } from "../graph/stream.ts";
import { Tensor } from "./tensor.ts";

/**
 * Uploads values, in row-major order. Numbers become f32;
 * a typed array keeps its type unless `dtype` says else.
 */
export function tensor(
  data: HostArray | readonly number[],
  shape: Shape = [data.length],
  { dtype }: { dtype?: PlainDType } = {},
): Tensor {
  checkShape(shape);
  if (data.length !== size(shape)) {
    throw new RangeError(
      `Cannot make a tensor ${formatShape(shape)}: expected ${size(shape)} values, got ${data.length}`,
    );
  }
  const type = dtype ?? (Array.isArray(data) ? "f32" : dtypeOf(data as HostArray));
  const same = !Array.isArray(data) && dtypeOf(data as HostArray) === type;
  const values = same ? data as HostArray : hostArray(type, data);
  const device = currentDevice();
  const node = new Leaf(type, values.length, "", upload(device, values));
  streamOf(device).note(node);
  return new Tensor(device, node, shape, contiguousStrides(shape), 0);
}

function upload(device: Device, values: HostArray): Storage {
  const storage = device.buffers.allocate("upload", values.length * bytesOf(dtypeOf(values)));
  const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  const whole = alignUp(bytes.length, 4); // WebGPU writes multiples of 4 bytes
  let padded = bytes;
  if (whole !== bytes.length) (padded = new Uint8Array(whole)).set(bytes);
  if (whole > 0) device.gpu.queue.writeBuffer(storage.buffer, 0, padded); // Deno's engine panics on no bytes
  return storage;
}

/** A tensor of one repeated value; it takes the memory of one element. */
export function full(shape: Shape, value: number, { dtype = "f32" }: { dtype?: PlainDType } = {}): Tensor {
  return tensor([value], [1], { dtype }).expand(shape.length ? shape : [1]).reshape(shape);
}

/** A tensor of zeros. */
export function zeros(shape: Shape, options?: { dtype?: PlainDType }): Tensor {
  return full(shape, 0, options);
}

/** A tensor of ones. */
export function ones(shape: Shape, options?: { dtype?: PlainDType }): Tensor {
  return full(shape, 1, options);
}
