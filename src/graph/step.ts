import { bytesOf, type PlainDType, valueType } from "../core/dtype.ts";
import type { DispatchRecord } from "../gpu/profiler.ts";
import type { BindingUse, PipelineSpec, SourcePart } from "../gpu/pipelines.ts";
import { contiguousStrides, size } from "../core/shape.ts";
import { collapse, fit } from "./axes.ts";
import { type Access, type Generated, pointwiseKernel, storeFunction, type Work } from "./codegen.ts";
import { exprFlops } from "./expr.ts";
import { type Group, valueGroup } from "./fuse.ts";
import {
  type Candidate,
  type Kernel,
  type KernelSpec,
  type Node,
  type Operand,
  type Pass,
  Scratch,
} from "./node.ts";
import { packFields, packParams } from "./uniform.ts";

/** One dispatch: what runs, on which nodes, with which uniforms. */
export interface Step {
  readonly pipeline: PipelineSpec;
  readonly output: Node;
  /** Nodes bound for reading, in the order of the pipeline's "read" bindings. */
  readonly inputs: readonly Node[];
  /** Contents of the pipeline's "uniform" bindings, in order. */
  readonly uniforms: readonly Uint8Array<ArrayBuffer>[];
  readonly workgroups: number;
  readonly record: DispatchRecord;
}

/** The dispatches that compute a group of fused nodes, the one that stores its output last. */
export function stepsOfGroup(group: Group, choose: (spec: KernelSpec) => Candidate): Step[] {
  return group.kernel ? kernelSteps(group, group.kernel, choose(group.kernel.spec)) : [pointwiseStep(group)];
}

function record(
  value: Node,
  output: Node,
  kernel: string,
  inputs: readonly Node[],
  flops: number,
): DispatchRecord {
  const bytes = [...new Set(inputs), output].reduce(
    (sum, node) => sum + node.count * bytesOf(node.dtype),
    0,
  );
  return { kernel, path: value.path, flops, bytes };
}

function access(operand: Operand, strides: readonly number[], axis = -1): Access {
  const { offset, window } = operand;
  const dtype = operand.node.dtype as PlainDType;
  return { dtype, offset, strides, ...window && { window: { ...window, axis } } };
}

/** The lines in front of a shader that its types and functions need. */
function enables(text: string): SourcePart {
  const code = text.replaceAll(/\/\/.*$/gm, ""); // comments speak of f16 where the code has none
  const lines = [
    /\bf16\b/.test(code) ? "enable f16;" : "",
    /\bsubgroup[A-Z_]/.test(code) ? "enable subgroups;" : "",
    /@subgroup_size/.test(code) ? "enable subgroup_size_control;" : "",
    /\bsubgroup_?[mM]atrix/.test(code) ? "enable chromium_experimental_subgroup_matrix;" : "",
  ];
  return { name: "enables (generated)", text: lines.join("") };
}

function pointwiseStep(group: Group): Step {
  const { operands, shape, strides, expr, scalars, output } = group;
  const apart = new Set(operands.flatMap(({ window }) => window ? [window.axis] : []));
  const axes = collapse(shape, [strides, ...operands.map((operand) => operand.strides)], apart);
  const work: Work = {
    expr,
    scalars,
    operands: operands.map((operand, i) =>
      access(operand, axes.strides[i + 1]!, operand.window && axes.place[operand.window.axis])
    ),
    sizes: axes.sizes,
    out: { dtype: output.dtype as PlainDType, strides: axes.strides[0]! },
  };
  const generated = pointwiseKernel(work);
  const inputs = operands.map((operand) => operand.node);
  return {
    pipeline: pipelineOf(
      "pointwise",
      generated.key,
      ["write", ...generated.uses],
      () => generated.source(0, 1),
    ),
    output,
    inputs,
    uniforms: [packFields(generated.fields)],
    workgroups: generated.workgroups,
    record: record(output, output, "pointwise", inputs, exprFlops(expr) * output.count),
  };
}

function kernelSteps(group: Group, kernel: Kernel, candidate: Candidate): Step[] {
  const { spec, path } = kernel;
  const { before = [] } = candidate;
  const nodes = spec.inputs.map((view) => view.node);
  const readsOf = ({ reads }: Pass) => (reads ?? [...spec.inputs.keys()]).map((i) => nodes[i]!);
  let flops = spec.flops;
  const first = before.map((pass) => {
    const result = new Scratch(pass.dtype, size(pass.axes), path);
    const strides = contiguousStrides(pass.axes) as unknown as KernelSpec["strides"];
    const stored = { group: valueGroup(result, pass.axes, strides), axes: pass.axes, strides };
    const step = passStep(pass, readsOf(pass), result, stored, pass.flops ?? 0);
    nodes.push(result);
    flops -= pass.flops ?? 0;
    return step;
  });
  return [
    ...first,
    passStep(candidate, readsOf(candidate), kernel, { group, axes: spec.axes, strides: spec.strides }, flops),
  ];
}

/** What a pass stores: the expression of a group, along the pass's own axes. */
interface Stored extends Pick<KernelSpec, "axes" | "strides"> {
  readonly group: Group;
}

/** One dispatch of a kernel, which ends in an expression of its `value`. */
function passStep(
  pass: Pass,
  reads: readonly Node[],
  value: Node,
  { group, axes, strides }: Stored,
  flops: number,
): Step {
  const { operands, expr, scalars, output } = group;
  const others = operands.filter((operand) => operand.node !== value);
  const views = fit(
    group.shape,
    group.strides,
    others.map((operand) => operand.strides),
    axes,
    strides,
  );
  const work: Work = {
    expr,
    scalars,
    operands: operands.map((operand) =>
      operand.node === value ? undefined : access(operand, views![others.indexOf(operand)]!)
    ),
    own: valueType(value.dtype as PlainDType),
    sizes: axes,
    out: { dtype: output.dtype as PlainDType, strides },
  };
  const generated: Generated = storeFunction(work, pass.width);
  // Bindings: what the pass reads, the output, params, then what `store` needs.
  const uses: BindingUse[] = [...reads.map(() => "read" as const), "write", "uniform", ...generated.uses];
  const source = () => {
    const parts = setLines(pass.name, pass.code, pass.set);
    return [...parts, ...generated.source(reads.length, reads.length + 2)];
  };
  const inputs = [...reads, ...others.map((view) => view.node)];
  return {
    pipeline: pipelineOf(
      pass.name,
      `${Object.entries(pass.set).join()}|${pass.code.map(textKey)}|${generated.key}`,
      uses,
      source,
    ),
    output,
    inputs,
    uniforms: [
      packParams(
        pass.name,
        pass.code.find((part) => part.text.includes("struct Params"))?.text ?? "",
        pass.params,
      ),
      packFields(generated.fields),
    ],
    workgroups: pass.workgroups,
    record: record(value, output, pass.name, inputs, flops + exprFlops(expr) * output.count),
  };
}

const texts = new Map<string, number>();

/** A part's name, with a number that equal texts have in common: texts may be changed, or be a user's own. */
function textKey({ name, text }: SourcePart): string {
  const number = texts.get(text) ?? texts.size;
  texts.set(text, number);
  return `${name}#${number}`;
}

/** A line that `set` replaces the value of: `alias NAME = …;` or `const NAME: type = …;`. */
function lineOf(name: string): RegExp {
  return new RegExp(`^(alias ${name} = |const ${name}: \\w+ = )[^;]*;`, "m");
}

/** Sets lines in whichever parts have them. Throws where none has. */
function setLines(kernel: string, parts: readonly SourcePart[], set: Pass["set"]): SourcePart[] {
  for (const name of Object.keys(set)) {
    if (parts.some(({ text }) => lineOf(name).test(text))) continue;
    throw new Error(
      `Cannot set "${name}" of ${kernel}: expected a line \`alias ${name} = …;\` or ` +
        `\`const ${name}: type = …;\` in ${parts.map((part) => part.name).join(" or ")}, got none`,
    );
  }
  return parts.map(({ name, text }) => ({
    name,
    text: Object.entries(set).reduce((all, [key, value]) => all.replace(lineOf(key), `$1${value};`), text),
  }));
}

function pipelineOf(
  label: string,
  key: string,
  bindings: BindingUse[],
  parts: () => SourcePart[],
): PipelineSpec {
  return {
    label,
    key: `${label}|${key}`,
    bindings,
    source: () => {
      const list = parts();
      const text = list.map((part) => part.text).join("\n");
      return [enables(text), ...list];
    },
  };
}
