import { type Device, scope, type Storage } from "denoise";
import { reachable } from "../../src/graph/fusion/fuse.ts";
import { Leaf, type Node } from "../../src/graph/node.ts";
import { Call, Output } from "../../src/graph/run/call.ts";
import { Plan } from "../../src/graph/run/plan.ts";
import { streamOf } from "../../src/graph/run/stream.ts";
import { type Problem, problemOf } from "../../src/graph/tuning/bench.ts";
import type { Sample } from "../../src/graph/tuning/check.ts";
import { watchKernels } from "../../src/graph/tuning/choice.ts";
import { pipelineFacts } from "../inspect/find_model.ts";
import { keyOf, type Origin } from "../kernel/works.ts";
import { type Call as UsualCall, usualCall } from "../profile/calls.ts";
import { openModel, type Subject } from "../profile/subject.ts";
import type { GroupedKernel } from "../tune/measure.ts";

/** A run of a plan, with the values that it was given. */
interface PlanCall {
  readonly plan: Plan;
  readonly inputs: readonly Node[];
}

/**
 * A model with its weights, at the call that pipelines make of it: which kernels it runs, the values that
 * they get, and its result with the shaders as they are.
 */
export class LoadedModel implements Disposable {
  readonly #device: Device;
  readonly #subject: Subject;
  readonly #call: UsualCall;
  #kernels: readonly GroupedKernel[] = [];
  #calls: readonly PlanCall[] = [];
  #turn = 1;

  private constructor(device: Device, subject: Subject, call: UsualCall) {
    this.#device = device;
    this.#subject = subject;
    this.#call = call;
  }

  /** Loads a model, or a part of a pipeline: by default its UNet or transformer. */
  static async open(
    device: Device,
    target: string,
    { part, size, dtype, quantize }: Omit<Origin, "model" | "shape">,
  ): Promise<LoadedModel> {
    const subject = await openModel(device, target, { part, size, dtype, quantize });
    try {
      const call = usualCall(subject.models[0]!, size, await pipelineFacts(target, {}));
      const loaded = new LoadedModel(device, subject, call);
      loaded.#trace();
      return loaded;
    } catch (error) {
      subject[Symbol.dispose]();
      throw error;
    }
  }

  /** Its class, and what it is called with. */
  get work(): string {
    return `${this.#subject.className} ${this.#subject.work}`;
  }

  /** The kernels of its call, in order, with what is fused into them. */
  get problems(): Problem[] {
    return this.#kernels.map(({ kernel, group }) => problemOf(kernel, group));
  }

  /** Traces the call anew, and takes note of its kernels and of the values that it is made with. */
  #trace(): void {
    const stream = streamOf(this.#device);
    const [kernels, calls]: [GroupedKernel[], Map<Call, PlanCall>] = [[], new Map()];
    const note = (node: Node) => {
      if (node instanceof Output) {
        calls.set(node.call, { plan: node.call.plan, inputs: [...node.call.inputs] });
      }
    };
    for (const model of this.#subject.models) model.retrace();
    using _watch = watchKernels(this.#device, (kernel, group) => kernels.push({ kernel, group }));
    stream.watchers.push(note);
    try {
      this.#call.record(0);
    } finally {
      stream.watchers.splice(stream.watchers.indexOf(note), 1);
    }
    this.#kernels = kernels;
    this.#calls = [...calls.values()];
  }

  /**
   * The values that a kernel gets in the call, in the order of `readsOf`; of several that are equal, the
   * first one's. They come from a run of the same plan that hands them out beside its results: what a kernel
   * reads lies in memory anyway, so that nothing is computed otherwise.
   */
  async inputsOf(problem: Problem): Promise<RecordedInputs> {
    const wanted = keyOf(problem);
    const { kernel, group } = this.#kernels.find(({ kernel, group }) =>
      keyOf(problemOf(kernel, group)) === wanted
    )!;
    const { plan, inputs } = this.#calls.find(({ plan }) => reachable(plan.outputs).includes(kernel))!;
    const read = [
      ...kernel.spec.inputs.map(({ node }) => node),
      ...group.operands.map(({ node }) => node).filter((node) => node !== kernel),
    ];
    const streamed = read.find((node) => node instanceof Leaf && node.pager) as Leaf | undefined;
    if (streamed) {
      throw new Error(
        `Cannot record the inputs of ${problem.name}: "${streamed.label}" is streamed from the disk; take a smaller model`,
      );
    }
    const computed = [...new Set(read.filter((node) => !node.storage))];
    const stream = streamOf(this.#device);
    const made = new DisposableStack();
    const probe = new Plan(
      this.#device,
      "recorded inputs",
      plan.inputs,
      [...plan.outputs, ...computed],
      made,
    );
    try {
      const { outputs } = new Call(probe, inputs, "");
      for (const node of outputs) stream.add(node);
      await stream.flush();
      await this.#device.idle();
      for (const { storage } of outputs.slice(0, plan.outputs.length)) storage!.release();
      const copies = new Map(
        outputs.slice(plan.outputs.length).map((node, i) => [computed[i]!, node.storage!]),
      );
      return new RecordedInputs(read.map((node) => node.storage ?? copies.get(node)!), [...copies.values()]);
    } finally {
      probe.release();
    }
  }

  /**
   * One more call, with other values than the one before: milliseconds by the clock until the GPU is done
   * with it.
   */
  async time(): Promise<number> {
    using _made = scope();
    const start = performance.now();
    this.#call.record(this.#turn++);
    await streamOf(this.#device).flush();
    await this.#device.idle();
    return performance.now() - start;
  }

  /** Its result with the values of the first call. */
  async result(): Promise<Sample> {
    using _made = scope();
    return { starts: [0], pieces: [await this.#call.record(0).data()] };
  }

  /** Gives the model's memory back. */
  [Symbol.dispose](): void {
    this.#subject[Symbol.dispose]();
  }
}

/** Values that a kernel reads. Disposing them frees those that are no weights. */
export class RecordedInputs implements Disposable {
  readonly #copies: readonly Storage[];

  constructor(readonly storages: readonly Storage[], copies: readonly Storage[]) {
    this.#copies = copies;
  }

  [Symbol.dispose](): void {
    for (const storage of this.#copies) storage.release();
  }
}
