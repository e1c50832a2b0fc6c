import { bytesOf } from "../core/dtype.ts";
import { alignUp, Storage } from "../gpu/buffers.ts";
import type { Device } from "../gpu/device.ts";
import type { Pipeline } from "../gpu/pipelines.ts";
import { type Lifetime, type Place, planArenas } from "./arena.ts";
import { bindGroup, type Dispatch, type Encoding, foldGrid } from "./encoding.ts";
import { fuse } from "./fuse.ts";
import { Leaf, type Node } from "./node.ts";
import { type Step, stepOf } from "./step.ts";

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
  readonly #steps: Step[];
  readonly #pipelines: Pipeline[];
  /** For each step, the inputs that it depends on. */
  readonly #depends: ReadonlySet<number>[];
  readonly #inputs: Storage[];
  /** Inputs that stayed the same from one run to the next: steps that need no others keep their results. */
  #constant: ReadonlySet<number> = new Set();
  #last: Identity[] | undefined;
  #buffers: GPUBuffer[] = [];
  #dispatches: Dispatch[] | undefined;
  #places = new Map<Node, Place>();
  #memory = new Map<Node, Storage>();

  constructor(
    device: Device,
    /** What was traced, e.g. "UNet2DModel". */
    readonly label: string,
    readonly inputs: readonly Leaf[],
    readonly outputs: readonly Node[],
  ) {
    this.#device = device;
    const nodes = reachable(outputs);
    const maxBuffers = device.limits.maxStorageBuffersPerShaderStage;
    this.#steps = fuse(nodes, new Set(outputs), maxBuffers).map(stepOf);
    this.#pipelines = this.#steps.map((step) => device.pipelines.get(step.pipeline));
    this.#inputs = inputs.map((node, i) => {
      const bytes = node.count * bytesOf(node.dtype);
      return new Storage(device.buffers.create(`${label} input ${i}`, bytes, STORAGE), 0, bytes);
    });
    const depends = new Map<Node, ReadonlySet<number>>(inputs.map((node, i) => [node, new Set([i])]));
    this.#depends = this.#steps.map((step) => {
      const set = new Set(step.inputs.flatMap((node) => [...(depends.get(node) ?? [])]));
      depends.set(step.output, set);
      return set;
    });
  }

  /** Dispatches in one run with new inputs. */
  get size(): number {
    return this.#steps.length;
  }

  /** Pipelines that are still compiling. */
  get compiling(): Promise<void>[] {
    return this.#pipelines.filter((pipeline) => !pipeline.gpu).map((pipeline) => pipeline.ready);
  }

  /** Encodes a run. `values` are the inputs' storages, dense; the results are copied into fresh storages. */
  encode(encoding: Encoding, values: readonly Storage[], identities: readonly Identity[]): Storage[] {
    const last = this.#last;
    const same = new Set(identities.flatMap((identity, i) => last?.[i] === identity ? [i] : []));
    const settled = [...same].some((i) => !this.#constant.has(i)) ? same : this.#constant;
    const replan = !this.#dispatches || settled !== this.#constant;
    this.#last = undefined; // until this run is encoded whole
    if (replan) {
      this.#constant = settled;
      const old = this.#buffers;
      encoding.afterSubmit(() => old.forEach((buffer) => this.#device.buffers.destroy(buffer)));
      this.#bind();
    }
    values.forEach((value, i) => {
      if (replan || !same.has(i)) encoding.copy(value, this.#inputs[i]);
    });
    this.#dispatches!.forEach((dispatch, i) => {
      const kept = !replan && last && this.#isKept(i) &&
        [...this.#depends[i]].every((input) => same.has(input));
      if (!kept) encoding.dispatch(dispatch);
    });
    this.#last = [...identities];
    return this.outputs.map((node) => {
      const source = this.#memory.get(node) ?? node.storage!;
      const copy = this.#device.buffers.allocate(`${this.label} output`, source.bytes);
      encoding.copy(source, copy);
      return copy;
    });
  }

  #isKept(step: number): boolean {
    return [...this.#depends[step]].every((input) => this.#constant.has(input));
  }

  /** Plans memory and makes all bind groups. */
  #bind(): void {
    const { buffers, limits } = this.#device;
    const alignment = Math.max(16, limits.minStorageBufferOffsetAlignment);
    const { places, sizes } = this.#plan(alignment);
    const arenas = sizes.map((size, i) => buffers.create(`${this.label} arena ${i}`, size, STORAGE));
    this.#places = places;
    this.#memory = new Map(this.inputs.map((node, i) => [node, this.#inputs[i]]));
    for (const [node, { arena, offset }] of places) {
      this.#memory.set(node, new Storage(arenas[arena], offset, node.count * bytesOf(node.dtype)));
    }
    const step = Math.max(16, limits.minUniformBufferOffsetAlignment);
    const blocks = this.#steps.flatMap((s) => s.uniforms);
    const uniform = buffers.create(
      `${this.label} uniforms`,
      blocks.reduce((n, b) => n + alignUp(b.length, step), 0),
      UNIFORM,
    );
    const bytes = new Uint8Array(uniform.size);
    let offset = 0;
    this.#dispatches = this.#steps.map((s, i) => {
      const offsets = s.uniforms.map((block) => {
        const at = offset;
        bytes.set(block, at);
        offset += alignUp(block.length, step);
        return at;
      });
      const pipeline = this.#pipelines[i];
      const reads = s.inputs.map((node) => this.#storage(node));
      const group = bindGroup(this.#device, pipeline, s.pipeline.bindings, reads, this.#storage(s.output), {
        buffer: uniform,
        sizes: s.uniforms.map((block) => block.length),
      });
      const workgroups = foldGrid(s.workgroups, limits.maxComputeWorkgroupsPerDimension);
      return { pipeline, group, offsets, workgroups, record: s.record };
    });
    this.#device.gpu.queue.writeBuffer(uniform, 0, bytes);
    this.#buffers = [...arenas, uniform];
  }

  #storage(node: Node): Storage {
    const storage = this.#memory.get(node) ?? node.storage;
    if (!storage || storage.released) {
      const what = node instanceof Leaf ? node.label : node.constructor.name;
      throw new Error(
        `Cannot run ${this.label}: expected "${what}" in GPU memory, got none; was the model disposed?`,
      );
    }
    return storage;
  }

  #plan(alignment: number): { places: Map<Node, Place>; sizes: number[] } {
    const end = this.#steps.length;
    const last = new Map<Node, number>(this.outputs.map((node) => [node, end]));
    this.#steps.forEach((step, i) => {
      for (const node of step.inputs) last.set(node, Math.max(last.get(node) ?? 0, i));
    });
    // Results of kept steps stay for good, in buffers that nothing else is placed in, where they are read although
    // their step may be left out: by the caller, and by steps that depend on more inputs.
    const needsMore = (j: number, i: number) =>
      [...this.#depends[j]].some((input) => !this.#depends[i].has(input));
    const outlives = ({ output }: Step, i: number) =>
      this.outputs.includes(output) ||
      this.#steps.some((s, j) => needsMore(j, i) && s.inputs.includes(output));
    const kept = new Set(
      this.#steps.flatMap((step, i) => this.#isKept(i) && outlives(step, i) ? [step.output] : []),
    );
    const limits = { alignment, maxBytes: this.#device.limits.maxBufferSize };
    const result = { places: new Map<Node, Place>(), sizes: [] as number[] };
    for (const keeping of [true, false]) {
      const lifetimes = new Map<Node, Lifetime>();
      this.#steps.forEach((step, i) => {
        const node = step.output;
        if (kept.has(node) !== keeping) return;
        const bytes = node.count * bytesOf(node.dtype);
        const reads = step.inputs.flatMap((input) => lifetimes.get(input) ?? []);
        lifetimes.set(node, { bytes, first: i, last: keeping ? end : last.get(node) ?? i, reads });
      });
      const { places, sizes } = planArenas([...lifetimes.values()], limits);
      for (const [node, lifetime] of lifetimes) {
        const { arena, offset } = places.get(lifetime)!;
        result.places.set(node, { arena: arena + result.sizes.length, offset });
      }
      result.sizes.push(...sizes);
    }
    return result;
  }

  /** A table of the steps: kernel, module path, shape in memory, arena and offset of the output. */
  dump(): string {
    const rows = this.#steps.map((step, i) => {
      const { kernel, path } = step.record;
      const place = this.#places.get(step.output);
      const where = place ? `arena ${place.arena} + ${place.offset}` : "unplaced";
      const inputs = step.inputs.map((node) => node instanceof Leaf ? node.label : `%${node.id}`).join(", ");
      const kept = this.#isKept(i) ? " kept" : "";
      return `%${step.output.id} = ${
        step.pipeline.key.split("|")[0]
      }(${inputs}) ${step.output.dtype}[${step.output.count}] ` +
        `${where}${kept} @ ${path || kernel}`;
    });
    return [`${this.label}: ${this.#steps.length} dispatches`, ...rows].join("\n");
  }

  /** Frees arenas, inputs and uniforms. */
  release(): void {
    for (const buffer of this.#buffers) this.#device.buffers.destroy(buffer);
    for (const { buffer } of this.#inputs) this.#device.buffers.destroy(buffer);
    this.#dispatches = undefined;
    this.#last = undefined;
  }
}

/** The nodes that `roots` are computed from and that are not there yet, in order of recording. */
export function reachable(roots: Iterable<Node>): Node[] {
  const found = new Set<Node>();
  const stack = [...roots];
  while (stack.length) {
    const node = stack.pop()!;
    if (found.has(node) || node.storage || node instanceof Leaf) continue;
    found.add(node);
    stack.push(...node.sources);
  }
  return [...found].sort((a, b) => a.id - b.id);
}
