import { promote, valueType } from "../core/dtype.ts";
import { axisIndex, formatShape, sameNumbers } from "../core/shape.ts";
import { castExpr, type Expr } from "../graph/expr.ts";
import { Pointwise } from "../graph/node.ts";
import { recordPointwise } from "./record.ts";
import { Tensor } from "./tensor.ts";
import { deviceOf, plainType } from "./tensor_base.ts";

const MOST = 6; // tensors joined in one dispatch: an adapter may bind as few as 8 buffers

/** Joins tensors along an axis; −0 becomes 0. */
export function cat(tensors: readonly Tensor[], axis = 0): Tensor {
  if ("node" in tensors) throw new TypeError("Cannot join tensors: expected a list, as in cat([a, b])");
  if (tensors.length === 0) throw new RangeError("Cannot join tensors: expected at least one, got none");
  const at = axisIndex(axis, tensors[0]!.rank);
  for (const t of tensors) {
    if (t.rank === tensors[0]!.rank && t.shape.every((n, i) => i === at || n === tensors[0]!.shape[i])) {
      continue;
    }
    throw new RangeError(
      `Cannot join ${tensors[0]} and ${t} along axis ${axis}: expected the same sizes along the others`,
    );
  }
  const parts = tensors.filter((t) => t.shape[at]! > 0);
  if (parts.length <= 1) return parts[0] ?? tensors[0]!;
  if (parts.length > MOST) { // as a tree, so that each element is copied once a level
    const groups = Array.from(
      { length: Math.ceil(parts.length / MOST) },
      (_, i) => parts.slice(i * MOST, (i + 1) * MOST),
    );
    return cat(groups.map((group) => cat(group, at)), at);
  }
  let start = 0;
  const windows = parts.map((t) => {
    const window = { axis: at, start, length: t.shape[at]! };
    start += t.shape[at]!;
    return window;
  });
  // Each operand reads as 0 outside its window, so the sum picks the one that is there.
  const dtype = promote(parts.map((t) => ({ dtype: plainType(t), rank: t.rank })));
  const expr = parts.map((t, index) =>
    castExpr({ op: "operand", index }, valueType(plainType(t)), valueType(dtype))
  )
    .reduce<Expr | undefined>(
      (sum, operand): Expr => sum ? { op: "add", args: [sum, operand] } : operand,
      undefined,
    )!;
  return recordPointwise(expr, parts, { dtype, shape: parts[0]!.shape.with(at, start), windows });
}

/**
 * The tensors of which `cat` makes x along an axis, for a kernel that can read them where they lie; undefined where x is not
 * that, is in memory already, or has another type.
 */
export function partsOf(x: Tensor, axis: number): Tensor[] | undefined {
  const { node, device, shape, strides, offset } = x;
  if (!(node instanceof Pointwise) || node.storage || offset !== 0) return undefined;
  if (!sameNumbers(shape, node.shape) || !sameNumbers(strides, node.strides)) return undefined;
  let end = 0;
  for (const { node: part, window } of node.operands) {
    if (window?.axis !== axis || window.start !== end || part.dtype !== x.dtype) return undefined;
    end += window.length;
  }
  if (end !== shape[axis] || !isSum(node.expr, node.operands.length)) return undefined;
  return node.operands.map((part) =>
    new Tensor(device, part.node, shape.with(axis, part.window!.length), part.strides, part.offset)
  );
}

/** True if an expression adds up so many operands in order, as that of `cat` does. */
function isSum(expr: Expr, operands: number): boolean {
  if (operands === 1) return expr.op === "operand" && expr.index === 0;
  if (expr.op !== "add") return false;
  const [sum, last] = expr.args as [Expr, Expr];
  return last.op === "operand" && last.index === operands - 1 && isSum(sum, operands - 1);
}

/** Joins tensors of one shape along a new axis. */
export function stack(tensors: readonly Tensor[], axis = 0): Tensor {
  const odd = tensors.find((t) => formatShape(t.shape) !== formatShape(tensors[0]!.shape));
  if (odd) throw new RangeError(`Cannot stack ${tensors[0]} and ${odd}: expected equal shapes`);
  return cat(tensors.map((t) => t.unsqueeze(axis)), axis);
}

/** One term of a weighted sum. */
export type Term = readonly [weight: number, value: Tensor];

/**
 * Σ weight · value, in one dispatch where the adapter binds that many tensors: the form in which most scheduler steps are
 * written. f16 where all values are, else f32.
 */
export function weightedSum(...terms: readonly Term[]): Tensor {
  if (terms.length === 0) throw new RangeError("Cannot add up: expected at least one term, got none");
  const most = deviceOf(terms.map(([, value]) => value)).limits.maxStorageBuffersPerShaderStage - 1;
  const half = terms.every(([, value]) => value.dtype === "f16");
  let [now, later] = [terms.slice(0, most), terms.slice(most)];
  while (later.length > 0) {
    now = [[1, addedUp(now, "f32")], ...later.slice(0, most - 1)];
    later = later.slice(most - 1);
  }
  return addedUp(now, half ? "f16" : "f32");
}

function addedUp(terms: readonly Term[], dtype: "f16" | "f32"): Tensor {
  const products = terms.map(([, value], index): Expr => ({
    op: "mul",
    args: [{ op: "scalar", index }, castExpr({ op: "operand", index }, valueType(plainType(value)), "f32")],
  }));
  const expr = products.reduce((sum, product): Expr => ({ op: "add", args: [sum, product] }));
  return recordPointwise(expr, terms.map(([, value]) => value), {
    scalars: terms.map(([weight]) => weight),
    dtype,
  });
}
