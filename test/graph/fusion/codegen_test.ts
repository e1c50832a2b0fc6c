import assert from "node:assert/strict";
import { contiguousStrides } from "../../../src/core/shape.ts";
import {
  type Access,
  type Generated,
  pointwiseKernel,
  storeFunction,
  type Work,
} from "../../../src/graph/fusion/codegen.ts";
import type { Expr } from "../../../src/graph/expr.ts";
import { packFields } from "../../../src/gpu/shader/params.ts";
import { Dice } from "../../support/dice.ts";

const x = (index: number): Expr => ({ op: "operand", index });
const c = (index: number): Expr => ({ op: "scalar", index });
const EXPRESSIONS: [Expr, operands: number, scalars: number][] = [
  [x(0), 1, 0],
  [{ op: "add", args: [x(0), x(1)] }, 2, 0],
  [{ op: "mul", args: [x(0), c(0)] }, 1, 1],
  [{ op: "add", args: [{ op: "silu", args: [x(0)] }, { op: "mul", args: [x(1), c(0)] }] }, 2, 1],
];

function randomAccess(dice: Dice, sizes: readonly number[], windows: boolean): Access {
  const strides = dice.shuffled(contiguousStrides(sizes)).map((stride) => dice.int(0, 3) === 0 ? 0 : stride);
  const axis = dice.int(0, sizes.length - 1);
  const window = windows && dice.int(0, 3) === 0
    ? { axis, start: dice.int(0, 8), length: dice.int(1, 8) }
    : undefined;
  return { dtype: dice.coin() ? "f32" : "f16", offset: dice.int(0, 1) * 2, strides, ...window && { window } };
}

function randomWork(dice: Dice, rank: number, kernel: boolean): Work {
  const sizes = Array.from({ length: rank }, () => [1, 3, 4, 8][dice.int(0, 3)]!);
  const [expr, operands, scalars] = EXPRESSIONS[dice.int(0, EXPRESSIONS.length - 1)]!;
  return {
    expr,
    operands: Array.from(
      { length: operands },
      (_, i) => kernel && i === 0 ? undefined : randomAccess(dice, sizes, !kernel),
    ),
    scalars: Array.from({ length: scalars }, () => dice.next()),
    own: "f32",
    sizes,
    out: { dtype: dice.coin() ? "f32" : "f16", strides: contiguousStrides(sizes) },
  };
}

/** Fails where one key stands for two texts, or one text for two keys. */
function assertKeys(generated: Generated[]): void {
  const texts = new Map<string, string>();
  const keys = new Map<string, string>();
  for (const { key, snippet, bindings } of generated) {
    const { text: own, needs = [] } = snippet();
    const text = [own, ...needs.map((need) => need.name), ...bindings].join("\n");
    assert.equal(texts.get(key) ?? text, text, `two texts for ${key}`);
    assert.equal(keys.get(text) ?? key, key, `two keys for ${text}`);
    texts.set(key, text);
    keys.set(text, key);
  }
  assert.ok(
    keys.size > 50 && keys.size < generated.length,
    `${keys.size} of ${generated.length} texts differ`,
  );
}

Deno.test("pointwiseKernel() gives equal keys to equal texts, and to no others", () => {
  const dice = new Dice(8);
  assertKeys(Array.from({ length: 3000 }, () => pointwiseKernel(randomWork(dice, dice.int(1, 3), false))));
});

Deno.test("storeFunction() gives equal keys to equal texts, and to no others", () => {
  const dice = new Dice(9);
  const lanes = () => dice.coin() ? 4 : 1;
  assertKeys(Array.from({ length: 3000 }, () => storeFunction(randomWork(dice, 4, true), lanes())));
});

Deno.test("pointwiseKernel() keeps sizes, offsets and scalars out of the text", () => {
  const work = (n: number, scalar: number): Work => ({
    expr: { op: "mul", args: [x(0), c(0)] },
    operands: [{ dtype: "f32", offset: n, strides: [n, 1] }],
    scalars: [scalar],
    sizes: [2, n],
    out: { dtype: "f32", strides: [n, 1] },
  });
  const [a, b] = [pointwiseKernel(work(8, 1)), pointwiseKernel(work(12, 2))];
  assert.equal(a.key, b.key);
  assert.notDeepEqual(packFields(a.fields), packFields(b.fields));
  assert.notEqual(pointwiseKernel(work(7, 1)).key, a.key, "7 columns cannot be read as vectors");
});
