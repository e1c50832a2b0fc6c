import { expectOptions } from "../core/error.ts";
import { bytesOf, dtypeOf, expectPlain, type HostArray, type PlainDType } from "../core/dtype.ts";
import { exactArray, type NestedValues, unnested, type Values } from "../core/host_values.ts";
import { checkShape, contiguousStrides, formatShape, type Shape, size } from "../core/shape.ts";
import { alignUp, type Storage } from "../gpu/memory/buffers.ts";
import { currentDevice, type Device } from "../gpu/device.ts";
import { Leaf } from "../graph/node.ts";
import { streamOf } from "../graph/run/stream.ts";
import { remember } from "./display.ts";
import { Tensor } from "./tensor.ts";
import type { TensorBase } from "./tensor_base.ts";

/** Options of functions that make tensors. */
export interface CreateOptions {
  /** Element type. */
  dtype?: PlainDType | undefined;
}

/**
 * Uploads values: one number or boolean, nested lists, or a list with its shape, in row-major order. Numbers become f32,
 * booleans bool, bigints i32. Float32Array, Float16Array, Int32Array and Uint32Array keep their type, Float64Array is
 * rounded to f32, and arrays of other whole numbers become i32. Values that an integer type cannot hold are refused.
 */
export function tensor(
  data: Values | NestedValues,
  shape?: Shape | CreateOptions,
  options: CreateOptions = {},
): Tensor {
  if (shape !== undefined && !Array.isArray(shape)) return tensor(data, undefined, shape as CreateOptions);
  expectOptions("make a tensor", options, ["dtype"]);
  const { values, shape: own, dtype } = unnested(data);
  const sizes = shape as Shape | undefined ?? own;
  checkShape(sizes);
  if (values.length !== size(sizes)) {
    throw new RangeError(
      `Cannot make a tensor ${formatShape(sizes)}: expected ${size(sizes)} values, got ${values.length}`,
    );
  }
  const type = expectPlain(options.dtype ?? dtype);
  const array = exactArray(type, values);
  const device = currentDevice();
  const strides = contiguousStrides(sizes);
  const node = new Leaf(type, array.length, "", upload(device, array), { shape: sizes, strides });
  streamOf(device).note(node);
  const result = new Tensor(device, node, sizes, strides, 0);
  remember(result, array);
  return result;
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

/** A tensor of one repeated value, by default f32 or bool; it takes the memory of one element. */
export function full(shape: Shape, value: number | boolean, options: CreateOptions = {}): Tensor {
  checkShape(shape);
  return tensor([value], [1], options).expand(shape.length ? shape : [1]).reshape(shape);
}

/** A tensor of zeros. */
export function zeros(shape: Shape, options?: CreateOptions): Tensor {
  return full(shape, 0, options);
}

/** A tensor of ones. */
export function ones(shape: Shape, options?: CreateOptions): Tensor {
  return full(shape, 1, options);
}

/** A tensor of which only shape and type matter; its elements are 0. */
export function empty(shape: Shape, options?: CreateOptions): Tensor {
  return zeros(shape, options);
}

/** One repeated value in another tensor's shape and type. */
export function fullLike(x: TensorBase, value: number | boolean, options: CreateOptions = {}): Tensor {
  expectOptions("make a tensor", options, ["dtype"]);
  return full(x.shape, value, { dtype: options.dtype ?? expectPlain(x.dtype) });
}

/** Zeros in another tensor's shape and type. */
export function zerosLike(x: TensorBase, options?: CreateOptions): Tensor {
  return fullLike(x, 0, options);
}

/** Ones in another tensor's shape and type. */
export function onesLike(x: TensorBase, options?: CreateOptions): Tensor {
  return fullLike(x, 1, options);
}

/** A tensor in another's shape and type; its elements are 0. */
export function emptyLike(x: TensorBase, options?: CreateOptions): Tensor {
  return zerosLike(x, options);
}
