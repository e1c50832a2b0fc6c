import type { ValueType } from "../core/dtype.ts";

// WGSL of the pointwise operations, `$0`, `$1`, … being their arguments and `V<T>` a value or a vector of T. Functions
// whose names begin with `fused_` are those of shaders/lib, which take vectors of four. Arguments are of one type; keys list
// those for which a code holds.

/** Operations whose result is of the type of their arguments. Of select, the first is a bool. */
export const ARITHMETIC = {
  add: { "f32 i32 u32": "($0 + $1)", bool: "($0 | $1)" },
  sub: { "f32 i32 u32": "($0 - $1)" },
  mul: { "f32 i32 u32": "($0 * $1)", bool: "($0 & $1)" },
  min: { "i32 u32": "min($0, $1)", f32: "fused_minimum($0, $1)", bool: "($0 & $1)" },
  max: { "i32 u32": "max($0, $1)", f32: "fused_maximum($0, $1)", bool: "($0 | $1)" },
  neg: { "f32 i32": "(-$0)", u32: "(0u - $0)" },
  abs: { "f32 i32 u32": "abs($0)" },
  sign: { i32: "sign($0)", u32: "min($0, V<u32>(1u))", f32: "fused_sign($0)", bool: "$0" },
  floor: { "i32 u32": "$0", f32: "floor($0)" },
  ceil: { "i32 u32": "$0", f32: "ceil($0)" },
  round: { "i32 u32": "$0", f32: "fused_round_even($0)" },
  trunc: { "i32 u32": "$0", f32: "trunc($0)" },
  relu: { i32: "max($0, V<i32>(0))", u32: "$0", f32: "fused_relu($0)" },
  pow: { i32: "fused_pow_i32($0, $1)", f32: "fused_pow($0, $1)" },
  fmod: { "i32 u32": "($0 % $1)", f32: "fused_fmod($0, $1)" },
  remainder: { i32: "fused_remainder_i32($0, $1)", u32: "($0 % $1)", f32: "fused_remainder($0, $1)" },
  floor_divide: {
    i32: "fused_floor_divide_i32($0, $1)",
    u32: "($0 / $1)",
    f32: "fused_floor_divide($0, $1)",
  },
  trunc_divide: { "i32 u32": "($0 / $1)", f32: "trunc($0 / $1)" },
  select: { "f32 i32 u32 bool": "select($2, $1, $0)" },
  bit_and: { "i32 u32": "($0 & $1)", bool: "($0 & $1)" },
  bit_or: { "i32 u32": "($0 | $1)", bool: "($0 | $1)" },
  bit_xor: { "i32 u32": "($0 ^ $1)", bool: "($0 != $1)" },
  bit_not: { "i32 u32": "(~$0)", bool: "(!$0)" },
} as const;

/** Operations of f32 that give f32. */
export const FUNCTIONS = {
  div: "($0 / $1)",
  sqrt: "sqrt($0)",
  rsqrt: "inverseSqrt($0)",
  exp: "exp($0)",
  log: "log($0)",
  exp2: "exp2($0)",
  log2: "log2($0)",
  expm1: "fused_expm1($0)",
  log1p: "fused_log1p($0)",
  sin: "fused_sin($0)",
  cos: "fused_cos($0)",
  atan2: "fused_atan2($0, $1)",
  erf: "fused_erf($0)",
  softplus: "fused_softplus($0)",
  tanh: "fused_tanh($0)",
  sigmoid: "fused_sigmoid($0)",
  silu: "fused_silu($0)",
  gelu: "fused_gelu($0)",
  gelu_tanh: "fused_gelu_tanh($0)",
  quick_gelu: "fused_quick_gelu($0)",
  mish: "fused_mish($0)",
} as const;

/** Operations that give a bool. */
export const TESTS = {
  eq: { "i32 u32 bool": "($0 == $1)", f32: "fused_equal($0, $1)" },
  lt: { "i32 u32": "($0 < $1)", f32: "fused_less($0, $1)" },
  le: { "i32 u32": "($0 <= $1)", f32: "fused_less_or_equal($0, $1)" },
  and: { bool: "($0 & $1)" },
  or: { bool: "($0 | $1)" },
  xor: { bool: "($0 != $1)" },
  not: { bool: "(!$0)" },
  is_nan: { f32: "fused_is_nan($0)" },
  is_inf: { f32: "fused_is_inf($0)" },
  bool: { "i32 u32 bool": "V<bool>($0)", f32: "fused_is_nonzero($0)" },
} as const;

/** Casts to numbers, named by what they give. */
export const CASTS = {
  f32: { "f32 i32 u32 bool": "V<f32>($0)" },
  i32: { "f32 i32 u32 bool": "V<i32>($0)" },
  u32: { "f32 i32 u32 bool": "V<u32>($0)" },
} as const;

/** Names of the pointwise operations. */
export type Operation =
  | keyof typeof ARITHMETIC
  | keyof typeof FUNCTIONS
  | keyof typeof TESTS
  | keyof typeof CASTS;

/** WGSL of an operation, and the type of its result. */
export interface OperationSpec {
  /** WGSL by the type of the arguments. */
  readonly code: ReadonlyMap<ValueType, string>;
  readonly result: ValueType | "same";
}

function specs(
  table: Record<string, string | Record<string, string>>,
  result: (name: string) => OperationSpec["result"],
): [string, OperationSpec][] {
  return Object.entries(table).map(([name, codes]) => {
    const rows = Object.entries(typeof codes === "string" ? { f32: codes } : codes);
    const code = rows.flatMap(([types, text]) =>
      types.split(" ").map((type) => [type as ValueType, text] as const)
    );
    return [name, { code: new Map(code), result: result(name) }];
  });
}

const all = new Map<string, OperationSpec>([
  ...specs(ARITHMETIC, () => "same"),
  ...specs(FUNCTIONS, () => "f32"),
  ...specs(TESTS, () => "bool"),
  ...specs(CASTS, (name) => name as ValueType),
]);

/** True for an operation that only changes the type. */
export function isCast(op: Operation): boolean {
  return Object.hasOwn(CASTS, op) || op === "bool";
}

/** WGSL of an operation, and the type of its result, by its name. */
export function specOf(op: Operation): OperationSpec {
  return all.get(op)!;
}
