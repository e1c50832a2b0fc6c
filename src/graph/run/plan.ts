import { Bar } from "../../core/bar.ts";
import { alignUp, Storage } from "../../gpu/buffers.ts";
import type { Device } from "../../gpu/device.ts";
import type { Pipeline } from "../../gpu/pipelines.ts";
import type { Place } from "./arena.ts";
import type { Problem } from "../tuning/bench.ts";
import { bindGroup, type Dispatch, Encoding } from "../../gpu/encoding.ts";
import type { Group } from "../fusion/fuse.ts";
import { foldGrid } from "../../gpu/grid.ts";
import {
  dependencies,
  expectBindable,
  groupsOf,
  keptResults,
  layOut,
  sizeOf,
  stepsOfGroups,
  workspaceOf,
} from "./layout.ts";
import { Leaf, type Node } from "../node.ts";
import type { Step } from "../fusion/step.ts";
import { type Chunk, chunksOf, type Supply } from "./weight_pager.ts";
import { isMeasured, tune, unmeasured } from "../tuning/tuner.ts";

/** What tells one value of an input from another: its storage and how it is read. */
export type Identity = string;

const STORAGE = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;
const UNIFORM = GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST;

/**
 * A traced function made ready: its dispatches with all memory planned and bound. Steps whose inputs have not changed
 * since the last run are left out.
 */
export class Plan {
  readonly #device: Device;
  readonly #groups: readonly Group[];
  #steps: Step[] = [];
  /** Of the steps; empty while kernels are still to be measured. */
  #pipelines: Pipeline[] = [];
  /** For each step, the inputs that it depends on. */
  #depends: ReadonlySet<number>[] = [];
  /** Kernels that are to be measured before the first run, and their measurement once it began. */
  #untuned: Problem[] = [];
  #tuning: Promise<void> | undefined;
  /** What steps read and none computes, weights among them. */
  #leaves: readonly Leaf[] = [];
  readonly #inputs: Storage[];
  /** Inputs that stayed the same from one run to the next: steps that need no others keep their results. */
  #constant: ReadonlySet<number> = new Set();
  #last: Identity[] | undefined;
  /** Of shaders, when it last ran: what others computed is not kept. */
  #replacements = 0;
  readonly #arenas: GPUBuffer[] = [];
  #uniform: GPUBuffer | undefined;
  /** Values that the traced function made itself. */
  readonly #made: readonly Leaf[];
  /** What the last run was encoded into: it may not be submitted yet. */
  #encoding: Encoding | undefined;
  #dispatches: Dispatch[] | undefined;
  #chunks: Chunk[] = [];
  #places = new Map<Node, Place>();
  #memory = new Map<Node, Storage>();
  #bytes: number | undefined;

  constructor(
    device: Device,
    /** What was traced, e.g. "UNet2DModel". */
    readonly label: string,
    readonly inputs: readonly Leaf[],
    readonly outputs: readonly Node[],
    made: readonly Leaf[],
  ) {
    this.#device = device;
    this.#made = made;
    this.#groups = groupsOf(device, outputs);
    if (device.choice.tune === "now") this.#untuned = unmeasured(device, this.#groups);
    using creating = new DisposableStack();
    this.#inputs = inputs.map((node, i) => {
      const bytes = sizeOf(node);
      const buffer = device.buffers.create(`${label} input ${i}`, bytes, STORAGE);
      creating.defer(() => device.buffers.destroy(buffer));
      return new Storage(buffer, 0, bytes);
    });
    this.#decide();
    creating.move(); // where all goes well, release() frees them
  }

  /** Chooses the candidates of all kernels, and begins to compile them where nothing is to be measured first. */
  #decide(): void {
    const steps = this.#steps = stepsOfGroups(this.#device, this.#groups);
    this.#depends = dependencies(steps, this.inputs);
    const leaves = new Set(steps.flatMap(({ inputs }) => inputs));
    this.#leaves = [...leaves].filter((node) => node instanceof Leaf);
    this.#dispatches = undefined; // of other steps
    this.#bytes = undefined;
    if (this.#untuned.length === 0) {
      this.#pipelines = steps.map((step) => this.#device.pipelines.get(step.pipeline));
    }
  }

  /** Measures kernels that were not measured yet, then chooses anew. */
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

  /** Bytes that a first run takes beside weights. */
  get bytes(): number {
    return this.#bytes ??= workspaceOf(this.#device, this.#steps, this.inputs, this.outputs);
  }

  /** What a run has to wait for: measurements of kernels, then pipelines that are still compiling. */
  get preparing(): Promise<void>[] {
    if (this.#untuned.length > 0) {
      return [this.#tuning ??= this.#tune().finally(() => this.#tuning = undefined)];
    }
    return this.#pipelines.filter((pipeline) => !pipeline.gpu).map((pipeline) => pipeline.ready);
  }

  /** Whether weights have to be brought while it runs: by `stream`, else by `encode`. */
  get isStreamed(): boolean {
    return this.#leaves.some(({ supply, storage }) => supply && !storage);
  }

  /** Takes the memory of a run, unless there was one before; that of the guesses, where kernels are to be measured first. */
  reserve(): void {
    if (this.#dispatches) return;
    const free = (buffer: GPUBuffer) => this.#device.buffers.destroy(buffer);
    if (this.#untuned.length > 0) this.#place(free);
    else this.#bind(free);
  }

  /** Encodes a run. `values` are the inputs' storages, dense; the results are copied into fresh storages. */
  encode(encoding: Encoding, values: readonly Storage[], identities: readonly Identity[]): Storage[] {
    for (const i of this.#begin(encoding, values, identities)) {
      encoding.dispatch(this.#dispatches![i]!, this.label);
    }
    return this.#end(encoding, identities);
  }

  /**
   * Runs chunk by chunk: each is submitted once its weights are sent, so that the disk is read for one while the GPU
   * computes the one before. A slot is overwritten behind the commands that read it, as a queue keeps its order.
   */
  async stream(values: readonly Storage[], identities: readonly Identity[]): Promise<Storage[]> {
    let encoding = new Encoding(this.#device);
    const due = this.#begin(encoding, values, identities);
    encoding.submit(); // while weights come, finalizers free what only the inputs' copies read
    encoding = new Encoding(this.#device);
    const supplies = new Set<Supply>();
    for (const { steps, places } of this.#chunks) {
      const now = steps.filter((i) => due.has(i));
      const read = new Set(now.flatMap((i) => this.#steps[i]!.inputs));
      for (const [leaf, place] of places) {
        if (!read.has(leaf)) continue;
        supplies.add(leaf.supply!);
        await leaf.supply!.fill(leaf, place);
      }
      for (const i of now) encoding.dispatch(this.#dispatches![i]!, this.label);
      encoding.submit();
      encoding = new Encoding(this.#device);
    }
    for (const supply of supplies) await supply.check();
    const results = this.#end(encoding, identities);
    encoding.submit();
    return results;
  }

  /** Brings the inputs in and returns which steps are to run. */
  #begin(encoding: Encoding, values: readonly Storage[], identities: readonly Identity[]): Set<number> {
    const { replacements } = this.#device.pipelines;
    const last = replacements === this.#replacements ? this.#last : undefined;
    this.#replacements = replacements;
    const same = new Set(identities.flatMap((identity, i) => last?.[i] === identity ? [i] : []));
    const settled = [...same].some((i) => !this.#constant.has(i)) ? same : this.#constant;
    const replan = !this.#dispatches || settled !== this.#constant;
    this.#last = undefined; // until this run is encoded whole
    if (replan) {
      this.#constant = settled;
      const isUsed = this.#encoding === encoding; // else free at once, so that old and new need not fit beside each other
      const free = (buffer: GPUBuffer) => this.#device.buffers.destroy(buffer);
      this.#bind(isUsed ? (buffer) => encoding.afterSubmit(() => free(buffer)) : free);
    }
    this.#encoding = encoding;
    values.forEach((value, i) => {
      if (replan || !same.has(i)) encoding.copy(value, this.#inputs[i]!);
    });
    const kept = (i: number) => !replan && last && this.#isKept(i) && this.#depends[i]!.isSubsetOf(same);
    return new Set(this.#steps.keys().filter((i) => !kept(i)));
  }

  /** Copies the results into storages of their own. */
  #end(encoding: Encoding, identities: readonly Identity[]): Storage[] {
    this.#last = [...identities];
    return this.outputs.map((node) => {
      const source = this.#memory.get(node) ?? node.storage!;
      const copy = this.#device.buffers.allocate(`${this.label} output`, source.bytes);
      encoding.copy(source, copy);
      return copy;
    });
  }

  #isKept(step: number): boolean {
    return this.#depends[step]!.isSubsetOf(this.#constant);
  }

  /**
   * Plans memory and takes it. Arenas that are large enough stay, as what a GPU is given back is not there at once; what is
   * not used any more goes to `free`.
   */
  #place(free: (buffer: GPUBuffer) => void): void {
    expectBindable(this.#device, this.#steps.map(({ output }) => output));
    const kept = keptResults(this.#steps, this.#depends, this.outputs, this.#constant);
    const { places, sizes } = layOut(this.#device, this.#steps, this.outputs, kept);
    for (const arena of this.#arenas.splice(sizes.length)) free(arena);
    for (const [i, size] of sizes.entries()) {
      const before = this.#arenas[i];
      if (before && before.size >= size) continue;
      if (before) free(before);
      this.#arenas[i] = this.#device.buffers.create(`${this.label} arena ${i}`, size, STORAGE);
    }
    this.#places = places;
    this.#memory = new Map(this.inputs.map((node, i) => [node, this.#inputs[i]!]));
    for (const [node, { arena, offset }] of places) {
      this.#memory.set(node, new Storage(this.#arenas[arena]!, offset, sizeOf(node)));
    }
  }

  /** Plans memory and makes all bind groups; memory that is not used any more goes to `free`. */
  #bind(free: (buffer: GPUBuffer) => void): void {
    const { buffers, limits } = this.#device;
    this.#dispatches = undefined;
    if (this.#uniform) free(this.#uniform);
    this.#place(free);
    const step = Math.max(16, limits.minUniformBufferOffsetAlignment);
    const blocks = this.#steps.flatMap((s) => s.uniforms);
    const uniform = this.#uniform = buffers.create(
      `${this.label} uniforms`,
      blocks.reduce((n, b) => n + alignUp(b.length, step), 0),
      UNIFORM,
    );
    const bytes = new Uint8Array(uniform.size);
    let offset = 0;
    this.#chunks = chunksOf(this.#steps);
    const brought = this.#chunks.flatMap((chunk) => chunk.steps.map(() => chunk.places));
    this.#dispatches = this.#steps.map((s, i) => {
      const uniforms = s.uniforms.map((block) => {
        const place = { buffer: uniform, offset, size: block.length };
        bytes.set(block, offset);
        offset += alignUp(block.length, step);
        return place;
      });
      const pipeline = this.#pipelines[i]!;
      const reads = s.inputs.map((node) => brought[i]!.get(node as Leaf) ?? this.#storage(node));
      const output = this.#storage(s.output);
      const group = bindGroup(this.#device, pipeline, s.pipeline.bindings, reads, output, uniforms);
      const workgroups = foldGrid(s.workgroups, limits.maxComputeWorkgroupsPerDimension);
      return { pipeline, group, workgroups, record: s.record };
    });
    this.#device.gpu.queue.writeBuffer(uniform, 0, bytes);
  }

  #storage(node: Node): Storage {
    const storage = this.#memory.get(node) ?? node.storage;
    if (!storage || storage.released) {
      if (node instanceof Leaf && node.label) {
        throw new Error(
          `Cannot run ${this.label}: expected "${node.label}" in GPU memory, got none; was the model disposed?`,
        );
      }
      throw new Error(
        `Cannot run ${this.label}: a tensor that it was traced with was freed; keep it as long, or make it a value of the edit`,
      );
    }
    return storage;
  }

  /** A table of the steps: kernel, module path, shape in memory, arena and offset of the output. */
  dump(): string {
    const rows = this.#steps.map((step, i) => {
      const { kernel, path } = step.record;
      const place = this.#places.get(step.output);
      const where = place ? `arena ${place.arena} + ${place.offset}` : "unplaced";
      const inputs = step.inputs.map((node) => node instanceof Leaf ? node.label : `%${node.id}`).join(", ");
      const kept = this.#isKept(i) ? " kept" : "";
      return `%${step.output.id} = ${step.pipeline.label}(${inputs}) ${step.output.dtype}[${step.output.count}] ` +
        `${where}${kept} @ ${path || kernel}`;
    });
    return [`${this.label}: ${this.#steps.length} dispatches`, ...rows].join("\n");
  }

  /** Frees arenas, inputs, uniforms, and values that the traced function made. */
  release(): void {
    for (const leaf of this.#made) leaf.storage?.release();
    for (const arena of this.#arenas.splice(0)) this.#device.buffers.destroy(arena);
    if (this.#uniform) this.#device.buffers.destroy(this.#uniform);
    for (const { buffer } of this.#inputs) this.#device.buffers.destroy(buffer);
    this.#uniform = undefined;
    this.#dispatches = undefined;
    this.#last = undefined;
  }
}
