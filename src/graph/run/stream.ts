import type { Device } from "../../gpu/device.ts";
import { Encoding } from "../../gpu/encoding.ts";
import { Uniforms } from "../../gpu/memory/uniforms.ts";
import { describeGraphs } from "../dump/describe.ts";
import { fuse, reachable } from "../fusion/fuse.ts";
import type { Leaf, Node, Pointwise } from "../node.ts";
import { type Checked, FiniteCheck } from "../check/finite.ts";
import { Call, Output } from "./call.ts";
import { EagerGroup } from "./eager.ts";
import { expectBindable, stepsOf, workspaceOf } from "./layout.ts";
import { Plan } from "./plan.ts";
import { Tracing } from "./tracing.ts";
import type { Work } from "./work.ts";

/** Figures of the last flush that submitted something. */
export interface StepStatistics {
  readonly dispatches: number;
  /** Time to encode and submit, and to read streamed weights. */
  readonly encodeMs: number;
}

const UNIFORM_BYTES = 65536; // those of hundreds of dispatches

/**
 * The recorded, not yet submitted work of one device. What awaits flushes it: values that nothing consumed so far are
 * computed and stored; what they are computed from is fused into them.
 */
export class Stream {
  readonly #device: Device;
  readonly #tracing = new Tracing();
  readonly #plans = new Set<Plan>();
  /** Uniforms of groups that run by themselves. */
  readonly #uniforms: Uniforms;
  /** Values to be stored at the next flush. */
  readonly #pending = new Set<Node>();
  /** Those of them that are stored even if something consumes them. */
  readonly #wanted = new Set<Node>();
  /** Frees what the pending work may use. */
  #releases: (() => void)[] = [];
  /** The flush that is under way while streamed weights are read. */
  #flight: Promise<void> | undefined;
  readonly #check: FiniteCheck | undefined;
  /** Told of every new node, e.g. a scope. */
  readonly watchers: ((node: Node) => void)[] = [];
  statistics: StepStatistics = { dispatches: 0, encodeMs: 0 };

  constructor(device: Device) {
    this.#device = device;
    this.#uniforms = new Uniforms(device, "loop uniforms", UNIFORM_BYTES);
    this.#check = device.check && new FiniteCheck(device);
    device.describeGraphs = (form) => describeGraphs([...this.#plans].map((plan) => plan.graph()), form);
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

  /** The traced functions that were not dropped. */
  get plans(): readonly Plan[] {
    return [...this.#plans];
  }

  /** Takes note of a new node. Its sources need no storing of their own, unless an earlier flush passed over them. */
  add(node: Node): void {
    if (this.#tracing.isOpen) return;
    this.#device.assertAlive();
    this.note(node);
    this.#device.marks?.note(node.id);
    for (const source of node.sources) {
      if (source.storage) continue;
      if (source.passed) this.#pending.add(source);
      else if (!this.#wanted.has(source)) this.#pending.delete(source);
    }
    this.#pending.add(node);
  }

  /** The node that stands for an equal one recorded before in the trace at hand, else the node itself. */
  unique(node: Pointwise): Pointwise {
    return this.#tracing.unique(node);
  }

  /** Tells the watchers of a new node. What is made in a trace belongs to the trace. */
  note(node: Node): void {
    if (this.#tracing.takes(node)) return;
    for (const watch of this.watchers) watch(node);
  }

  /** Makes sure that the next flush stores a node. */
  want(node: Node): void {
    if (this.#tracing.isOpen || node.storage) return;
    this.#pending.add(node);
    this.#wanted.add(node);
  }

  /** Frees something once the work recorded so far is submitted: a release is a command like any other. */
  afterSubmit(release: () => void): void {
    if (this.#pending.size === 0 && !this.#flight) release();
    else this.#releases.push(release);
  }

  /** Makes a plan of what `record` records; nothing recorded in it runs by itself. */
  trace(label: string, inputs: readonly Leaf[], record: () => readonly Node[]): Plan {
    using made = new DisposableStack();
    const outputs = this.#tracing.trace(made, record);
    const plan = new Plan(this.#device, label, inputs, outputs, made);
    this.#plans.add(plan);
    return plan;
  }

  /** Runs `record` for its checks and shapes only. */
  dryRun<T>(record: () => T): T {
    return this.#tracing.dryRun(record);
  }

  /** Bytes, without the weights, for a run of what `record` records. Throws where it must run, and the adapter cannot. */
  measure(inputs: readonly Leaf[], record: () => readonly Node[], mustRun = false): number {
    using made = new DisposableStack();
    const outputs = this.#tracing.trace(made, record);
    const steps = stepsOf(this.#device, outputs);
    if (mustRun) expectBindable(this.#device, steps.map(({ output }) => output));
    return workspaceOf(this.#device, steps, inputs, outputs);
  }

  /** Frees a plan once the work that uses it is submitted. */
  drop(plan: Plan): void {
    this.#plans.delete(plan);
    this.afterSubmit(() => plan.release());
  }

  /** Waits for what pending work needs, then submits all of it. Does not wait for the GPU. */
  async flush(): Promise<void> {
    let works: Work[];
    try {
      while (true) {
        while (this.#flight) await this.#flight.catch(() => {}); // its error goes to the caller who began it
        const start = performance.now();
        works = this.#schedule();
        const preparing = works.flatMap((work) => work.preparing);
        if (this.#check) preparing.push(...this.#check.preparing);
        const fused = performance.now();
        this.#device.spend("fuse", start, fused);
        if (preparing.length === 0) break;
        await Promise.all(preparing);
        this.#device.spend("prepare", fused, performance.now());
      }
    } catch (error) {
      this.#settle(); // else every later flush would meet the same error
      throw error;
    }
    if (this.#pending.size === 0) return this.#settle();
    this.#flight = this.#run(works);
    try {
      await this.#flight;
    } finally {
      this.#flight = undefined;
      if (this.#pending.size === 0) this.#settle(); // releases that were asked for meanwhile
    }
  }

  /** Forgets the pending work, done or failed, and runs the releases that waited for it. */
  #settle(): void {
    this.#pending.clear();
    this.#wanted.clear();
    for (const release of this.#releases.splice(0)) release();
  }

  /** Pending work in order. */
  #schedule(): Work[] {
    const nodes = reachable(this.#pending);
    const calls = [...new Set(nodes.flatMap((node) => node instanceof Output ? node.call : []))];
    const kept = new Set([...this.#pending, ...calls.flatMap((call) => call.inputs)]);
    const own = nodes.filter((node) => !(node instanceof Output));
    const groups = fuse(own, kept, this.#device.limits.maxStorageBuffersPerShaderStage);
    const works = [...groups.map((group) => new EagerGroup(this.#device, group)), ...calls];
    return works.sort((a, b) => a.id - b.id);
  }

  /** Submits work: at once or, where weights are streamed, chunk by chunk as they are read. More may be recorded meanwhile. */
  async #run(works: readonly Work[]): Promise<void> {
    this.#device.assertAlive();
    const { hostTimes, marks } = this.#device;
    const start = performance.now();
    const submitted = hostTimes.submit;
    const nodes = reachable(this.#pending);
    const uniforms = this.#uniforms.write(works.flatMap((work) => work.uniforms)).values();
    const releases = this.#releases.splice(0);
    this.#pending.clear();
    this.#wanted.clear();
    const check = this.#check;
    const encoding = new Encoding(this.#device, check !== undefined);
    const unchecked: Checked[] = [];
    try {
      for (const work of works) {
        marks?.enter(work.id);
        for (const fetch of work.encode(encoding, uniforms)) {
          encoding.submit(); // while streamed weights are read, finalizers free other values that nobody holds
          await fetch();
        }
        if (!check) continue;
        unchecked.push({ work, stretch: marks?.current });
        const isWhole = work instanceof Call || work === works.at(-1); // a later call may overwrite what this one has
        if (isWhole) await check.verify(unchecked.splice(0), encoding);
      }
    } finally {
      encoding.submit(); // after a failure too: what was encoded counts as computed
      encoding.free();
      for (const release of releases) release();
    }
    for (const node of nodes) node.passed = !node.storage;
    const end = performance.now();
    this.#device.spend("encode", start, end, hostTimes.submit - submitted);
    this.statistics = { dispatches: encoding.dispatches, encodeMs: end - start };
  }
}

/** The stream of a device. */
export function streamOf(device: Device): Stream {
  return device.attached(Stream);
}
