import type { Storage } from "../../gpu/memory/buffers.ts";
import type { Device } from "../../gpu/device.ts";
import type { Pipeline } from "../../gpu/shader/pipelines.ts";
import { Uniforms } from "../../gpu/memory/uniforms.ts";
import type { DType, PlainDType } from "../../core/dtype.ts";
import { bindGroup } from "../../gpu/encoding.ts";
import { fill } from "./fill.ts";
import { type Group, valueGroup } from "../fusion/fuse.ts";
import { exprKey } from "../expr.ts";
import { foldGrid } from "../../gpu/shader/grid.ts";
import { type Candidate, Kernel, type KernelSpec, Leaf, type Node, type Operand } from "../node.ts";
import { type Step, stepsOfGroup } from "../fusion/step.ts";

/** A value that a kernel reads: its type and number of elements. */
export interface Read {
  readonly dtype: DType;
  readonly count: number;
}

/** A kernel on one shape, without the values that it was recorded with. */
export interface Problem extends Omit<KernelSpec, "inputs"> {
  /** Its inputs. */
  readonly reads: readonly Read[];
  /** Type of the output. */
  readonly dtype: PlainDType;
  /** Elements of the output. */
  readonly count: number;
  /** Module path of the first kernel of this kind. */
  readonly path: string;
  /** The pointwise work that runs in its `store`; without it the kernel's own value is stored. */
  readonly fused?: Fused | undefined;
}

/** Pointwise work on a kernel's value. */
export interface Fused extends Pick<Group, "expr" | "scalars" | "shape" | "strides"> {
  /** Type of the kernel's own value. */
  readonly own: PlainDType;
  /** Operands of the expression; undefined for the kernel's own value. */
  readonly operands: readonly (FusedOperand | undefined)[];
}

/** A value that is read in a kernel's `store`, and how. */
export type FusedOperand = Read & Omit<Operand, "node">;

/** The problem that a kernel solves, without its values; with a group also what is fused into it there. */
export function problemOf(kernel: Kernel, group?: Group): Problem {
  const { spec: { inputs, ...rest }, dtype, count, path } = kernel;
  const reads = inputs.map(({ node }) => ({ dtype: node.dtype, count: node.count }));
  const problem = { ...rest, reads, dtype: dtype as PlainDType, count, path };
  if (!group || group.output === kernel) return problem;
  const { output, expr, scalars, shape, strides, operands } = group;
  const fused: Fused = {
    own: dtype as PlainDType,
    expr,
    scalars,
    shape,
    strides,
    operands: operands.map(({ node, ...view }) =>
      node === kernel ? undefined : { ...view, dtype: node.dtype, count: node.count }
    ),
  };
  return { ...problem, dtype: output.dtype as PlainDType, fused };
}

/** All values that a problem's dispatches read: the kernel's inputs, then what only its `store` reads. */
export function readsOf({ reads, fused }: Problem): Read[] {
  return [...reads, ...(fused?.operands ?? []).filter((operand) => operand !== undefined)];
}

/** Words for a problem's shape: the kernel's axes and types. */
export function shapeOf({ axes, reads, dtype }: Problem): string {
  return `${axes.join("×")} from ${reads.map((read) => read.dtype).join(", ")} to ${dtype}`;
}

/** The pointwise work that is fused into a problem's kernel, e.g. "add(v, x1)"; "" where there is none. */
export function fusedText({ fused }: Problem): string {
  if (!fused) return "";
  return exprKey(fused.expr).replaceAll(/\bx(\d+)\b/g, (name, i) => fused.operands[i] ? name : "v");
}

/** Bytes of a bench for a problem, without those that single candidates need. */
export function benchBytes(problem: Problem): number {
  const sizes = [...readsOf(problem), problem].map(({ dtype, count }) => new Leaf(dtype, count, "").bytes);
  return sizes.reduce((sum, bytes) => sum + bytes, 0);
}

/** A problem as a recording: leaves in place of what it reads, in the order of `readsOf`, and the group that computes it. */
export function recordingOf(problem: Problem): { inputs: Leaf[]; group: Group } {
  const { fused, dtype, count, path, axes, strides, reads } = problem;
  const inputs = readsOf(problem).map(({ dtype, count }, i) => new Leaf(dtype, count, `tuning input ${i}`));
  const views = inputs.slice(0, reads.length).map((node) => ({
    node,
    shape: [node.count],
    strides: [1],
    offset: 0,
  }));
  const kernel = new Kernel(fused?.own ?? dtype, count, path, { ...problem, inputs: views });
  if (!fused) return { inputs, group: { ...valueGroup(kernel, axes, strides), kernel } };
  const others = inputs.slice(reads.length).values();
  const operands = fused.operands.map((operand): Operand =>
    operand
      ? { ...operand, node: others.next().value! }
      : { node: kernel, shape: fused.shape, strides: fused.strides, offset: 0 }
  );
  const output = new Leaf(dtype, count, "tuning result");
  return { inputs, group: { ...fused, kernel, operands, output, nodes: [kernel, output] } };
}

/** A candidate with its memory: may be encoded any number of times. */
export interface Trial {
  readonly candidate: Candidate;
  encode(pass: GPUComputePassEncoder): void;
  /** The same memory with the shaders as they are now, whatever replaces them later. */
  frozen(): Trial;
}

/** One problem in memory, with seeded or given inputs, on which candidates take turns. Disposing it frees its memory. */
export class Bench implements Disposable {
  readonly #device: Device;
  readonly #group: Group;
  readonly #storages: Storage[] = [];
  readonly #uniforms: Uniforms[] = [];

  private constructor(device: Device, group: Group) {
    this.#device = device;
    this.#group = group;
  }

  /** Memory of the candidates' results. */
  get output(): Storage {
    return this.#group.output.storage!;
  }

  /** Takes memory and fills the inputs; those that are `given`, in the order of `readsOf`, stay their owner's. */
  static async open(device: Device, problem: Problem, given: readonly Storage[] = []): Promise<Bench> {
    const { inputs, group } = recordingOf(problem);
    const bench = new Bench(device, group);
    try {
      for (const [i, node] of inputs.entries()) {
        node.storage = given[i] ?? bench.#allocate(node);
        if (!given[i]) await fill(device, node.storage, node.dtype, i + 1);
      }
      group.output.storage = bench.#allocate(group.output);
      await device.idle(); // throws where there is no memory
      return bench;
    } catch (error) {
      bench[Symbol.dispose]();
      throw error;
    }
  }

  /** Begins to compile a candidate. */
  compile(candidate: Candidate): void {
    for (const step of this.#stepsOf(candidate)) this.#device.pipelines.get(step.pipeline);
  }

  /** Makes a candidate ready to run. Throws a ShaderError where it does not compile. */
  async ready(candidate: Candidate): Promise<Trial> {
    const steps = this.#stepsOf(candidate);
    const pipelines = steps.map((step) => this.#device.pipelines.get(step.pipeline));
    await Promise.all(pipelines.map(({ ready }) => ready));
    const places = new Map<Node, Storage>([[this.#group.output, this.output]]);
    for (const { output } of steps.slice(0, -1)) places.set(output, this.#allocate(output));
    const dispatches = steps.map((step, i) => this.#dispatch(step, pipelines[i]!, places));
    const trialOf = (compiled: readonly Pick<Pipeline, "gpu">[]): Trial => ({
      candidate,
      encode: (pass) => dispatches.forEach((dispatch, i) => dispatch(pass, compiled[i]!.gpu!)),
      frozen: () => trialOf(compiled.map(({ gpu }) => ({ gpu }))),
    });
    return trialOf(pipelines);
  }

  #stepsOf(candidate: Candidate): Step[] {
    return stepsOfGroup(this.#group, () => candidate);
  }

  #dispatch(step: Step, pipeline: Pipeline, places: ReadonlyMap<Node, Storage>) {
    const uniforms = new Uniforms(this.#device, "tuning uniforms");
    this.#uniforms.push(uniforms);
    const blocks = uniforms.write(step.uniforms);
    const storages = step.inputs.map((node) => node.storage ?? places.get(node)!);
    const uses = step.pipeline.bindings;
    const group = bindGroup(this.#device, pipeline, uses, storages, places.get(step.output)!, blocks);
    const grid = foldGrid(step.workgroups, this.#device.limits.maxComputeWorkgroupsPerDimension);
    return (pass: GPUComputePassEncoder, gpu: GPUComputePipeline) => {
      pass.setPipeline(gpu);
      pass.setBindGroup(0, group);
      pass.dispatchWorkgroups(...grid);
    };
  }

  #allocate(node: Node): Storage {
    const storage = this.#device.buffers.allocate("tuning", node.bytes);
    this.#storages.push(storage);
    return storage;
  }

  [Symbol.dispose](): void {
    for (const storage of this.#storages.splice(0)) storage.release();
    for (const uniforms of this.#uniforms.splice(0)) uniforms.release();
  }
}
