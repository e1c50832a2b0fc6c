import { alignUp, Storage } from "../../gpu/buffers.ts";
import { sizeOf } from "./layout.ts";
import type { Leaf } from "../node.ts";
import type { Step } from "../fusion/step.ts";

/** Brings weights that are too large for memory from where they lie, whenever they are read. */
export interface Supply {
  /** Two buffers that chunks of weights take turns in: one is read while the next is filled. */
  readonly slots: readonly GPUBuffer[];
  /** Sends a leaf's values to a place; commands that are submitted later read them there. */
  fill(leaf: Leaf, place: Storage): Promise<void>;
  /** Throws what was found wrong with the values that were sent. */
  check(): Promise<void>;
}

/** Steps that run together, with the weights that are brought for them and where these then lie. */
export interface Chunk {
  readonly steps: number[];
  readonly places: Map<Leaf, Storage>;
}

const ALIGNMENT = 256; // of bindings, on any adapter

/** Bytes that a weight takes in a slot. */
export function roomOf(leaf: Leaf): number {
  return alignUp(Math.max(16, sizeOf(leaf)), ALIGNMENT);
}

/** The weights among a step's inputs that are brought when it runs. */
export function suppliedTo({ inputs }: Step): Leaf[] {
  return [...new Set(inputs as readonly Leaf[])].filter((leaf) => leaf.supply && !leaf.storage);
}

/** Cuts steps into chunks whose weights fit in a slot. Chunk c lies in slot c mod 2. */
export function chunksOf(steps: readonly Step[]): Chunk[] {
  const chunks: Chunk[] = [{ steps: [], places: new Map() }];
  let end = 0;
  steps.forEach((step, i) => {
    const leaves = suppliedTo(step);
    const { supply } = leaves[0] ?? {};
    let fresh = leaves.filter((leaf) => !chunks.at(-1)!.places.has(leaf));
    if (supply && end + room(fresh) > supply.slots[0]!.size) {
      chunks.push({ steps: [], places: new Map() });
      end = 0;
      fresh = leaves;
      if (room(leaves) > supply.slots[0]!.size) {
        throw new RangeError(
          `Cannot stream ${leaves.map(({ label }) => `"${label}"`).join(" and ")}: expected at most ` +
            `${supply.slots[0]!.size} bytes of weights at once, got ${room(leaves)}`,
        );
      }
    }
    const chunk = chunks.at(-1)!;
    for (const leaf of fresh) {
      const slot = supply!.slots[(chunks.length - 1) % supply!.slots.length]!;
      chunk.places.set(leaf, new Storage(slot, end, sizeOf(leaf)));
      end += roomOf(leaf);
    }
    chunk.steps.push(i);
  });
  return chunks;
}

function room(leaves: readonly Leaf[]): number {
  return leaves.reduce((sum, leaf) => sum + roomOf(leaf), 0);
}
