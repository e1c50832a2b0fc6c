import { contiguousStrides, formatShape, placeOf, size } from "../../core/shape.ts";
import type { Device } from "../../gpu/device.ts";
import { boundBy } from "../../gpu/shader/compose.ts";
import type { Step } from "../fusion/step.ts";
import { type Axes, Input, Kernel, Leaf, type Node, Pointwise, Scratch, type View } from "../node.ts";
import { Call, Output } from "../run/call.ts";
import type { Work } from "../run/work.ts";
import { isFinite, nameOf } from "./cause.ts";
import type { Ran } from "./counts.ts";
import { type CheckedInput, NonFiniteError, type NonFiniteReport, type ValueRange } from "./error.ts";
import { numberText, rangeOf, readValues } from "./values.ts";

/** A result, and its first element that is not finite. */
export type Result = Pick<NonFiniteReport, "dtype" | "shape" | "index" | "value" | "result">;

/** The result of a step. */
export function resultOf({ output, record }: Step, values: ArrayLike<number>): Result {
  const result = rangeOf(values);
  const { shape, strides } = ownAxes(output) ??
    { shape: record.shape, strides: contiguousStrides(record.shape) };
  return {
    dtype: output.dtype,
    shape,
    index: placeOf(result.first, shape, strides),
    value: values[result.first]!,
    result,
  };
}

/** A value's own axes, where they are known. */
function ownAxes(node: Node): Axes | undefined {
  if (node instanceof Pointwise) return node;
  if (node instanceof Kernel) return node.spec.tensor;
  return node instanceof Leaf ? node.tensor : undefined;
}

/** The tensors that a dispatch reads. */
export async function describeInputs(
  device: Device,
  ran: readonly Ran[],
  index: number,
): Promise<CheckedInput[]> {
  const { step, reads } = ran[index]!;
  const names = variablesOf(device, step);
  const views = viewsOf(step);
  const before = new Map(ran.slice(0, index).map(({ step }) => [step.output, step]));
  const inputs: CheckedInput[] = [];
  for (const [i, node] of step.inputs.entries()) {
    const range = rangeOf(await readValues(device, reads[i]!, node));
    const { shape, strides } = ownAxes(node) ?? unrepeated(views[i]!);
    inputs.push({
      name: names[i]!,
      ...sourceOf(node, before.get(node)),
      dtype: node.dtype,
      shape,
      ...range,
      index: range.first < 0 ? undefined : placeOf(range.first, shape, strides),
    });
  }
  return inputs;
}

/** Views by which a step reads its inputs: first those of its kernel, then operands of what is fused. */
function viewsOf({ origin: { group, chosen }, inputs, output }: Step): View[] {
  const known = [...chosen?.spec.inputs ?? [], ...output === group.output ? group.operands : []];
  return inputs.map((node) => known.find((view) => view.node === node) ?? whole(node));
}

/** A view without the axes along which it repeats, if it repeats at all: of a bias its one axis. */
function unrepeated(view: View): Axes {
  const { shape, strides } = view;
  if (!shape.some((n, axis) => n > 1 && strides[axis] === 0)) return view;
  const real = (numbers: readonly number[]) => numbers.filter((_, axis) => strides[axis] !== 0);
  return { shape: real(shape), strides: real(strides) };
}

function whole(node: Node): View {
  return { node, shape: [node.count], strides: [1], offset: 0 };
}

/** Variables of a shader that read its inputs, in order; those of operands are x0, x1, …. */
function variablesOf(device: Device, { pipeline }: Step): string[] {
  const text = pipeline.source(device.pipelines.texts).map((part) => part.text).join("\n");
  const reads = boundBy(text).filter(({ use }) => use === "read").sort((a, b) => a.binding! - b.binding!);
  return reads.map(({ name }) => name.replace(/^(x\d+)_data$/, "$1"));
}

function sourceOf(node: Node, maker: Step | undefined): Pick<CheckedInput, "kind" | "source"> {
  if (node instanceof Input) return { kind: "input", source: node.label };
  if (node instanceof Leaf) {
    return node.label ? { kind: "weight", source: node.label } : { kind: "tensor", source: "" };
  }
  if (node instanceof Output) return { kind: "result", source: node.call.plan.label };
  if (node instanceof Scratch) {
    return { kind: "result", source: `an earlier pass of ${maker?.record.kernel}` };
  }
  const { path = node.path, kernel = "" } = maker?.record ?? {};
  return { kind: "result", source: path || kernel };
}

/** The error of one of a work's dispatches. */
export function errorOf(
  work: Work,
  index: number,
  found: Result & Pick<NonFiniteReport, "inputs" | "cause" | "mark" | "turn">,
): NonFiniteError {
  const { step } = work.ran[index]!;
  const { group } = step.origin;
  const { kernel, path } = step.record;
  const isLast = step.output === group.output;
  const report: NonFiniteReport = {
    ...found,
    model: work instanceof Call ? work.plan.label : "",
    path,
    kernel,
    paths: isLast ? [...new Set(group.nodes.map((node) => node.path))].filter(Boolean) : [path],
    fused: step.details().fused.replaceAll(/\bc(\d+)\b/g, (_, i) => numberText(group.scalars[i]!)),
    dispatch: index + 1,
    dispatches: work.ran.length,
  };
  return new NonFiniteError(textOf(report), report);
}

function textOf(report: NonFiniteReport): string {
  const { model, path, kernel, dtype, shape, index, value, result, cause, mark, turn } = report;
  const where = [model, path].filter(Boolean).join(" ") || "the script's arithmetic";
  const counts = [result.nan && `${result.nan} NaN`, result.inf && `${result.inf} inf`];
  counts.push(result.negativeInf && `${result.negativeInf} -inf`);
  const lines = [
    `Cannot go on: expected finite numbers from ${where} (${kernel}), got ${numberText(value)} at ` +
    `[${index.join(", ")}] of its result ${dtype} ${formatShape(shape)}: ${cause.text}; ${cause.advice}`,
    `${cause.kind}; dispatch ${report.dispatch} of ${report.dispatches}` +
    (mark ? `, in "${mark}" (stretch ${turn} of the device)` : "") +
    `; of ${size(shape)} numbers ${counts.filter(Boolean).join(", ")}, the others ${span(result)}`,
  ];
  if (report.fused) lines.push(`computes ${report.fused}, in ${report.paths.join(", ") || "no module"}`);
  for (const input of report.inputs) {
    const { name, dtype, shape } = input;
    const odd = isFinite(input) ? "" : `, ${input.nan} NaN, ${input.inf} inf, ${input.negativeInf} -inf`;
    lines.push(`${name}: ${dtype} ${formatShape(shape)}, ${span(input)}${odd}: ${nameOf(input)}`);
  }
  return lines.join("\n  ");
}

function span({ min, max }: ValueRange): string {
  return Number.isNaN(min) ? "none finite" : `${numberText(min)} to ${numberText(max)}`;
}
