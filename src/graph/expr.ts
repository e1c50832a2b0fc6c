import type { ValueType } from "../core/dtype.ts";
import { isCast, type Operation, specOf } from "./operations.ts";

/**
 * A pointwise expression: what to compute from the elements of its operands at one place. Each part has one type, and
 * what brings it to another is an operation of its own.
 */
export type Expr =
  | { readonly op: "operand"; readonly index: number }
  | { readonly op: "scalar"; readonly index: number; readonly type?: ValueType | undefined } // f32 where it says nothing
  | { readonly op: Operation; readonly args: readonly Expr[] };

type Applied = { readonly op: Operation; readonly args: readonly Expr[] };

/** The type of the expression where its operands are of `types`. Throws where an operation does not take its arguments. */
export function exprType(expr: Expr, types: readonly ValueType[]): ValueType {
  if (expr.op === "operand") return types[expr.index]!;
  if (expr.op === "scalar") return expr.type ?? "f32";
  const { op, args } = expr as Applied;
  const own = args.map((arg) => exprType(arg, types));
  const type = own.at(-1)!;
  const { code, result } = specOf(op);
  if (!code.has(type) || own.some((other, i) => other !== (op === "select" && i === 0 ? "bool" : type))) {
    throw new TypeError(
      `Cannot compute ${op} of ${own.join(" and ")}: expected ${[...code.keys()].join(" or ")}`,
    );
  }
  return result === "same" ? type : result;
}

/** The expression, cast to a type. */
export function castExpr(expr: Expr, from: ValueType, to: ValueType): Expr {
  return from === to ? expr : { op: to, args: [expr] };
}

/** Types of the expression's scalars, by index. */
export function scalarTypes(expr: Expr, types: ValueType[] = []): ValueType[] {
  if (expr.op === "scalar") types[expr.index] = expr.type ?? "f32";
  else if ("args" in expr) expr.args.forEach((arg) => scalarTypes(arg, types));
  return types;
}

/** A text that is equal for equal expressions: part of a pipeline's key. */
export function exprKey(expr: Expr): string {
  if (expr.op === "operand") return `x${expr.index}`;
  if (expr.op === "scalar") return `c${expr.index}${expr.type ?? ""}`;
  return `${expr.op}(${(expr as Applied).args.map(exprKey).join()})`;
}

/** A WGSL expression, and the functions of shaders/lib that it calls. */
export interface ExprCode {
  readonly code: string;
  readonly functions: ReadonlySet<string>;
}

/**
 * WGSL of an expression over values of `width` elements; operands, which are of `types`, are named x0, x1, …, scalars
 * work.c0, ….
 */
export function exprCode(expr: Expr, width: 1 | 4, types: readonly ValueType[]): ExprCode {
  const functions = new Set<string>();
  const vector = (type: string) => width === 4 ? `vec4<${type}>` : type;
  const write = (expr: Expr): string => {
    if (expr.op === "operand") return `x${expr.index}`;
    if (expr.op === "scalar") {
      const type = expr.type ?? "f32";
      const value = type === "bool" ? `bool(work.c${expr.index})` : `work.c${expr.index}`;
      return width === 4 ? `${vector(type)}(${value})` : value;
    }
    const { op, args } = expr as Applied;
    const taken = exprType(args.at(-1)!, types);
    const code = specOf(op).code.get(taken)!.replaceAll(
      /V<(\w+)>/g,
      (_, type) => vector(type),
    );
    const [called] = /^fused_\w+/.exec(code) ?? [];
    if (called) functions.add(called);
    const splat = called && width === 1;
    const text = code.replaceAll(/\$(\d)/g, (_, i) => {
      const arg = write(args[Number(i)]!);
      return splat ? `vec4<${taken}>(${arg})` : arg;
    });
    return splat ? `${text}.x` : text;
  };
  return { code: write(expr), functions };
}

/** The expression with its operands replaced and its scalars renumbered. */
export function substitute(
  expr: Expr,
  operand: (index: number) => Expr,
  scalar: (index: number) => number,
): Expr {
  if (expr.op === "operand") return operand(expr.index);
  if (expr.op === "scalar") return { ...expr, index: scalar(expr.index) };
  const { op, args } = expr as Applied;
  return { op, args: args.map((arg) => substitute(arg, operand, scalar)) };
}

/** Operations that the expression names. */
export function exprSize(expr: Expr): number {
  return "args" in expr ? expr.args.reduce((sum, arg) => sum + exprSize(arg), 1) : 0;
}

/** Arithmetic operations in one evaluation of the expression: one for each that it names, but for casts. */
export function exprFlops(expr: Expr): number {
  if (!("args" in expr)) return 0;
  return expr.args.reduce((sum, arg) => sum + exprFlops(arg), isCast(expr.op) ? 0 : 1);
}

const SIGNS: Readonly<Record<string, string>> = { add: "+", sub: "-", mul: "*", div: "/" };

/** The expression as a formula, for people; scalars are named c0, c1, …. */
export function exprText(expr: Expr, operands: readonly string[]): string {
  if (expr.op === "operand") return operands[expr.index]!;
  if (expr.op === "scalar") return `c${expr.index}`;
  const { op, args } = expr as Applied;
  const texts = args.map((arg) => exprText(arg, operands));
  const sign = SIGNS[op];
  if (!sign) return `${op}(${texts.join(", ")})`;
  const inner = texts.map((text, i) => {
    const own = SIGNS[(args[i] as Applied).op];
    const isProduct = own === "*" || own === "/";
    return !own || isProduct && sign !== "/" || sign === "+" || sign === "-" && i === 0 ? text : `(${text})`;
  });
  return inner.join(` ${sign} `);
}
