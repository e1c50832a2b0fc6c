import code from "../../shaders/scatter.wgsl" with { type: "text" };
import { valueType } from "../core/dtype.ts";
import { axisIndex, contiguousStrides, formatShape, type Shape, size } from "../core/shape.ts";
import { ELEMENT_MAIN } from "../gpu/shader/grid.ts";
import { snippet } from "../gpu/shader/snippet.ts";
import { full } from "./create.ts";
import { indexType } from "./gather.ts";
import { pad } from "./moves.ts";
import { recordKernel } from "./record.ts";
import type { Tensor } from "./tensor.ts";
import { plainType } from "./tensor_base.ts";

const SCATTER = snippet("scatter", code, [ELEMENT_MAIN]);

/**
 * x with elements of `src` in the places along an axis that `index` names, of several for one place the last,
 * or added up; both may be smaller than x along the other axes.
 */
export function scatterAlong(
  x: Tensor,
  axis: number,
  index: Tensor,
  src: Tensor | number,
  adds: boolean,
): Tensor {
  const dtype = plainType(x);
  if (dtype === "bool") { // shaders add no bools
    return scatterAlong(x.to("i32"), axis, index, typeof src === "number" ? src : src.to("i32"), adds).to(
      "bool",
    );
  }
  const idType = indexType(index);
  const at = axisIndex(axis, x.rank);
  const within = (inner: Shape, outer: Shape, free: number) =>
    inner.length === outer.length && inner.every((n, i) => i === free || n <= outer[i]!);
  const values = typeof src === "number" ? full(index.shape, src, { dtype }) : src.to(dtype);
  if (!within(index.shape, x.shape, at) || !within(index.shape, values.shape, -1)) {
    throw new RangeError(
      `Cannot put ${values} into ${x} by ${index}: expected an index of at most their sizes along the other axes`,
    );
  }
  if (size(index.shape) === 0 || x.size === 0) return x;
  // Places that the index lacks along the other axes get numbers out of range, which are put nowhere.
  const missing = x.shape.flatMap((n, i) => [i === at ? 0 : n - index.shape[i]!, 0]).reverse();
  const ids = pad(index, missing, { value: idType === "u32" ? 0xffffffff : -1 });
  const part = index.shape.reduce((part, n, i) => part.slice(i, 0, n), values);
  const [outer, inner] = [size(x.shape.slice(0, at)), size(x.shape.slice(at + 1))];
  return recordKernel("scatter", {
    inputs: [x.contiguous(), ids.contiguous(), pad(part, missing).contiguous()],
    shape: x.shape,
    layout: contiguousStrides(x.shape),
    dtype,
    code: [SCATTER],
    set: { X: dtype, T: valueType(dtype), Id: idType, ADD: `${adds}` },
    params: { outer, n: x.shape[at]!, m: index.shape[at]!, inner },
    axes: [1, outer, x.shape[at]!, inner],
    width: 1,
    workgroups: Math.ceil(x.size / 64),
  });
}

/** The same with whole slices: `index` names the place of each slice of `src` along the axis. index [M]. */
export function scatterSlices(
  x: Tensor,
  axis: number,
  index: Tensor,
  src: Tensor | number,
  adds: boolean,
): Tensor {
  const at = axisIndex(axis, x.rank);
  const shape = x.shape.with(at, index.size);
  if (index.rank !== 1 || (typeof src !== "number" && formatShape(src.shape) !== formatShape(shape))) {
    throw new RangeError(
      `Cannot put ${src} into ${x} by ${index}: expected one axis of numbers and slices ${
        formatShape(shape)
      }`,
    );
  }
  const places = index.reshape(shape.map((n, i) => i === at ? n : 1)).expand(shape);
  return scatterAlong(x, at, places, src, adds);
}
