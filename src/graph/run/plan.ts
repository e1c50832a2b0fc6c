import { Bar } from "../../core/bar.ts";
import type { Storage } from "../../gpu/memory/buffers.ts";
import type { Device } from "../../gpu/device.ts";
import { bindGroup, type Dispatch, type Encoding } from "../../gpu/encoding.ts";
import { foldGrid } from "../../gpu/shader/grid.ts";
import type { Pipeline } from "../../gpu/shader/pipelines.ts";
import { Uniforms } from "../../gpu/memory/uniforms.ts";
import type { Group } from "../fusion/fuse.ts";
import type { Step } from "../fusion/step.ts";
import { type Graph, graphOf } from "../dump/graph.ts";
import type { Leaf, Node, WeightPager } from "../node.ts";
import { Counts, type Ran } from "../check/counts.ts";
import type { Problem } from "../tuning/bench.ts";
import { isMeasured, tune, unmeasured } from "../tuning/tuner.ts";
import { type Chunk, chunksOf } from "./chunks.ts";
import {
  dependencies,
  groupsOf,
  keptResults,
  layOut,
  liveBytes,
  stepsOfGroups,
  workspaceOf,
} from "./layout.ts";
import type { Fetch } from "./work.ts";
import { type PlacedValue, Workspace } from "./workspace.ts";

/** The memory of a plan. */
export interface PlanMemory {
  /** As the plan's. */
  readonly label: string;
  /** Bytes of each buffer. */
  readonly arenas: readonly number[];
  /** The results of its steps. */
  readonly values: readonly PlacedValue[];
}

/** Dispatches that are ready to be encoded. */
interface Bound {
  /** One for each step. */
  readonly dispatches: readonly Dispatch[];
  readonly chunks: readonly Chunk[];
  readonly uniforms: Uniforms;
  /** For each step, whether it runs although the inputs that were constant so far stayed the same. */
  readonly changing: readonly boolean[];
  /** On devices that check: its dispatches with their memory, and what counts in their results. */
  readonly ran: readonly Ran[];
  readonly counts: Counts | undefined;
}

/**
 * A traced function made ready: its dispatches with all memory planned and bound. Steps whose inputs have not changed
 * since the last run are left out.
 */
export class Plan {
  readonly #device: Device;
  readonly #groups: readonly Group[];
  #steps: Step[] = [];
  /** For each step; empty while kernels are still to be measured. */
  #pipelines: Pipeline[] = [];
  /** For each step, the inputs that it depends on. */
  #depends: ReadonlySet<number>[] = [];
  /** Kernels that are to be measured before the first run, and their measurement once it began. */
  #untuned: Problem[] = [];
  #tuning: Promise<void> | undefined;
  /** Places among the outputs of each value that is one. */
  readonly #placesOfOutputs: ReadonlyMap<Node, readonly number[]>;
  /** Inputs that stayed the same from one run to the next: steps that need no others keep their results. */
  #constant: ReadonlySet<number> = new Set();
  /** Storages of the inputs' values in the last run, by their ids. */
  #last: readonly number[] | undefined;
  /** Number of replaced shaders at the last run: results of other texts are not kept. */
  #replacements = 0;
  /** The encoding of the last run, which may not be submitted yet. */
  #encoding: Encoding | undefined;
  readonly #workspace: Workspace;
  #bound: Bound | undefined;
  /** For each step, whether it was encoded in the last run. */
  #due: readonly boolean[] = [];
  #bytes: number | undefined;
  /** Frees values that the traced function made. */
  readonly #owned: DisposableStack;

  /** Takes over `made`: the values that the traced function made itself. */
  constructor(
    device: Device,
    /** Name of what was traced, e.g. "UNet2DModel". */
    readonly label: string,
    readonly inputs: readonly Leaf[],
    readonly outputs: readonly Node[],
    made: DisposableStack,
  ) {
    this.#device = device;
    this.#groups = groupsOf(device, outputs);
    this.#workspace = new Workspace(device, label);
    if (device.choice.tune === "now") this.#untuned = unmeasured(device, this.#groups);
    this.#placesOfOutputs = Map.groupBy(outputs.keys(), (i) => outputs[i]!);
    this.#decide();
    this.#owned = made.move();
  }

  /** Chooses the candidates of all kernels, and begins to compile them where nothing is to be measured first. */
  #decide(): void {
    const steps = this.#steps = stepsOfGroups(this.#device, this.#groups);
    this.#depends = dependencies(steps, this.inputs);
    this.#bound = undefined; // of other steps
    this.#bytes = undefined;
    if (this.#untuned.length === 0) {
      this.#pipelines = steps.map((step) => this.#device.pipelines.get(step.pipeline));
    }
  }

  /** Measures kernels that were not measured yet, then chooses again. */
  async #tune(): Promise<void> {
    const problems = this.#untuned.filter((problem) => !isMeasured(this.#device, problem)); // another plan may have
    const bar = new Bar(problems.length, { label: `measuring kernels of ${this.label}`, silentMs: 1000 });
    let done = 0;
    await tune(this.#device, problems, { onOutcome: () => bar.update(++done) }).finally(() => bar.end());
    this.#untuned = [];
    this.#decide();
  }

  /** Dispatches in one run with new inputs. */
  get size(): number {
    return this.#steps.length;
  }

  /** Its dispatches in order. */
  get steps(): readonly Step[] {
    return this.#steps;
  }

  /** Bytes of a first run, without the weights. */
  get bytes(): number {
    return this.#bytes ??= workspaceOf(this.#device, this.#steps, this.inputs, this.outputs);
  }

  /** Must end before a run: measurements of kernels, then pipelines that are still compiling. */
  get preparing(): Promise<void>[] {
    if (this.#untuned.length > 0) {
      return [this.#tuning ??= this.#tune().finally(() => this.#tuning = undefined)];
    }
    return this.#pipelines.filter((pipeline) => !pipeline.gpu).map((pipeline) => pipeline.ready);
  }

  /** Takes the memory of a run, unless there was one before; that of the guesses, where kernels are to be measured first. */
  reserve(): void {
    if (this.#bound) return;
    const now = (release: () => void) => release();
    if (this.#untuned.length > 0) this.#take(now);
    else this.#bind(now);
  }

  /**
   * Encodes a run. `values` are the inputs' storages, dense; the results are copied into fresh storages. It yields as
   * `Work.encode` does, chunk by chunk, so that the disk is read for one while the GPU computes the one before. A slot is
   * overwritten behind the commands that read it, as a queue keeps its order.
   */
  *encode(encoding: Encoding, values: readonly Storage[]): Generator<Fetch, Storage[]> {
    const ids = values.map(({ id }) => id);
    const due = this.#due = this.#begin(encoding, values, ids);
    const copies: Storage[] = [];
    using abandoned = new DisposableStack();
    abandoned.defer(() => copies.forEach((copy) => copy.release()));
    const pagers = yield* this.#dispatch(encoding, due, (output) => {
      for (const i of this.#placesOfOutputs.get(output) ?? []) copies[i] = this.#copyOf(output, encoding);
    });
    for (const pager of pagers) yield () => pager.check();
    this.outputs.forEach((node, i) => copies[i] ??= this.#copyOf(node, encoding)); // of steps that were left out, or of none
    this.#last = ids;
    abandoned.move();
    return copies;
  }

  /**
   * Encodes the steps that are due, and counts where the device checks. Results go to `behind` at once, as later steps may
   * take their places. Returns those that brought weights.
   */
  *#dispatch(
    encoding: Encoding,
    due: readonly boolean[],
    behind?: (output: Node) => void,
  ): Generator<Fetch, Set<WeightPager>> {
    const { dispatches, chunks, counts } = this.#bound!;
    const pagers = new Set<WeightPager>();
    for (const { steps, places } of chunks) {
      const now = steps.filter((i) => due[i]);
      for (const [leaf, place] of places) {
        if (!now.some((i) => this.#steps[i]!.inputs.includes(leaf))) continue;
        pagers.add(leaf.pager!);
        yield () => leaf.pager!.fill(leaf, place);
      }
      for (const i of now) {
        encoding.dispatch(dispatches[i]!, this.label);
        const count = counts?.dispatches[i];
        if (count) encoding.dispatch(count, this.label);
        behind?.(this.#steps[i]!.output);
      }
    }
    return pagers;
  }

  /** Its dispatches, see `Work.ran`. */
  get ran(): readonly Ran[] {
    return this.#bound?.ran ?? [];
  }

  /** Counts of the last run, see `Work.counts`. */
  get counts(): Counts | undefined {
    return this.#bound?.counts;
  }

  /** Runs again what ran in the last run, up to the step `last`: its inputs and what it kept are still there. */
  *again(encoding: Encoding, last: number): Generator<Fetch, void> {
    yield* this.#dispatch(encoding, this.#due.map((is, i) => is && i <= last));
  }

  /** Brings the inputs in; returns for each step whether it is to run. */
  #begin(encoding: Encoding, values: readonly Storage[], ids: readonly number[]): readonly boolean[] {
    const { replacements } = this.#device.pipelines;
    const last = replacements === this.#replacements ? this.#last : undefined;
    this.#replacements = replacements;
    const same = new Set(ids.keys().filter((i) => last?.[i] === ids[i]));
    const isKnown = same.isSubsetOf(this.#constant);
    const binds = !this.#bound || !isKnown;
    this.#last = undefined; // until this run is encoded whole
    if (!isKnown) this.#constant = same;
    if (binds) {
      const isUsed = this.#encoding === encoding && encoding.isOpen; // else old and new results need not fit in memory together
      this.#bind(isUsed ? (release) => encoding.afterSubmit(release) : (release) => release());
    }
    this.#encoding = encoding;
    values.forEach((value, i) => {
      if (binds || !same.has(i)) encoding.copy(value, this.#workspace.of(this.inputs[i]!));
    });
    if (binds || !last) return this.#steps.map(() => true);
    return same.size === this.#constant.size ? this.#bound!.changing : this.#changing(same);
  }

  /** For each step, whether it depends on other inputs than these. */
  #changing(same: ReadonlySet<number>): boolean[] {
    return this.#depends.map((inputs) => !inputs.isSubsetOf(same));
  }

  /** For each step, whether its result stays while the inputs that were constant so far do. */
  get #staying(): boolean[] {
    return this.#depends.map((inputs) => inputs.isSubsetOf(this.#constant));
  }

  #copyOf(node: Node, encoding: Encoding): Storage {
    const source = this.#workspace.of(node);
    const copy = this.#device.buffers.allocate(`${this.label} output`, source.bytes);
    encoding.copy(source, copy);
    return copy;
  }

  /** Takes memory; what is not used any more is released by `release`. */
  #take(release: (free: () => void) => void): void {
    const kept = keptResults(this.#steps, this.#depends, this.outputs, this.#constant);
    this.#workspace.take(this.#steps, this.inputs, kept, release);
  }

  /** Takes memory and makes all bind groups; what is not used any more is released by `release`. */
  #bind(release: (free: () => void) => void): void {
    const device = this.#device;
    const before = this.#bound;
    this.#bound = undefined;
    if (before) release(() => free(before));
    this.#take(release);
    const uniforms = new Uniforms(device, `${this.label} uniforms`);
    const blocks = uniforms.write(this.#steps.flatMap((step) => step.uniforms)).values();
    const chunks = chunksOf(this.#steps);
    const brought = chunks.flatMap((chunk) => chunk.steps.map(() => chunk.places));
    const live = device.profiler && liveBytes(this.#steps.length, this.memory().values);
    const ran: Ran[] = [];
    const dispatches = this.#steps.map((step, i): Dispatch => {
      const { record, details, pipeline: { bindings } } = step;
      const pipeline = this.#pipelines[i]!;
      const reads = step.inputs.map((node) => brought[i]!.get(node as Leaf) ?? this.#workspace.of(node));
      const own = step.uniforms.map(() => blocks.next().value!);
      const output = this.#workspace.of(step.output);
      const group = bindGroup(device, pipeline, bindings, reads, output, own);
      if (device.check) ran.push({ step, reads, output });
      const workgroups = foldGrid(step.workgroups, device.limits.maxComputeWorkgroupsPerDimension);
      return { pipeline, group, workgroups, record, details, live: live?.[i] };
    });
    const counts = device.check && new Counts(device, this.label, ran);
    this.#bound = { dispatches, chunks, uniforms, changing: this.#changing(this.#constant), ran, counts };
  }

  /** The places and lifetimes of its steps' results; none before the first run. */
  memory(): PlanMemory {
    const values = this.#workspace.values(this.#steps, this.#staying);
    return { label: this.label, arenas: this.#workspace.sizes, values };
  }

  /** Its steps as data; before the first run results lie where they will. */
  graph(): Graph {
    const { places, sizes } = this.#bound ? this.#workspace : layOut(
      this.#device,
      this.#steps,
      keptResults(this.#steps, this.#depends, this.outputs, this.#constant),
    );
    return graphOf({
      label: this.label,
      steps: this.#steps,
      inputs: this.inputs,
      outputs: this.outputs,
      places,
      sizes,
      kept: this.#staying,
    });
  }

  /** Frees arenas, inputs, uniforms, and values that the traced function made. */
  release(): void {
    this.#workspace.release();
    if (this.#bound) free(this.#bound);
    this.#owned.dispose();
    this.#bound = undefined;
    this.#last = undefined;
  }
}

function free({ uniforms, counts }: Bound): void {
  uniforms.release();
  counts?.release();
}
