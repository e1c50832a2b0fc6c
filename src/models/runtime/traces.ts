import { formatShape, sameNumbers, type Shape, usualStrides } from "../../core/shape.ts";
import type { Device } from "../../gpu/device.ts";
import { Call } from "../../graph/run/call.ts";
import { Input, type Leaf, type Node } from "../../graph/node.ts";
import type { Plan } from "../../graph/run/plan.ts";
import { streamOf } from "../../graph/run/stream.ts";
import { currentPath, release, retain, scope, Tensor } from "../../tensor/mod.ts";
import type { Scales } from "./lora/scales.ts";
import type { Edits } from "./edits.ts";

/** Named tensors that go into, or come out of, a traced function. */
export type Tensors = Record<string, Tensor>;

/** A call of a pure function of tensors. */
export interface TracedCall {
  /** All that the trace depends on, except for the inputs' shapes and the taps; it begins with the entry point's name. */
  readonly key: string;
  readonly inputs: Tensors;
  readonly fn: (inputs: Tensors) => Tensors;
  /** Paths of parts whose results are wanted too. */
  readonly taps: readonly string[];
}

/** The function's results by name, then those of the taps by path. */
export type Results = [name: string, Tensor][];

/** Inputs by name, those of adapters and edits among them, as a trace takes them. */
type Values = readonly (readonly [name: string, Tensor])[];

/** A plan, and the places of the results among its outputs. */
interface Trace {
  readonly plan: Plan;
  readonly outputs: readonly { name: string; shape: Shape; strides: readonly number[] }[];
}

/** Effect of a call: it runs, is measured, is checked against what the adapter can do, or takes its memory. */
type Mode = "run" | "measure" | "expect" | "reserve";

/** Traces that a model keeps: more than a run needs of one, few enough for a server that is asked for every size. */
const MOST = 32;

/** The traces of a model's functions, by what they depend on: those that were used last. */
export class Traces {
  readonly #device: Device;
  readonly #label: string;
  readonly #scales: Scales;
  readonly #edits: Edits;
  readonly #traces = new Map<string, Trace>();
  readonly #views = new DenseViews();
  #mode: Mode = "run";
  #workspace = 0;
  /** Bytes of the calls that were measured, by what their traces depend on, and of what is kept beside them. */
  readonly #measured = new Map<string, number>();

  /** For a model that is called `label`, with these scales of LoRAs and edits. */
  constructor(device: Device, label: string, scales: Scales, edits: Edits) {
    this.#device = device;
    this.#label = label;
    this.#scales = scales;
    this.#edits = edits;
  }

  /** True if calls run, and are not only measured or prepared for. */
  get isRunning(): boolean {
    return this.#mode === "run";
  }

  /** Bytes of the largest call so far, without the weights. */
  get workspace(): number {
    return this.#workspace;
  }

  /** Bytes of all traces that the calls in `work` need, without the weights. Nothing runs. */
  measure(work: () => unknown): number {
    this.#measured.clear();
    this.dryRun("measure", work);
    const bytes = this.#measured.values().reduce((a, b) => a + b, 0);
    this.#workspace = Math.max(this.#workspace, bytes);
    return bytes;
  }

  /** Adds to what is measured the bytes that calls leave for later ones. */
  countBeside(bytes: number): void {
    this.#measured.set(`beside ${this.#measured.size}`, bytes);
  }

  /** Does something else with the calls in `work` than to run them. */
  dryRun(mode: Exclude<Mode, "run">, work: () => unknown): void {
    this.#mode = mode;
    using _made = scope();
    try {
      streamOf(this.#device).dryRun(work);
    } finally {
      this.#mode = "run";
    }
  }

  /** Takes a call: where it does not run, its results have their shapes, but no values. */
  take(call: TracedCall, isLoaded: boolean): Results {
    if (this.#mode === "run") return this.#run(call);
    return this.#mode === "reserve" && isLoaded ? this.#reserve(call) : this.#measure(call);
  }

  /** Traces a call that does not run. */
  prepare(call: TracedCall): void {
    this.#traceOf(call, this.#valuesOf(call.inputs));
  }

  /** Forgets all traces, or those of one key. */
  forget(key?: string): void {
    const stream = streamOf(this.#device);
    for (const [id, { plan }] of this.#traces) {
      if (key !== undefined && !id.startsWith(`${key}; `)) continue;
      stream.drop(plan);
      this.#traces.delete(id);
    }
    this.#views.clear();
  }

  #run(call: TracedCall): Results {
    const values = this.#valuesOf(call.inputs, this.#views);
    const trace = this.#traceOf(call, values);
    const { outputs } = new Call(trace.plan, values.map(([, x]) => x.node), currentPath());
    const stream = streamOf(this.#device);
    for (const output of outputs) stream.add(output);
    return this.#resultsOf(trace, outputs);
  }

  #reserve(call: TracedCall): Results {
    const trace = this.#traceOf(call, this.#valuesOf(call.inputs));
    trace.plan.reserve();
    return this.#resultsOf(trace, trace.plan.outputs);
  }

  #measure(call: TracedCall): Results {
    const values = this.#valuesOf(call.inputs);
    const { leaves, results, record } = this.#recording(call, values);
    const bytes = streamOf(this.#device).measure(leaves, record, this.#mode === "expect");
    this.#measured.set(idOf(call, values), bytes);
    return results;
  }

  #resultsOf({ outputs }: Trace, nodes: readonly Node[]): Results {
    return outputs.map(({ name, shape, strides }, i) => [
      name,
      new Tensor(this.#device, nodes[i]!, shape, strides, 0),
    ]);
  }

  #valuesOf(inputs: Tensors, views?: DenseViews): Values {
    const all = Object.entries({ ...inputs, ...this.#scales.inputs, ...this.#edits.inputs });
    return all.map(([name, x]) => {
      const strides = usualStrides(x.shape);
      return [name, views ? views.of(name, x, strides) : x.contiguous(strides)] as const;
    });
  }

  #traceOf(call: TracedCall, values: Values): Trace {
    const id = idOf(call, values);
    const trace = this.#traces.get(id) ?? this.#record(call, values);
    this.#traces.delete(id);
    this.#traces.set(id, trace); // behind those that were used before
    if (this.#traces.size > MOST) {
      const [oldest, { plan }] = this.#traces.entries().next().value!;
      this.#traces.delete(oldest);
      streamOf(this.#device).drop(plan);
    }
    return trace;
  }

  #record(call: TracedCall, values: Values): Trace {
    const { leaves, results, record } = this.#recording(call, values);
    const plan = streamOf(this.#device).trace(this.#label, leaves, record);
    this.#workspace = Math.max(this.#workspace, plan.bytes);
    return { plan, outputs: results.map(([name, { shape, strides }]) => ({ name, shape, strides })) };
  }

  /** A trace that is about to be recorded: its inputs, the function to record, and its results afterwards. */
  #recording({ fn, taps }: TracedCall, values: Values): {
    leaves: Leaf[];
    results: Results;
    record: () => Node[];
  } {
    const leaves = values.map(([name, { shape, dtype, size }]) =>
      new Input(dtype, size, name, undefined, { shape, strides: usualStrides(shape) })
    );
    const inputs = Object.fromEntries(values.map(([name, x], i) => {
      return [name, new Tensor(this.#device, leaves[i]!, x.shape, usualStrides(x.shape), 0)];
    }));
    const results: Results = [];
    const record = () => {
      const run = () => this.#scales.during(inputs, () => fn(inputs));
      const { result, tapped } = this.#edits.during(inputs, taps, run);
      for (const [name, y] of [...Object.entries(result), ...tapped]) {
        results.push([name, y.cast("f32").contiguous(usualStrides(y.shape))]);
      }
      return results.map(([, y]) => y.node);
    };
    return { leaves, results, record };
  }
}

/** All that the trace of a call depends on. */
function idOf({ key, taps }: TracedCall, values: Values): string {
  const shapes = values.map(([name, x]) => `${name} ${formatShape(x.shape)} ${x.dtype}`);
  return [key, ...shapes, ...taps.map((path) => `tap ${path}`)].join("; ");
}

/**
 * Dense copies of the views that a model was given last, by the names of its inputs: a view that comes again, such as
 * one prompt's rows of embeddings, is the same value to a plan, which then leaves out what depends on it alone.
 */
class DenseViews {
  readonly #copies = new Map<string, { view: Tensor; copy: Tensor }>();

  /** A tensor as it is where it is dense, else a copy with these strides. */
  of(name: string, x: Tensor, strides: readonly number[]): Tensor {
    const known = this.#copies.get(name);
    if (known && isSame(known.view, x) && !x.node.storage?.released) return known.copy;
    this.#forget(name);
    if (x.isDense(strides)) return x;
    const copy = retain(x.contiguous(strides));
    this.#copies.set(name, { view: x, copy });
    return copy;
  }

  /** Gives the copies' memory back. */
  clear(): void {
    for (const name of this.#copies.keys()) this.#forget(name);
  }

  #forget(name: string): void {
    const known = this.#copies.get(name);
    if (!known) return;
    release(known.copy);
    this.#copies.delete(name);
  }
}

function isSame(a: Tensor, b: Tensor): boolean {
  return a.node === b.node && a.offset === b.offset && sameNumbers(a.shape, b.shape) &&
    sameNumbers(a.strides, b.strides);
}
