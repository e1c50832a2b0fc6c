import { type PlainDType, valueType } from "../../core/dtype.ts";
import type { DispatchDetails, DispatchRecord } from "../../gpu/profiling/records.ts";
import { compose, type Section } from "../../gpu/shader/compose.ts";
import type { BindingUse, PipelineSpec } from "../../gpu/shader/pipelines.ts";
import { keyOf, paramsText } from "../../gpu/shader/snippet.ts";
import { contiguousStrides, size } from "../../core/shape.ts";
import { collapse, fitStrides } from "./axes.ts";
import { type Access, type Generated, pointwiseKernel, storeFunction, type Work } from "./codegen.ts";
import { detailsOf, once } from "./details.ts";
import { type Group, valueGroup } from "./fuse.ts";
import {
  type Candidate,
  type Kernel,
  type KernelSpec,
  type Node,
  type Operand,
  type Pass,
  Scratch,
  type View,
} from "../node.ts";
import { packFields, packParams } from "../../gpu/shader/params.ts";

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
  /** For profiles; made where they ask for it, as a step that runs by itself is made anew each time. */
  readonly details: () => DispatchDetails;
  readonly origin: Origin;
}

/** The group that a step is of; its nodes forget their inputs once they are computed, this does not. */
export interface Origin {
  readonly group: Group;
  /** The kernel's candidate, in groups with one. */
  readonly chosen?: Chosen | undefined;
}

/** A kernel's inputs and coordinates, and the candidate that computes it. */
export interface Chosen {
  readonly spec: KernelSpec;
  readonly candidate: Candidate;
}

/** The dispatches that compute a group of fused nodes, the one that stores its output last. */
export function stepsOfGroup(group: Group, choose: (kernel: Kernel) => Candidate): Step[] {
  const { kernel } = group;
  return stepsOfOrigin({ group, chosen: kernel && { spec: kernel.spec, candidate: choose(kernel) } });
}

/** The same, by the candidate that was chosen before. */
export function stepsOfOrigin(origin: Origin): Step[] {
  return origin.chosen ? kernelSteps(origin, origin.chosen) : [pointwiseStep(origin)];
}

function access(operand: Operand, strides: readonly number[], axis = -1): Access {
  const { offset, window } = operand;
  const dtype = operand.node.dtype as PlainDType;
  return { dtype, offset, strides, ...window && { window: { ...window, axis } } };
}

function pointwiseStep(origin: Origin): Step {
  const { group } = origin;
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
    pipeline: pipelineOf("pointwise", generated.key, { code: [], bindings: ["write"] }, {}, generated),
    output,
    inputs,
    uniforms: [packFields(generated.fields)],
    workgroups: generated.workgroups,
    record: { kernel: "pointwise", path: output.path, shape },
    details: once(() => detailsOf(group)),
    origin,
  };
}

function kernelSteps(origin: Origin, { spec, candidate }: Chosen): Step[] {
  const { group } = origin;
  const kernel = group.kernel!;
  const { path } = kernel;
  const { before = [] } = candidate;
  const views: View[] = [...spec.inputs];
  const readsOf = ({ reads }: Pass) => (reads ?? [...spec.inputs.keys()]).map((i) => views[i]!);
  let flops = spec.flops;
  const first = before.map((pass) => {
    const result = new Scratch(pass.dtype, size(pass.axes), path);
    const strides = contiguousStrides(pass.axes) as unknown as KernelSpec["strides"];
    const stored = { group: valueGroup(result, pass.axes, strides), axes: pass.axes, strides };
    const step = passStep(origin, pass, readsOf(pass), result, stored, pass.flops ?? 0);
    views.push({ node: result, shape: pass.axes, strides, offset: 0 });
    flops -= pass.flops ?? 0;
    return step;
  });
  return [
    ...first,
    passStep(
      origin,
      candidate,
      readsOf(candidate),
      kernel,
      { group, axes: spec.axes, strides: spec.strides },
      flops,
    ),
  ];
}

/** A result of a pass: the expression of a group, along the pass's own axes. */
interface Stored extends Pick<KernelSpec, "axes" | "strides"> {
  readonly group: Group;
}

/** One dispatch of a kernel, which ends in an expression of its `value`. */
function passStep(
  origin: Origin,
  pass: Pass,
  reads: readonly View[],
  value: Node,
  { group, axes, strides }: Stored,
  flops: number,
): Step {
  const { operands, expr, scalars, output } = group;
  const others = operands.filter((operand) => operand.node !== value);
  const strideSets = fitStrides(
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
      operand.node === value ? undefined : access(operand, strideSets![others.indexOf(operand)]!)
    ),
    own: valueType(value.dtype as PlainDType),
    sizes: axes,
    out: { dtype: output.dtype as PlainDType, strides },
  };
  const generated: Generated = storeFunction(work, pass.width);
  const struct = paramsText(pass.code);
  const params = packParams(pass.name, struct, pass.params);
  const bindings: BindingUse[] = [
    ...reads.map(() => "read" as const),
    "write",
    ...struct ? ["uniform" as const] : [],
  ];
  const views = [...reads, ...others];
  return {
    pipeline: pipelineOf(
      pass.name,
      `${Object.entries(pass.set).join()}|${reads.length}|${pass.code.map(keyOf)}|${generated.key}`,
      { code: pass.code, bindings },
      pass.set,
      generated,
    ),
    output,
    inputs: views.map(({ node }) => node),
    uniforms: [...struct ? [params] : [], packFields(generated.fields)],
    workgroups: pass.workgroups,
    record: { kernel: pass.name, path: value.path, shape: axes },
    details: once(() => detailsOf(group, { value, flops, reads })),
    origin,
  };
}

function pipelineOf(
  label: string,
  key: string,
  kernel: Section,
  set: Pass["set"],
  { bindings, snippet }: Generated,
): PipelineSpec {
  return {
    label,
    key: `${label}|${key}`,
    bindings: [...kernel.bindings, ...bindings],
    source: (texts) => compose({ label, kernel, set, store: { code: [snippet()], bindings } }, texts),
  };
}
