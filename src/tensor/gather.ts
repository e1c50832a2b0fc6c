import code from "../../shaders/gather.wgsl" with { type: "text" };
import { storedType, valueType } from "../core/dtype.ts";
import { axisIndex, contiguousStrides, formatShape, size } from "../core/shape.ts";
import { ELEMENT_MAIN } from "../gpu/shader/grid.ts";
import { snippet } from "../gpu/shader/snippet.ts";
import { recordKernel } from "./record.ts";
import type { Tensor } from "./tensor.ts";
import { plainType } from "./tensor_base.ts";

const GATHER = snippet("gather", code, [ELEMENT_MAIN]);

/** The elements of x along an axis by the numbers in `index`, as torch.gather. */
export function gatherAlong(x: Tensor, axis: number, index: Tensor): Tensor {
  const at = axisIndex(axis, x.rank);
  const fits = index.rank === x.rank && index.shape.every((n, i) => i === at || n <= x.shape[i]!);
  if (!fits) {
    throw new RangeError(
      `Cannot gather from ${x} along axis ${axis} by ${index}: expected at most its sizes along the other axes`,
    );
  }
  const part = index.shape.reduce((part, n, i) => i === at ? part : part.slice(i, 0, n), x);
  return take(part, at, index.contiguous(), "each");
}

/** The slices of x along an axis by their numbers, as torch.index_select. index [M]. */
export function selectAlong(x: Tensor, axis: number, index: Tensor): Tensor {
  if (index.rank !== 1) {
    throw new RangeError(`Cannot select from ${x} by ${index}: expected one axis of numbers`);
  }
  return take(x, axisIndex(axis, x.rank), index, "slices");
}

/** The type of numbers of elements. Throws for others than whole ones. */
export function indexType(index: Tensor): "i32" | "u32" {
  const { dtype } = index;
  if (dtype === "i32" || dtype === "u32") return dtype;
  throw new TypeError(
    `Cannot find elements by ${index}: expected i32 or u32, got ${dtype}; cast it with to("i32")`,
  );
}

function take(x: Tensor, at: number, index: Tensor, by: "each" | "slices"): Tensor {
  const idType = indexType(index);
  const n = x.shape[at]!;
  const m = by === "each" ? index.shape[at]! : index.size;
  const shape = x.shape.with(at, m);
  if (n === 0 && size(shape) > 0) {
    throw new RangeError(`Cannot take elements of ${x}: axis ${at} of ${formatShape(x.shape)} is empty`);
  }
  const [outer, inner] = [size(shape.slice(0, at)), size(shape.slice(at + 1))];
  const dtype = plainType(x);
  const width = by === "slices" && inner % 4 === 0 ? 4 : 1;
  const of = (type: string) => width === 4 ? `vec4<${type}>` : type;
  const [ids_outer, ids_m, ids_inner] = by === "each" ? [m * inner, inner, 1] : [0, index.strides[0]!, 0];
  return recordKernel("gather", {
    inputs: [x.contiguous(), index],
    shape,
    layout: contiguousStrides(shape),
    dtype,
    code: [GATHER],
    set: { X: of(storedType(dtype)), T: of(valueType(dtype)), LANES: width, Id: idType },
    params: { outer, n, m, inner, ids_start: index.offset, ids_outer, ids_m, ids_inner },
    axes: [1, outer, m, inner],
    width,
    workgroups: Math.ceil(outer * m * (inner / width) / 64),
  });
}
