import { type DType, expectPlain, type PlainDType, valueType } from "../core/dtype.ts";
import { broadcast, checkShape, contiguousStrides, type Shape, size, usualStrides } from "../core/shape.ts";
import { castExpr, type Expr, exprType } from "../graph/expr.ts";
import { type Candidate, Kernel, type KernelSpec, type Operand, Pointwise } from "../graph/node.ts";
import { streamOf } from "../graph/run/stream.ts";
import { currentPath } from "./path.ts";
import { Tensor } from "./tensor.ts";
import { deviceOf, plainType, type TensorBase } from "./tensor_base.ts";

/** Strides of `view` where it is broadcast to `shape`: 0 along axes that repeat. */
function broadcastStrides(view: TensorBase, shape: Shape): number[] {
  const missing = shape.length - view.shape.length;
  return shape.map((_, axis) =>
    axis < missing || view.shape[axis - missing] === 1 ? 0 : view.strides[axis - missing]!
  );
}

/**
 * Dense strides in the memory order of one of the operands:
 * channels-last order spreads, row-major is the default.
 */
function denseStrides(shape: Shape, operands: readonly (readonly number[])[]): number[] {
  const rowMajor = contiguousStrides(shape);
  const inRowMajorOrder = (strides: readonly number[]) => {
    const real = strides.filter((_, axis) => shape[axis] !== 1);
    return real.every((stride, i) => i === 0 || real[i - 1]! >= stride);
  };
  const full = operands.filter((strides) => strides.every((stride, axis) => stride > 0 || shape[axis] === 1));
  const order = full.find((strides) => !inRowMajorOrder(strides));
  if (!order) return rowMajor;
  const axes = shape.map((_, axis) => axis).sort((a, b) =>
    (shape[a] === 1 ? 1 : 0) - (shape[b] === 1 ? 1 : 0) || order[b]! - order[a]! || a - b
  );
  const result = new Array<number>(shape.length).fill(1);
  axes.reduceRight((stride, axis) => {
    result[axis] = stride;
    return stride * shape[axis]!;
  }, 1);
  return result;
}

/** Options of `recordPointwise`. */
export interface PointwiseOptions {
  /** Values of the expression's scalars. */
  scalars?: readonly number[] | undefined;
  /** Type of the result; by default the expression's, f16 where all floats among the tensors are. */
  dtype?: DType | undefined;
  /** Memory order of the result; by default that of the operands. */
  strides?: readonly number[] | undefined;
  /** Windows of the operands along one axis, see `Operand`; the shape is then the caller's. */
  windows?: readonly (Operand["window"] | undefined)[] | undefined;
  /** Shape of the result; by default the tensors' shapes, broadcast. */
  shape?: Shape | undefined;
}

/**
 * Records an expression over tensors that numpy's rules broadcast to one shape. f16 is read as f32, integers
 * and bools as such; parts of the expression have the types that their operations take (graph/operations.ts).
 */
export function recordPointwise(
  expr: Expr,
  tensors: readonly TensorBase[],
  options: PointwiseOptions = {},
): Tensor {
  const shape = options.shape ?? tensors.map((t) => t.shape).reduce(broadcast);
  checkShape(shape);
  const types = tensors.map(plainType);
  const type = exprType(expr, types.map(valueType));
  const dtype = options.dtype ? expectPlain(options.dtype) : type === "f32" ? floatType(types) : type;
  const operands = tensors.map((t, i): Operand => ({
    node: t.node,
    shape,
    strides: options.windows ? t.strides : broadcastStrides(t, shape),
    offset: t.offset,
    window: options.windows?.[i],
  }));
  const strides = options.strides ?? denseStrides(shape, operands.map((operand) => operand.strides));
  const device = deviceOf(tensors);
  if (!device.traits.f16 && (dtype === "f16" || types.includes("f16"))) {
    throw new TypeError(`Cannot compute with f16 on ${device.adapterName}: it lacks shader-f16; use f32`);
  }
  const stream = streamOf(device);
  const node = stream.unique(
    new Pointwise(
      dtype,
      size(shape),
      currentPath(),
      shape,
      strides,
      castExpr(expr, type, valueType(dtype)),
      operands,
      options.scalars ?? [],
    ),
  );
  stream.add(node);
  return new Tensor(device, node, shape, strides, 0);
}

/** f16 where all operands that hold fractions are, else f32. */
function floatType(dtypes: readonly PlainDType[]): PlainDType {
  return dtypes.includes("f16") && !dtypes.includes("f32") ? "f16" : "f32";
}

/** Options of `recordKernel`: a kernel's needs, and its output as a tensor. */
export interface KernelOptions extends Omit<ChoiceOptions, "candidates" | "shapeClass"> {
  /** The kernel, and the snippets that it runs on where these are chosen. */
  code: Candidate["code"];
  /** Values for its `alias` and `const` lines, where it has any to set. */
  set?: Candidate["set"] | undefined;
  /** Values of its `struct Params`, by name. */
  params: Candidate["params"];
  /** Adjacent columns that one call of `store` gets; 4 by default. */
  width?: 1 | 4 | undefined;
  /** Number of workgroups; more than a dimension holds are folded into two. */
  workgroups: number;
}

/** Options of `recordChoice`. */
export interface ChoiceOptions extends Pick<KernelSpec, "axes" | "candidates" | "shapeClass"> {
  /** The tensors of its `var<storage, read>`, in order; at least one where several devices are open. */
  inputs: readonly TensorBase[];
  /** Shape of the output as a tensor; `axes` are the kernel's own coordinates for the same elements. */
  shape: Shape;
  /** Type of the output in memory; `store` takes it as shaders compute with it: f16 as f32. */
  dtype: DType;
  /** Memory order of the output; by default row-major, for 4-D channels-last. */
  layout?: readonly number[] | undefined;
  /** Strides of the kernel's axes; by default those of a dense [outer, inner, rows, columns]. */
  strides?: KernelSpec["strides"] | undefined;
  /** Arithmetic operations in one run, for the profiler. */
  flops?: number | undefined;
}

/** Records one run of a kernel of `shaders/`. */
export function recordKernel(name: string, options: KernelOptions): Tensor {
  const { code, set = {}, params, width = 4, workgroups } = options;
  return recordChoice(name, {
    ...options,
    candidates: [{ name, code, set, params, width, workgroups }],
    shapeClass: "",
  });
}

/** Records one run of an operator for which there are several kernels. */
export function recordChoice(name: string, options: ChoiceOptions): Tensor {
  const { inputs, shape, dtype, candidates, shapeClass, axes, flops = 0 } = options;
  checkShape(shape);
  const layout = options.layout ?? usualStrides(shape);
  const strides = options.strides ?? contiguousStrides(axes) as unknown as KernelSpec["strides"];
  const tensor = { shape, strides: layout };
  const spec: KernelSpec = { name, candidates, shapeClass, inputs, axes, strides, flops, tensor };
  const node = new Kernel(dtype, size(shape), currentPath(), spec);
  const device = deviceOf(inputs);
  streamOf(device).add(node);
  return new Tensor(device, node, shape, layout, 0);
}
