import { formatShape } from "../../core/shape.ts";
import { type Expr, exprText } from "../expr.ts";
import { operandNames } from "../fusion/details.ts";
import type { Group } from "../fusion/fuse.ts";
import type { CheckedInput, NonFiniteCause, ValueRange } from "./error.ts";
import type { Recomputation } from "./recomputation.ts";
import { largestOf, numberText } from "./values.ts";

/** True where a tensor has no NaN and no infinity. */
export function isFinite({ nan, inf, negativeInf }: CheckedInput): boolean {
  return nan + inf + negativeInf === 0;
}

/** Cause by the inputs alone: those that are not finite, or the kernel itself. */
export function causeOfKernel(
  kernel: string,
  inputs: readonly CheckedInput[],
  isNaN: boolean,
): NonFiniteCause {
  const bad = inputs.filter((input) => !isFinite(input));
  const [first] = bad;
  if (!first) {
    return {
      kind: "made here",
      text: `${kernel} makes it of finite inputs, by ${
        isNaN ? "0 / 0 or inf - inf" : "a sum beyond the largest number"
      } within`,
      advice: 'look at the ranges of its inputs, or load the model with { dtype: "f32" }',
    };
  }
  if (isNaN && bad.every(mayHide)) {
    return {
      kind: "made here",
      text: `${
        bad.map(nameOf).join(" and ")
      } has -inf, of which it makes 0 / 0 or inf - inf, as where a mask hides a whole row`,
      advice: "leave one place of each row visible, or take a large negative number instead",
    };
  }
  return {
    kind: "came in",
    text: `it came in with ${bad.map(described).join(" and ")}`,
    advice: ADVICE[first.kind],
  };
}

/** True where all that is not finite is -infinity, by which masks hide places. */
const isHiding = (range: ValueRange) => range.negativeInf > 0 && range.nan + range.inf === 0;

/** True for a tensor that may be a mask, or be made with one. */
function mayHide(input: CheckedInput): boolean {
  const { kind, source } = input;
  return isHiding(input) &&
    (kind === "tensor" || kind === "result" || kind === "input" && /mask/i.test(source));
}

/** True for a result that only has -infinity, where inputs or numbers of the expression have it, too. */
export function passesOn(
  result: ValueRange,
  inputs: readonly CheckedInput[],
  scalars: readonly number[],
): boolean {
  const bad = inputs.filter((input) => !isFinite(input));
  return isHiding(result) && (bad.length > 0 || scalars.includes(-Infinity)) && bad.every(mayHide);
}

const ADVICE: Readonly<Record<CheckedInput["kind"], string>> = {
  weight: "look at the model's file, and at LoRAs and edits that change the weight",
  input: "look at what the script gives it",
  tensor: "look at the values that the script made it of",
  result: "it was computed in an earlier step",
};

function described(input: CheckedInput): string {
  const { kind, source, nan, inf, negativeInf, index } = input;
  const what = [nan && `${nan} NaN`, inf && `${inf} inf`, negativeInf && `${negativeInf} -inf`].filter(
    Boolean,
  );
  const place = index!.length ? `, the first at ${formatShape(index!)}` : "";
  return `${nameOf(input)}, which has ${what.join(" and ")}${place}` +
    (kind === "result" && source ? ", computed before" : "");
}

/** A tensor's name for people. */
export function nameOf({ kind, source }: Pick<CheckedInput, "kind" | "source">): string {
  if (kind === "weight" || kind === "input") return `the ${kind} "${source}"`;
  return kind === "tensor" ? "a tensor of the script" : `the result of ${source || "an earlier dispatch"}`;
}

/** Finds out what made a number of the result that is not finite. */
export async function causeOf(
  again: Recomputation,
  group: Group,
  element: number,
  inputs: readonly CheckedInput[],
  byKernel: () => NonFiniteCause,
): Promise<NonFiniteCause> {
  const { expr, scalars } = group;
  if (Number.isFinite(await again.at(expr, element))) return overflow(largestOf(await again.range(expr)));
  const culprit = await descend(again, expr, element);
  if (culprit.op === "operand") {
    const name = operandNames(group.operands, group.kernel)[culprit.index]!;
    if (name === "v") return byKernel();
    return causeOfKernel("", inputs.filter((input) => input.name === name), false);
  }
  if (culprit.op === "scalar") {
    const value = scalars[culprit.index]!;
    return {
      kind: "came in",
      text: `it came in with the number ${numberText(value)}`,
      advice: ADVICE.tensor,
    };
  }
  const names: string[] = [];
  const flat = { ...culprit, args: culprit.args.map((_, index): Expr => ({ op: "operand", index })) };
  for (const arg of culprit.args) {
    names.push(numberText(arg.op === "scalar" ? scalars[arg.index]! : await again.at(arg, element)));
  }
  const value = numberText(await again.at(culprit, element));
  return {
    kind: "made here",
    text: `${exprText(flat, names)} is ${value}`,
    advice: "look at the ranges of its inputs",
  };
}

/** The part of an expression that is not finite although all that it is computed from is. */
async function descend(again: Recomputation, expr: Expr, element: number): Promise<Expr & { op: unknown }> {
  if (!("args" in expr)) return expr;
  for (const arg of expr.args) {
    if (again.type(arg) !== "f32" || Number.isFinite(await again.at(arg, element))) continue;
    return await descend(again, arg, element);
  }
  return expr;
}

function overflow(largest: number): NonFiniteCause {
  return {
    kind: "f16 overflow",
    text: `f16 ends at 65504, and the result reaches ${numberText(largest)}`,
    advice: 'load the model with { dtype: "f32" }, or compute this in f32',
    largest,
  };
}
