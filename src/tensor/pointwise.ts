import { isFloat, promote, type Typed, type ValueType, valueType } from "../core/dtype.ts";
import { castExpr, type Expr } from "../graph/expr.ts";
import { type Operation, specOf } from "../graph/operations.ts";
import { recordPointwise } from "./record.ts";
import type { Tensor } from "./tensor.ts";
import { plainType, type TensorBase } from "./tensor_base.ts";

/** An argument of a pointwise operation: a tensor, or a constant in its place. */
export type Value = TensorBase | number | boolean;

/**
 * An operation of tensors and constants, broadcast as in numpy, in the type that `promote` gives: a whole number of 32 bits
 * leaves integers what they are, another makes them f32, and no number changes the type of floats.
 */
export function pointwise(op: Operation, ...values: readonly Value[]): Tensor {
  const counted = op === "select" ? values.slice(1) : values; // a condition has no say in the type
  const areWords = counted.every((value) => typeof value !== "object" || value?.dtype === "u32");
  const type = promote(counted.map((value) => typed(op, value, areWords)));
  const taken = takenType(op, valueType(type), values);
  const tensors: TensorBase[] = [];
  const scalars: number[] = [];
  const args = values.map((value, i): Expr => {
    const to = op === "select" && i === 0 ? "bool" : taken;
    if (typeof value !== "object") {
      return { op: "scalar", index: scalars.push(Number(value)) - 1, ...(to === "f32" ? {} : { type: to }) };
    }
    const known = tensors.indexOf(value);
    const index = known >= 0 ? known : tensors.push(value) - 1;
    return castExpr({ op: "operand", index }, valueType(plainType(value)), to);
  });
  const { result } = specOf(op);
  const dtype = result !== "same" && (result !== "f32" || !isFloat(type))
    ? result
    : taken === valueType(type)
    ? type
    : taken;
  return recordPointwise({ op, args }, tensors, { scalars, dtype });
}

/**
 * A value's type, and the rank by which it counts in `promote`; beside u32 alone numbers up to 2³² − 1 are whole. Throws for
 * what is neither tensor nor constant.
 */
function typed(op: Operation, value: Value, areWords: boolean): Typed {
  if (typeof value === "object" && value !== null && "node" in value) {
    return { dtype: plainType(value), rank: value.rank };
  }
  if (typeof value !== "number" && typeof value !== "boolean") {
    const got = Array.isArray(value) ? "a list; make it a tensor with tensor()" : String(value);
    throw new TypeError(`Cannot compute ${op}: expected a tensor, a number or a boolean, got ${got}`);
  }
  return { dtype: typeof value === "boolean" ? "bool" : isWhole(value, areWords) ? "i32" : "f32", rank: -1 };
}

function isWhole(value: number, isWord: boolean): boolean {
  return Number.isInteger(value) && value >= -(2 ** 31) && value < (isWord ? 2 ** 32 : 2 ** 31);
}

/** The type to which an operation's arguments are cast when they are promoted to `type`. */
function takenType(op: Operation, type: ValueType, values: readonly Value[]): ValueType {
  const { code, result } = specOf(op);
  if (code.has(type)) return type;
  const types = [...code.keys()];
  if (types.length === 1) return types[0]!; // functions of f32, and logic
  if (type === "bool" && result === "bool") return "i32"; // comparisons
  const of = values.map(String).join(" and ");
  throw new TypeError(
    `Cannot compute ${op} of ${of}: expected ${types.join(" or ")}, got ${type}; cast it with to()`,
  );
}

/** x where the condition holds, else y, broadcast; as torch.where. Conditions that are no bools hold where not 0. */
export function where(condition: TensorBase, x: Value, y: Value): Tensor {
  return pointwise("select", condition, x, y);
}
