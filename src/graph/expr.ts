/** A pointwise expression: what to compute from the elements of its operands at one place. */
export type Expr =
  | { readonly op: "operand"; readonly index: number }
  | { readonly op: "scalar"; readonly index: number }
  | { readonly op: Operation; readonly args: readonly Expr[] };

/**
 * WGSL of each operation, `$0`, `$1`, … being its arguments. Those marked vec4 exist in lib/activations.wgsl.
 */
export const OPERATIONS = {
  add: "($0 + $1)",
  sub: "($0 - $1)",
  mul: "($0 * $1)",
  div: "($0 / $1)",
  pow: "power($0, $1)",
  min: "minimum($0, $1)",
  max: "maximum($0, $1)",
  neg: "(-$0)",
  abs: "abs($0)",
  sqrt: "sqrt($0)",
  rsqrt: "inverseSqrt($0)",
  exp: "exp($0)",
  log: "log($0)",
  sin: "sin($0)",
  cos: "cos($0)",
  floor: "floor($0)",
  round: "round($0)",
  tanh: "tangent_hyperbolic($0)",
  sigmoid: "sigmoid($0)",
  silu: "silu($0)",
  gelu: "gelu($0)",
  gelu_tanh: "gelu_tanh($0)",
  quick_gelu: "quick_gelu($0)",
  relu: "relu($0)",
  mish: "mish($0)",
} as const;

/** Names of the pointwise operations. */
export type Operation = keyof typeof OPERATIONS;

/** Functions of lib/activations.wgsl, which take and give vec4f. */
const VECTOR_ONLY = new Set<Operation>([
  "pow",
  "min",
  "max",
  "tanh",
  "sigmoid",
  "silu",
  "gelu",
  "gelu_tanh",
  "quick_gelu",
  "relu",
  "mish",
]);

/** True where the expression needs lib/activations.wgsl. */
export function needsActivations(expr: Expr): boolean {
  return "args" in expr && (VECTOR_ONLY.has(expr.op) || expr.args.some(needsActivations));
}

/** A text that is equal for equal expressions: part of a pipeline's key. */
export function exprKey(expr: Expr): string {
  if (expr.op === "operand") return `x${expr.index}`;
  if (expr.op === "scalar") return `c${expr.index}`;
  return `${expr.op}(${(expr as { args: readonly Expr[] }).args.map(exprKey).join()})`;
}

/**
 * WGSL of an expression over values of `width` elements; operands are named x0, x1, …, scalars work.c0, ….
 */
export function exprCode(expr: Expr, width: 1 | 4): string {
  if (expr.op === "operand") return `x${expr.index}`;
  if (expr.op === "scalar") return width === 4 ? `vec4f(work.c${expr.index})` : `work.c${expr.index}`;
  const { op, args } = expr as { op: Operation; args: readonly Expr[] };
  const splat = width === 1 && VECTOR_ONLY.has(op);
  const code = OPERATIONS[op].replace(/\$(\d)/g, (_, i) => {
    const arg = exprCode(args[Number(i)]!, width);
    return splat ? `vec4f(${arg})` : arg;
  });
  return splat ? `${code}.x` : code;
}

/** The expression with its operands and scalars replaced. */
export function substitute(
  expr: Expr,
  operand: (index: number) => Expr,
  scalar: (index: number) => Expr,
): Expr {
  if (expr.op === "operand") return operand(expr.index);
  if (expr.op === "scalar") return scalar(expr.index);
  const { op, args } = expr as { op: Operation; args: readonly Expr[] };
  return { op, args: args.map((arg) => substitute(arg, operand, scalar)) };
}

/** Arithmetic operations in one evaluation of the expression. */
export function exprFlops(expr: Expr): number {
  return "args" in expr ? expr.args.reduce((sum, arg) => sum + exprFlops(arg), 1) : 0;
}
