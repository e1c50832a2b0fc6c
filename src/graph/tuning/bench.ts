import type { Storage } from "../../gpu/memory/buffers.ts";
import type { Device } from "../../gpu/device.ts";
import type { Pipeline } from "../../gpu/shader/pipelines.ts";
import { Uniforms } from "../../gpu/memory/uniforms.ts";
import type { DType, PlainDType } from "../../core/dtype.ts";
import { bindGroup } from "../../gpu/encoding.ts";
import { fill } from "./fill.ts";
import { valueGroup } from "../fusion/fuse.ts";
import { foldGrid } from "../../gpu/shader/grid.ts";
import { type Candidate, Kernel, type KernelSpec, Leaf, type Node } from "../node.ts";
import { type Step, stepsOfGroup } from "../fusion/step.ts";

/** A kernel on one shape, without the values that it was recorded with. */
export interface Problem extends Omit<KernelSpec, "inputs"> {
  /** Types and numbers of elements of its inputs. */
  readonly reads: readonly { readonly dtype: DType; readonly count: number }[];
  /** Type of the output. */
  readonly dtype: PlainDType;
  /** Elements of the output. */
  readonly count: number;
  /** Module path of the first kernel of this kind. */
  readonly path: string;
}

/** The problem that a kernel solves, without its values. */
export function problemOf({ spec, dtype, count, path }: Kernel): Problem {
  const { inputs, ...rest } = spec;
  const reads = inputs.map(({ node }) => ({ dtype: node.dtype, count: node.count }));
  return { ...rest, reads, dtype: dtype as PlainDType, count, path };
}

/** Words for a problem's shape: the kernel's axes and types. */
export function shapeOf({ axes, reads, dtype }: Problem): string {
  return `${axes.join("×")} from ${reads.map((read) => read.dtype).join(", ")} to ${dtype}`;
}

/** Bytes of a bench for a problem, without those that single candidates need. */
export function benchBytes({ reads, dtype, count }: Problem): number {
  const sizes = [...reads, { dtype, count }].map(({ dtype, count }) => new Leaf(dtype, count, "").bytes);
  return sizes.reduce((sum, bytes) => sum + bytes, 0);
}

/** A candidate with its memory: may be encoded any number of times. */
export interface Trial {
  readonly candidate: Candidate;
  encode(pass: GPUComputePassEncoder): void;
  /** The same memory with the shaders as they are now, whatever replaces them later. */
  frozen(): Trial;
}

/** One problem in memory, with seeded inputs, on which candidates take turns. Disposing it frees all memory. */
export class Bench implements Disposable {
  readonly #device: Device;
  readonly #kernel: Kernel;
  readonly #storages: Storage[] = [];
  readonly #uniforms: Uniforms[] = [];
  private constructor(device: Device, problem: Problem) {
    this.#device = device;
    const { reads, dtype, count, path } = problem;
    const inputs = reads.map((read, i) => {
      const node = new Leaf(read.dtype, read.count, `tuning input ${i}`);
      return { node, shape: [read.count], strides: [1], offset: 0 };
    });
    this.#kernel = new Kernel(dtype, count, path, { ...problem, inputs });
  }

  /** Memory of the candidates' results. */
  get output(): Storage {
    return this.#kernel.storage!;
  }

  /** Takes memory and fills the inputs. */
  static async open(device: Device, problem: Problem): Promise<Bench> {
    const bench = new Bench(device, problem);
    try {
      for (const node of [...bench.#kernel.sources, bench.#kernel]) node.storage = bench.#allocate(node);
      for (const [i, { storage, dtype }] of bench.#kernel.sources.entries()) {
        await fill(device, storage!, dtype, i + 1);
      }
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
    const places = new Map<Node, Storage>([[this.#kernel, this.output]]);
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
    const { axes, strides } = this.#kernel.spec;
    const group = { ...valueGroup(this.#kernel, axes, strides), kernel: this.#kernel };
    return stepsOfGroup(group, () => candidate);
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
