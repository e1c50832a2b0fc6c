import { bytesOf } from "../../core/dtype.ts";
import type { Storage } from "../../gpu/buffers.ts";
import type { Device } from "../../gpu/device.ts";
import { type Call, Output } from "./call.ts";
import { choose } from "../tuning/choice.ts";
import { bindGroup, type Dispatch, Encoding } from "../../gpu/encoding.ts";
import { fuse } from "../fusion/fuse.ts";
import { exprKey } from "../expr.ts";
import { foldGrid } from "../../gpu/grid.ts";
import { Input, Leaf, type Node, type Pointwise, Scratch } from "../node.ts";
import { expectBindable, reachable, sizeOf, stepsOf, workspaceOf } from "./layout.ts";
import { LoopUniforms, type Uniforms } from "../../gpu/uniforms.ts";
import { Plan } from "./plan.ts";
import { type Step, stepsOfGroup } from "../fusion/step.ts";
import { suppliedTo } from "./weight_pager.ts";

/** Figures of the last submission. */
export interface StepStatistics {
  readonly dispatches: number;
  /** Time to fuse, encode and submit. */
  readonly encodeMs: number;
}

/**
 * The recorded, not yet submitted work of one device. What awaits flushes it: values that nothing consumed so far are
 * computed and stored; what they are computed from is fused into them.
 */
export class Stream {
  readonly #device: Device;
  /** Values to be stored at the next flush. */
  readonly #pending = new Set<Node>();
  /** Those of them that are stored even if something consumes them. */
  readonly #wanted = new Set<Node>();
  readonly #plans = new Set<Plan>();
  readonly #uniforms: LoopUniforms;
  #rehearsals = 0;
  /** Values that are made in the traces at hand, the innermost last. */
  readonly #made: Leaf[][] = [];
  /** Pointwise nodes of the trace at hand, by what they compute: equal ones are recorded once. */
  #known = new Map<string, Pointwise>();
  /** Told of every new node, e.g. a scope. */
  readonly watchers: ((node: Node) => void)[] = [];
  /** Releases that wait for the pending work, which may use what they free. */
  #releases: (() => void)[] = [];
  /** Results of a kernel's first passes: freed once its last pass, which reads them, is encoded. */
  #scratch: Storage[] = [];
  /** Work that is being submitted bit by bit, as its weights come. */
  #flight: Promise<void> | undefined;
  statistics: StepStatistics = { dispatches: 0, encodeMs: 0 };

  constructor(device: Device) {
    this.#device = device;
    this.#uniforms = new LoopUniforms(device);
    device.describeGraphs = () => [...this.#plans].map((plan) => plan.dump()).join("\n\n");
    device.losing.push(() => {
      this.#uniforms.forget();
      this.#plans.clear();
      this.#settle();
    });
    device.closing.push(() => {
      this.#pending.clear();
      this.#wanted.clear();
    });
  }

  /** Whether what is recorded does not run by itself. */
  get #tracing(): boolean {
    return this.#rehearsals > 0 || this.#made.length > 0;
  }

  /** Takes note of a new node. Its sources need no storing of their own, unless an earlier flush passed over them. */
  add(node: Node): void {
    if (this.#tracing) return;
    this.#device.assertAlive();
    this.note(node);
    for (const source of node.sources) {
      if (source.storage) continue;
      if (source.passed) this.#pending.add(source);
      else if (!this.#wanted.has(source)) this.#pending.delete(source);
    }
    this.#pending.add(node);
  }

  /** The node that stands for an equal one recorded before in this trace, else the node itself. */
  unique(node: Pointwise): Pointwise {
    if (!this.#tracing) return node;
    const operands = node.operands.map(({ node, strides, offset, window }) =>
      `${node.id}:${strides}:${offset}:${window ? Object.values(window) : ""}`
    );
    const key = [node.dtype, node.shape, node.strides, exprKey(node.expr), node.scalars, ...operands].join(
      ";",
    );
    const known = this.#known.get(key);
    if (!known) this.#known.set(key, node);
    return known ?? node;
  }

  /** Tells the watchers of a new node. What is made in a trace belongs to the trace. */
  note(node: Node): void {
    const made = this.#made.at(-1);
    if (!made) { for (const watch of this.watchers) watch(node); }
    else if (node instanceof Leaf) made.push(node);
  }

  /** Frees something once the work recorded so far is submitted: a release is a command like any other. */
  afterSubmit(release: () => void): void {
    if (this.#pending.size === 0 && !this.#flight) release();
    else this.#releases.push(release);
  }

  /** Makes sure that the next flush stores a node. */
  want(node: Node): void {
    if (this.#tracing || node.storage) return;
    this.#pending.add(node);
    this.#wanted.add(node);
  }

  /** Makes a plan of what `trace` records; nothing recorded in it runs by itself. */
  trace(label: string, inputs: readonly Leaf[], trace: () => readonly Node[]): Plan {
    this.#known.clear();
    const made: Leaf[] = [];
    try {
      const outputs = this.#collecting(made, trace);
      const plan = new Plan(this.#device, label, inputs, outputs, made);
      this.#plans.add(plan);
      return plan;
    } catch (error) {
      free(made);
      throw error;
    }
  }

  /** Runs `trace` for its checks and shapes only. */
  rehearse<T>(trace: () => T): T {
    this.#rehearsals++;
    try {
      return trace();
    } finally {
      this.#rehearsals--;
    }
  }

  /** Bytes that a run of what `trace` records takes beside its weights. Throws where it must run, and the adapter cannot. */
  measure(inputs: readonly Leaf[], trace: () => readonly Node[], mustRun = false): number {
    this.#known.clear();
    const made: Leaf[] = [];
    try {
      const outputs = this.#collecting(made, trace);
      const steps = stepsOf(this.#device, outputs);
      if (mustRun) expectBindable(this.#device, steps.map(({ output }) => output));
      return workspaceOf(this.#device, steps, inputs, outputs);
    } finally {
      free(made);
    }
  }

  #collecting<T>(made: Leaf[], trace: () => T): T {
    this.#made.push(made);
    try {
      return trace();
    } finally {
      this.#made.pop();
    }
  }

  /** Frees a plan once the work that uses it is submitted. */
  drop(plan: Plan): void {
    this.#plans.delete(plan);
    this.afterSubmit(() => plan.release());
  }

  /** Waits for pipelines that pending work needs, then submits all of it. Does not wait for the GPU. */
  async flush(): Promise<void> {
    let schedule: (Step | Call)[];
    try {
      while (true) {
        while (this.#flight) await this.#flight.catch(() => {}); // whoever began it is told
        schedule = this.#schedule();
        const waiting = schedule.flatMap((work) =>
          "plan" in work ? work.plan.preparing : this.#compiling(work)
        );
        if (waiting.length === 0) break;
        await Promise.all(waiting);
      }
    } catch (error) {
      this.#settle(); // else every later flush would meet the same error
      throw error;
    }
    if (this.#pending.size === 0) return this.#settle();
    if (!schedule.some((work) => "plan" in work ? work.plan.isStreamed : suppliedTo(work).length > 0)) {
      return this.#submit(schedule);
    }
    this.#flight = this.#stream(schedule);
    try {
      await this.#flight;
    } finally {
      this.#flight = undefined;
      if (this.#pending.size === 0) this.#settle(); // releases that came meanwhile
    }
  }

  /** Forgets the pending work, done or failed, and runs the releases that waited for it. */
  #settle(): void {
    this.#pending.clear();
    this.#wanted.clear();
    for (const release of this.#releases.splice(0)) release();
  }

  #submit(schedule: readonly (Step | Call)[]): void {
    this.#device.assertAlive();
    const start = performance.now();
    const nodes = reachable(this.#pending);
    const encoding = new Encoding(this.#device);
    const uniforms = this.#uniforms.write(schedule.flatMap((work) => "plan" in work ? [] : work.uniforms));
    try {
      for (const work of schedule) {
        if ("plan" in work) this.#encodeCall(encoding, work);
        else this.#encodeStep(encoding, work, uniforms);
      }
    } finally {
      encoding.submit(); // after a failure too: what was encoded counts as computed
      this.#settle();
    }
    for (const node of nodes) node.passed = !node.storage;
    this.statistics = { dispatches: encoding.dispatches, encodeMs: performance.now() - start };
  }

  /** Submits work bit by bit, as the weights come that do not stay in memory. More may be recorded meanwhile. */
  async #stream(schedule: readonly (Step | Call)[]): Promise<void> {
    this.#device.assertAlive();
    const nodes = reachable(this.#pending);
    const releases = this.#releases.splice(0);
    this.#pending.clear();
    this.#wanted.clear();
    const uniforms = this.#uniforms.write(schedule.flatMap((work) => "plan" in work ? [] : work.uniforms));
    let encoding = new Encoding(this.#device);
    const submit = () => {
      encoding.submit();
      encoding = new Encoding(this.#device);
    };
    try {
      for (const work of schedule) {
        if ("plan" in work && work.plan.isStreamed) {
          submit();
          const values = work.inputs.map(liveStorage);
          const results = await work.plan.stream(values, values.map((value) => String(value.id)));
          results.forEach((storage, i) => this.#store(work.outputs[i]!, storage));
        } else if ("plan" in work) this.#encodeCall(encoding, work);
        else {
          const leaves = suppliedTo(work);
          if (leaves.length) submit(); // while weights come, finalizers free what else nobody holds any more
          const places = leaves.map((leaf) => this.#device.buffers.allocate(leaf.label, sizeOf(leaf)));
          for (const [i, leaf] of leaves.entries()) await leaf.supply!.fill(leaf, places[i]!);
          leaves.forEach((leaf, i) => leaf.storage = places[i]);
          this.#encodeStep(encoding, work, uniforms);
          for (const leaf of leaves) leaf.storage = undefined;
          if (leaves.length) submit();
          for (const place of places) place.release();
        }
      }
    } finally {
      encoding.submit();
      for (const release of releases) release();
    }
    for (const node of nodes) node.passed = !node.storage;
  }

  #compiling(step: Step): Promise<void>[] {
    const pipeline = this.#device.pipelines.get(step.pipeline);
    return pipeline.gpu ? [] : [pipeline.ready];
  }

  /** Pending work in order: single steps, and calls of plans. */
  #schedule(): (Step | Call)[] {
    const nodes = reachable(this.#pending);
    const calls = new Set(nodes.flatMap((node) => node instanceof Output ? node.call : []));
    const arguments_ = [...calls].flatMap((call) => call.inputs);
    const kept = new Set([...this.#pending, ...arguments_]);
    const own = nodes.filter((node) => !(node instanceof Output));
    const maxBuffers = this.#device.limits.maxStorageBuffersPerShaderStage;
    const steps = fuse(own, kept, maxBuffers).map((group) => ({
      order: group.output.id,
      work: stepsOfGroup(group, (kernel) => choose(this.#device, kernel)),
    }));
    return [...steps, ...[...calls].map((call) => ({ order: call.outputs[0]!.id, work: [call] }))]
      .sort((a, b) => a.order - b.order).flatMap(({ work }): (Step | Call)[] => work);
  }

  #encodeStep(encoding: Encoding, step: Step, uniforms: Uniforms): void {
    const { output, record } = step;
    const pipeline = this.#device.pipelines.get(step.pipeline);
    const storage = this.#device.buffers.allocate(record.kernel, output.count * bytesOf(output.dtype));
    const reads = step.inputs.map((node) => liveStorage(node));
    const blocks = step.uniforms.map(() => uniforms.next());
    const group = bindGroup(this.#device, pipeline, step.pipeline.bindings, reads, storage, blocks);
    const workgroups = foldGrid(step.workgroups, this.#device.limits.maxComputeWorkgroupsPerDimension);
    const dispatch: Dispatch = { pipeline, group, workgroups, record };
    if (output.count > 0) encoding.dispatch(dispatch);
    if (output instanceof Scratch) this.#scratch.push(storage);
    else for (const scratch of this.#scratch.splice(0)) encoding.afterSubmit(() => scratch.release());
    this.#store(output, storage);
  }

  #encodeCall(encoding: Encoding, call: Call): void {
    const values = call.inputs.map((node) => liveStorage(node));
    const results = call.plan.encode(encoding, values, values.map((value) => String(value.id)));
    results.forEach((storage, i) => this.#store(call.outputs[i]!, storage));
  }

  #store(node: Node, storage: Storage): void {
    node.storage = storage;
    node.retire();
  }
}

function free(made: readonly Leaf[]): void {
  for (const leaf of made) leaf.storage?.release();
}

function liveStorage(node: Node): Storage {
  if (!node.storage && node instanceof Input) {
    throw new Error(
      "Cannot read what is recorded in a model's trace: it has values within the calls only; ask for it by taps",
    );
  }
  if (!node.storage && node instanceof Leaf) {
    throw new Error(`Cannot read "${node.label}": its model is not in memory; await its load() first`);
  }
  if (!node.storage) throw new Error("Cannot submit: a value is used before it was computed");
  if (node.storage.released) {
    throw new Error("Cannot use a tensor that was disposed; keep it with scope.keep()");
  }
  return node.storage;
}

const streams = new WeakMap<Device, Stream>();

/** The stream of a device. */
export function streamOf(device: Device): Stream {
  let stream = streams.get(device);
  if (!stream) streams.set(device, stream = new Stream(device));
  return stream;
}
