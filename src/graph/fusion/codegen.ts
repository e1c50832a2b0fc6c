import { type DType, type PlainDType, storedType, type ValueType, valueType } from "../../core/dtype.ts";
import type { BindingUse } from "../../gpu/shader/pipelines.ts";
import type { Snippet } from "../../gpu/shader/snippet.ts";
import { type Expr, exprCode, exprKey, scalarTypes } from "../expr.ts";
import { libraryOf } from "./library.ts";
import { type Field, structBody } from "../../gpu/shader/params.ts";

/** One operand as generated code reads it: strides over the axes at hand. */
export interface Access {
  readonly dtype: PlainDType;
  readonly offset: number;
  readonly strides: readonly number[];
  /** On one axis the operand exists only from `start` for `length`; elsewhere it reads as 0. */
  readonly window?: { readonly axis: number; readonly start: number; readonly length: number };
}

/** Pointwise work on a grid of axes, as the generators below take it. */
export interface Work {
  readonly expr: Expr;
  /** Operands of the expression; undefined for a kernel's own value. */
  readonly operands: readonly (Access | undefined)[];
  /** Type of the kernel's own value. */
  readonly own?: ValueType;
  readonly scalars: readonly number[];
  readonly sizes: readonly number[];
  readonly out: { readonly dtype: PlainDType; readonly strides: readonly number[] };
}

/** Code that ends in stores, its uniform fields, and a key that is equal for equal code. */
export interface Generated {
  readonly key: string;
  readonly fields: Field[];
  /** Uses of its bindings except for the output: operands, uniform. */
  readonly bindings: BindingUse[];
  /** Writes the code. */
  snippet(): Snippet;
}

/** Elements that one evaluation takes: 4 where the output's innermost axis and every vector load allow it. */
function widthOf({ sizes, operands, out }: Work): 1 | 4 {
  const inner = sizes.length - 1;
  const whole = (n: number) => n % 4 === 0;
  if (!whole(sizes[inner]!) || out.strides[inner] !== 1) return 1;
  if (!out.strides.slice(0, inner).every(whole)) return 1;
  for (const operand of operands) {
    if (!operand?.window || operand.window.axis !== inner) continue;
    if (!whole(operand.window.start) || !whole(operand.window.length)) return 1;
  }
  return 4;
}

/** Way in which an operand is read at width 4: one vector, one value for all four, or four values. */
function modeOf({ offset, strides }: Access, width: 1 | 4): "scalar" | "vector" | "splat" | "gather" {
  if (width === 1) return "scalar";
  const inner = strides.length - 1;
  if (strides[inner] === 0) return "splat";
  if (strides[inner] !== 1) return "gather";
  const aligned = offset % 4 === 0 && strides.slice(0, inner).every((stride) => stride % 4 === 0);
  return aligned ? "vector" : "gather";
}

/** Types as which the expression takes its operands. */
function operandTypes(work: Work): ValueType[] {
  return work.operands.map((operand) => operand ? valueType(operand.dtype) : work.own!);
}

/** Sum of `coordinate * stride` terms, leaving out strides of 0. */
function address(
  name: string,
  strides: readonly number[],
  coords: readonly string[],
  offset?: string,
): string {
  const terms = coords.flatMap((coord, axis) =>
    strides[axis] === 0 ? [] : [`${coord} * work.${name}_${axis}`]
  );
  if (offset) terms.unshift(offset);
  return terms.length ? terms.join(" + ") : "0u";
}

/** Statements that declare x0, x1, … as the operands' values at `coords`. */
function loads(work: Work, width: 1 | 4, coords: readonly string[]): string {
  const types = operandTypes(work);
  return work.operands.map((operand, i) => {
    if (!operand) return `  let x${i} = v;`;
    const type = types[i];
    const vector = width === 4 ? `vec4<${type}>` : type;
    const index = address(`x${i}`, operand.strides, coords, `work.x${i}_start`);
    const at = (step: number) =>
      `${type}(x${i}_data[i${i}${step ? ` + ${step}u * work.x${i}_${coords.length - 1}` : ""}])`;
    const value = {
      scalar: at(0),
      vector: `${vector}(x${i}_data[i${i} / 4u])`,
      splat: `${vector}(${at(0)})`,
      gather: `${vector}(${[0, 1, 2, 3].map(at).join(", ")})`,
    }[modeOf(operand, width)];
    if (!operand.window) return `  let i${i} = ${index};\n  let x${i} = ${value};`;
    const coord = coords[operand.window.axis];
    return [
      `  var x${i} = ${vector}();`,
      `  if (${coord} >= work.x${i}_first && ${coord} < work.x${i}_end) {`,
      `    let i${i} = ${index};`,
      `    x${i} = ${value};`,
      `  }`,
    ].join("\n");
  }).join("\n");
}

/** Uniform fields of the operands and of the scalars that the expression has: parts of one may be computed alone. */
function workFields(work: Work): Field[] {
  const fields: Field[] = [];
  work.operands.forEach((operand, i) => {
    if (!operand) return;
    const { window } = operand;
    const shift = window ? window.start * operand.strides[window.axis]! : 0;
    fields.push([`x${i}_start`, "u32", operand.offset - shift]);
    operand.strides.forEach((stride, axis) => fields.push([`x${i}_${axis}`, "u32", stride]));
    if (window) {
      fields.push([`x${i}_first`, "u32", window.start], [`x${i}_end`, "u32", window.start + window.length]);
    }
  });
  const types = scalarTypes(work.expr);
  work.scalars.forEach((value, i) => {
    const type = types[i];
    if (type) fields.push([`c${i}`, type === "bool" ? "u32" : type, value]);
  });
  return fields;
}

/** Declares operands, output and uniform. */
function declarations(work: Work, width: 1 | 4, fields: Field[]): string {
  const lines: string[] = [];
  const element = (dtype: DType, vector: boolean) =>
    vector ? `vec4<${storedType(dtype)}>` : storedType(dtype);
  work.operands.forEach((operand, i) => {
    if (!operand) return;
    const type = element(operand.dtype, modeOf(operand, width) === "vector");
    lines.push(`var<storage, read> x${i}_data: array<${type}>;`);
  });
  const type = element(work.out.dtype, width === 4);
  lines.push(`var<storage, read_write> y: array<${type}>;`);
  lines.push(`struct Work {\n${structBody(fields)}\n}`);
  lines.push(`var<uniform> work: Work;`);
  return lines.join("\n");
}

/** Key of the code: all that it depends on, except for the uniform's values. */
function workKey(work: Work, width: 1 | 4): string {
  const operands = work.operands.map((operand) => {
    if (!operand) return work.own;
    const zeros = operand.strides.map((stride) => stride === 0 ? 0 : 1).join("");
    return `${operand.dtype}:${zeros}:${modeOf(operand, width)}:${operand.window?.axis ?? ""}`;
  });
  return [width, exprKey(work.expr), operands, work.out.dtype, work.sizes.length].join("|");
}

function bindingsOf(work: Work): BindingUse[] {
  const reads = work.operands.filter((operand) => operand).map(() => "read" as const);
  return [...reads, "uniform"];
}

/** The result as the output's type, and the snippets that it calls. */
function stored(work: Work, width: 1 | 4): { value: string; library: readonly Snippet[] } {
  const { code, functions } = exprCode(work.expr, width, operandTypes(work));
  const dtype = storedType(work.out.dtype);
  return { value: `${width === 4 ? `vec4<${dtype}>` : dtype}(${code})`, library: libraryOf(functions) };
}

/** Invocations in a workgroup of a pointwise kernel. */
const POINTWISE_WG = 64;

/** A whole kernel that evaluates `work` at every place, and the number of workgroups that it needs. */
export function pointwiseKernel(work: Work): Generated & { workgroups: number } {
  const width = widthOf(work);
  const rank = work.sizes.length;
  const counts = work.sizes.map((size, axis) => axis === rank - 1 ? size / width : size);
  const count = counts.reduce((product, n) => product * n, 1);
  const fields: Field[] = [
    ["count", "u32", count],
    ...counts.map((n, axis): Field => [`n${axis}`, "u32", n]),
    ...workFields(work),
  ];
  const coords = work.sizes.map((_, axis) => `k${axis}`);
  const snippet = (): Snippet => {
    const split = coords.map((_, i) => {
      const axis = rank - 1 - i;
      const step = axis === rank - 1 && width === 4 ? " * 4u" : "";
      if (axis === 0) return `  let k0 = rest${step};`;
      return `  let k${axis} = rest % work.n${axis}${step};\n  rest /= work.n${axis};`;
    });
    const { value, library } = stored(work, width);
    const text = [
      declarations(work, width, fields),
      `@compute @workgroup_size(${POINTWISE_WG})`,
      `fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u,`,
      `  @builtin(local_invocation_index) lane: u32) {`,
      `  let place = (group.x + group.y * groups.x) * ${POINTWISE_WG}u + lane;`,
      `  if (place >= work.count) { return; }`,
      `  ${rank === 1 ? "let" : "var"} rest = place;`,
      ...split,
      loads(work, width, coords),
      `  y[place] = ${value};`,
      `}`,
    ].join("\n");
    return { name: "pointwise (generated)", text, needs: library };
  };
  return {
    key: `pointwise|${workKey(work, width)}`,
    fields,
    bindings: bindingsOf(work),
    snippet,
    workgroups: Math.ceil(count / POINTWISE_WG),
  };
}

/**
 * The `store` function of a kernel whose axes are [outer batch, inner batch, row, column]: it evaluates
 * `work` on the kernel's value and writes the result. `lanes` is the number of adjacent columns that the
 * kernel hands over at once.
 */
export function storeFunction(work: Work, lanes: 1 | 4): Generated {
  const width = lanes === 4 ? widthOf(work) : 1;
  const batched = work.sizes[1]! > 1;
  const strides = work.out.strides;
  const fields: Field[] = [
    ["inner_batches", "u32", work.sizes[1]!],
    ["columns", "u32", work.sizes[3]!],
    ...strides.map((stride, axis): Field => [`y_${axis}`, "u32", stride]),
    ...workFields(work),
  ];
  const coords = ["outer", "inner", "row", "column"];
  const body = (value: string) =>
    [
      batched
        ? `  let outer = batch / work.inner_batches;\n  let inner = batch % work.inner_batches;`
        : `  let outer = batch;\n  let inner = 0u;`,
      loads(work, width, coords),
      `  y[(outer * work.y_0 + inner * work.y_1 + row * work.y_2 + column * work.y_3)${
        width === 4 ? " / 4u" : ""
      }] = ${value};`,
    ].join("\n");
  const snippet = (): Snippet => {
    const name = lanes === 4 && width === 1 ? "store_one" : "store";
    const { value, library } = stored(work, width);
    const text = [
      declarations(work, width, fields),
      `fn ${name}(batch: u32, row: u32, column: u32, v: ${width === 4 ? `vec4<${work.own}>` : work.own}) {`,
      body(value),
      `}`,
    ];
    if (name === "store_one") {
      text.push(
        `fn store(batch: u32, row: u32, column: u32, v: vec4<${work.own}>) {`,
        ...[0, 1, 2, 3].map((i) =>
          `  if (column + ${i}u < work.columns) { store_one(batch, row, column + ${i}u, v[${i}]); }`
        ),
        `}`,
      );
    }
    return { name: "store (generated)", text: text.join("\n"), needs: library };
  };
  return { key: `${lanes}|${batched}|${workKey(work, width)}`, fields, bindings: bindingsOf(work), snippet };
}
