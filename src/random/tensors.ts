import type { DType } from "../core/dtype.ts";
import { expectOptions } from "../core/error.ts";
import { formatShape, type Shape, size } from "../core/shape.ts";
import { currentDevice } from "../gpu/device.ts";
import { type Tensor, tensor, type TensorBase } from "../tensor/mod.ts";
import type { TorchGenerator } from "./generator.ts";
import { randomSeed } from "./manual_seed.ts";

/** Source of random numbers. */
export interface RandomOptions {
  /**
   * One stream for the whole tensor, or a list with one stream for each row of the first axis, so that an
   * image does not depend on the others of its batch. Without one the numbers differ from run to run.
   */
  generator?: TorchGenerator | readonly TorchGenerator[] | undefined;
}

/** Source of random fractions, and their dtype. */
export interface RandomFloatOptions extends RandomOptions {
  /** f16 draws a stream of its own, as in torch; it is not the f32 one rounded. */
  dtype?: "f32" | "f16" | undefined;
}

const OPTIONS = ["generator", "dtype"] as const;

/** A tensor of normal values with mean 0 and variance 1, as `torch.randn`. */
export function randn(shape: Shape, options: RandomFloatOptions = {}): Tensor {
  const dtype = floatType(options);
  return draw(shape, dtype, options, (from, count) => from.randn(count, dtype));
}

/** Noise that a run begins with: as `randn`, but for streams that have their own for it. */
export function firstNoise(shape: Shape, options: RandomOptions = {}): Tensor {
  const row = Array.isArray(options.generator) ? shape.slice(1) : shape;
  return draw(shape, "f32", options, (from, count) => from.firstNoise?.(row) ?? from.randn(count));
}

/** A tensor of uniform values in [0, 1), as `torch.rand`. */
export function rand(shape: Shape, options: RandomFloatOptions = {}): Tensor {
  const dtype = floatType(options);
  return draw(shape, dtype, options, (from, count) => from.rand(count, dtype));
}

/** Normal values in another tensor's shape and type, as `torch.randn_like`. */
export function randnLike(x: TensorBase, options?: RandomFloatOptions): Tensor {
  return randn(x.shape, likeOptions(x, options));
}

/** Uniform values in [0, 1) in another tensor's shape and type, as `torch.rand_like`. */
export function randLike(x: TensorBase, options?: RandomFloatOptions): Tensor {
  return rand(x.shape, likeOptions(x, options));
}

function likeOptions(x: TensorBase, options: RandomFloatOptions = {}): RandomFloatOptions {
  expectOptions("draw a tensor", options, OPTIONS);
  return { ...options, dtype: options.dtype ?? floatType(x) };
}

function floatType({ dtype = "f32" }: { readonly dtype?: DType | undefined }): "f32" | "f16" {
  if (dtype === "f32" || dtype === "f16") return dtype;
  throw new TypeError(`Cannot draw a tensor of ${dtype}: expected f32 or f16; name one as dtype`);
}

/** An i32 tensor of whole numbers in [low, high), as `torch.randint`. */
export function randint(low: number, high: number, shape: Shape, options: RandomOptions = {}): Tensor {
  if (low < -(2 ** 31) || high > 2 ** 31) {
    throw new RangeError(`Cannot draw i32 from ${low} to ${high}: expected bounds from -2^31 to 2^31`);
  }
  return draw(shape, "i32", options, (from, count) => from.randint(low, high, count));
}

/** An i32 tensor of the numbers 0 to n − 1 in random order, as `torch.randperm`. */
export function randperm(n: number, options: { generator?: TorchGenerator } = {}): Tensor {
  return draw([n], "i32", options, (from, count) => from.randperm(count));
}

const ARRAYS = { f32: Float32Array, f16: Float16Array, i32: Int32Array };

/** Fills a tensor from one stream, or row by row from a list of them, as diffusers' randn_tensor does. */
function draw(
  shape: Shape,
  dtype: "f32" | "f16" | "i32",
  options: RandomOptions,
  fill: (from: TorchGenerator, count: number) => ArrayLike<number>,
): Tensor {
  expectOptions("draw a tensor", options, dtype === "i32" ? ["generator"] : OPTIONS);
  const { generator = randomSeed() } = options;
  expectRoom(shape);
  const generators = Array.isArray(generator) ? generator : [generator];
  const odd = generators.findIndex((from) => typeof from?.randn !== "function");
  if (odd >= 0) {
    throw new TypeError(
      `Cannot draw a tensor: expected a generator, e.g. manualSeed(0), got ${String(generators[odd])}`,
    );
  }
  const [B] = shape;
  if (Array.isArray(generator) && generator.length !== B) {
    throw new RangeError(
      `Cannot draw a tensor ${formatShape(shape)}: expected one generator or ${B}, got ${generator.length}`,
    );
  }
  const count = size(shape) / generators.length;
  const data = new ARRAYS[dtype](size(shape));
  generators.forEach((from, row) => data.set(fill(from, count), row * count));
  return tensor(data, shape, { dtype });
}

/** Refuses what no tensor can hold before minutes go by for its numbers. */
function expectRoom(shape: Shape): void {
  if (!Array.isArray(shape)) {
    throw new TypeError(`Cannot draw a tensor: expected a shape such as [1, 4, 64, 64], got ${shape}`);
  }
  const { limits: { maxStorageBufferBindingSize: most }, adapterName } = currentDevice();
  const bytes = 4 * size(shape);
  if (bytes <= most) return;
  throw new RangeError(
    `Cannot draw a tensor ${
      formatShape(shape)
    }: expected at most ${most} bytes in one tensor on ${adapterName}, got ` +
      `${bytes}; use a smaller size or batch`,
  );
}
