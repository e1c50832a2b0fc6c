import { Storage } from "../../gpu/memory/buffers.ts";
import type { Device } from "../../gpu/device.ts";
import type { Step } from "../fusion/step.ts";
import { Leaf, type Node } from "../node.ts";
import type { Place } from "./arena.ts";
import { expectBindable, lastUses, layOut } from "./layout.ts";

const STORAGE = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;

/** A result of a plan's step in memory; from the step `first` to the step `last` it is needed. */
export interface PlacedValue extends Place {
  readonly kernel: string;
  readonly path: string;
  readonly bytes: number;
  readonly first: number;
  readonly last: number;
}

/** The memory that a plan runs in: buffers for the values of its inputs, and arenas for the results of its steps. */
export class Workspace {
  readonly #device: Device;
  readonly #label: string;
  /** Taken with the arenas, as plans of `prepare` may never run. */
  readonly #inputs = new Map<Leaf, Storage>();
  readonly #arenas: GPUBuffer[] = [];
  #places: ReadonlyMap<Node, Place> = new Map();
  #results = new Map<Node, Storage>();

  /** For a plan that is called `label`. */
  constructor(device: Device, label: string) {
    this.#device = device;
    this.#label = label;
  }

  /**
   * Plans memory and takes it, where `kept` results have places of their own. Arenas that are large enough stay, as what a
   * GPU is given back is not there at once; what is not used any more is released by `release`.
   */
  take(
    steps: readonly Step[],
    inputs: readonly Leaf[],
    kept: ReadonlySet<Node>,
    release: (free: () => void) => void,
  ): void {
    const { buffers } = this.#device;
    expectBindable(this.#device, steps.map(({ output }) => output));
    const { places, sizes } = layOut(this.#device, steps, kept);
    for (const arena of this.#arenas.splice(sizes.length)) release(() => buffers.destroy(arena));
    for (const [i, size] of sizes.entries()) {
      const before = this.#arenas[i];
      if (before && before.size >= size) continue;
      if (before) release(() => buffers.destroy(before));
      this.#arenas[i] = buffers.create(`${this.#label} arena ${i}`, size, STORAGE);
    }
    for (const [i, input] of inputs.entries()) {
      if (this.#inputs.has(input)) continue;
      const buffer = buffers.create(`${this.#label} input ${i}`, input.bytes, STORAGE);
      this.#inputs.set(input, new Storage(buffer, 0, input.bytes));
    }
    this.#places = places;
    this.#results = new Map(
      [...places].map(([node, { arena, offset }]) => {
        return [node, new Storage(this.#arenas[arena]!, offset, node.bytes)];
      }),
    );
  }

  /** Bytes of each arena. */
  get sizes(): number[] {
    return this.#arenas.map(({ size }) => size);
  }

  /** Places of results in the arenas. */
  get places(): ReadonlyMap<Node, Place> {
    return this.#places;
  }

  /** The memory of an input, of a step's result, or of a value from outside. Throws where that was given back. */
  of(node: Node): Storage {
    const storage = this.#inputs.get(node as Leaf) ?? this.#results.get(node) ?? node.storage;
    if (storage && !storage.released) return storage;
    throw new Error(
      node instanceof Leaf && node.label
        ? `Cannot run ${this.#label}: expected "${node.label}" in GPU memory, got none; was the model disposed?`
        : `Cannot run ${this.#label}: a tensor that it was traced with was freed; keep it as long, or make it a value of the edit`,
    );
  }

  /** Places and lifetimes of the results, to the end of those that stay for later runs. None before memory was taken. */
  values(steps: readonly Step[], stays: readonly boolean[]): PlacedValue[] {
    const uses = lastUses(steps);
    return steps.flatMap(({ output, record: { kernel, path } }, first) => {
      const place = this.#places.get(output);
      const last = stays[first] ? steps.length : uses.get(output) ?? first;
      return place ? [{ kernel, path, ...place, bytes: output.bytes, first, last }] : [];
    });
  }

  /** Gives the memory back. */
  release(): void {
    for (const arena of this.#arenas.splice(0)) this.#device.buffers.destroy(arena);
    for (const { buffer } of this.#inputs.values()) this.#device.buffers.destroy(buffer);
    this.#inputs.clear();
  }
}
