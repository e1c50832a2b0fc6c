/** Types that WGSL's own functions return, and numbers of their operations. */
import { componentsOf, isFloat, scalarOf, scalarType, type ValueType } from "./types.ts";

/** Operations for each component of the arguments, of functions that are not one for each of the result. */
const FLOPS: Readonly<Record<string, number>> = {
  fma: 2,
  clamp: 2,
  mix: 3, // a · (1 − t) + b · t
  smoothstep: 7, // a quotient of differences, clamped, and a polynomial
  normalize: 3, // dot, its root, a quotient
  length: 2,
  distance: 3,
  cross: 3,
};

/** Functions that only move or reinterpret values. */
const MOVES = new Set(["bitcast", "transpose", "arrayLength"]);

/** Functions whose work is no arithmetic of fractions. */
const CHOICES = new Set(["select", "any", "all", "sign", "step"]);

/** Operations of a call that the module does not declare. */
export function operationsOf(
  name: string,
  args: readonly (ValueType | undefined)[],
  result: ValueType | undefined,
): { flops: number; others: number } {
  if (MOVES.has(name)) return { flops: 0, others: 0 };
  if (name === "dot") return operations(isFloat(args[0]), 2 * componentsOf(args[0]) - 1);
  if (/^(?:un)?pack/.test(name)) {
    return { flops: 0, others: componentsOf(name[0] === "u" ? result : args[0]) };
  }
  if (CHOICES.has(name)) {
    return { flops: 0, others: Math.max(componentsOf(result), componentsOf(args.at(-1))) };
  }
  const size = componentsOf(name === "length" || name === "distance" ? args[0] : result);
  return operations(isFloat(result), (FLOPS[name] ?? 1) * size);
}

function operations(float: boolean, count: number): { flops: number; others: number } {
  return float ? { flops: count, others: 0 } : { flops: 0, others: count };
}

/**
 * Functions of each component by itself, or whose result is of the type of their arguments for another
 * reason.
 */
const ALIKE = new Set(
  ("abs acos acosh asin asinh atan atan2 atanh ceil clamp cos cosh countLeadingZeros countOneBits countTrailingZeros cross " +
    "degrees exp exp2 extractBits faceForward firstLeadingBit firstTrailingBit floor fma fract insertBits inverseSqrt ldexp " +
    "log log2 max min mix normalize pow quantizeToF16 radians reflect reverseBits round saturate select sign sin sinh " +
    "smoothstep sqrt step tan tanh trunc").split(" "),
);

const UNPACKED: Readonly<Record<string, ValueType>> = {
  unpack2x16float: { kind: "vector", scalar: "f32", size: 2 },
  unpack2x16snorm: { kind: "vector", scalar: "f32", size: 2 },
  unpack2x16unorm: { kind: "vector", scalar: "f32", size: 2 },
  unpack4x8snorm: { kind: "vector", scalar: "f32", size: 4 },
  unpack4x8unorm: { kind: "vector", scalar: "f32", size: 4 },
  unpack4xI8: { kind: "vector", scalar: "i32", size: 4 },
  unpack4xU8: { kind: "vector", scalar: "u32", size: 4 },
};

/** The type of what such a call returns; undefined where it is not known. */
export function resultOf(name: string, args: readonly (ValueType | undefined)[]): ValueType | undefined {
  const [first] = args;
  if (UNPACKED[name]) return UNPACKED[name];
  if (/^pack/.test(name) || name === "arrayLength") return scalarType("u32");
  if (name === "any" || name === "all" || name === "subgroupElect") return scalarType("bool");
  if (name === "subgroupBallot") return { kind: "vector", scalar: "u32", size: 4 };
  if (name === "dot4I8Packed") return scalarType("i32");
  if (name === "dot4U8Packed") return scalarType("u32");
  if (name === "dot" || name === "length" || name === "distance") return scalarType(scalarOf(first) ?? "f32");
  if (name === "transpose" && first?.kind === "matrix") {
    return { ...first, columns: first.rows, rows: first.columns };
  }
  if (name === "workgroupUniformLoad" || name.startsWith("atomic")) {
    return first?.kind === "pointer" ? first.to : undefined;
  }
  if (name === "subgroupMatrixMultiplyAccumulate") return args[2];
  if (/^(?:subgroup|quad)(?!Matrix)/.test(name)) return first;
  return ALIKE.has(name) ? widest(args) : undefined;
}

/** The type of a result, of those that are operated on together. */
export function widest(types: readonly (ValueType | undefined)[]): ValueType | undefined {
  const known = types.filter((type) => type !== undefined);
  const [whole] = known.toSorted((a, b) => componentsOf(b) - componentsOf(a));
  const scalars = known.map(scalarOf).filter((scalar) => scalar !== undefined);
  const scalar = scalars.find((scalar) => scalar !== "int" && scalar !== "float") ??
    (scalars.includes("float") ? "float" : "int");
  return whole && "scalar" in whole ? { ...whole, scalar } : whole;
}
