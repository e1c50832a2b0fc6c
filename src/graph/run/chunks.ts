import { alignUp, Storage } from "../../gpu/memory/buffers.ts";
import type { Step } from "../fusion/step.ts";
import type { Leaf } from "../node.ts";

/** Steps that run together, with the weights that are read for them, and their places in the slot. */
export interface Chunk {
  readonly steps: number[];
  readonly places: Map<Leaf, Storage>;
}

const ALIGNMENT = 256; // of bindings, on any adapter

/** Bytes that a weight takes in a slot. */
export function roomOf(leaf: Leaf): number {
  return alignUp(Math.max(16, leaf.bytes), ALIGNMENT);
}

/** The weights among a step's inputs that are streamed. */
export function pagedWeights({ inputs }: Step): Leaf[] {
  return [...new Set(inputs as readonly Leaf[])].filter((leaf) => leaf.pager && !leaf.storage);
}

/** Cuts steps into chunks whose weights fit in a slot. Chunk c lies in slot c mod 2. */
export function chunksOf(steps: readonly Step[]): Chunk[] {
  const chunks: Chunk[] = [{ steps: [], places: new Map() }];
  let end = 0;
  steps.forEach((step, i) => {
    const leaves = pagedWeights(step);
    const { pager } = leaves[0] ?? {};
    let fresh = leaves.filter((leaf) => !chunks.at(-1)!.places.has(leaf));
    if (pager && end + room(fresh) > pager.slots[0]!.size) {
      chunks.push({ steps: [], places: new Map() });
      end = 0;
      fresh = leaves;
      if (room(leaves) > pager.slots[0]!.size) {
        throw new RangeError(
          `Cannot stream ${leaves.map(({ label }) => `"${label}"`).join(" and ")}: expected at most ` +
            `${pager.slots[0]!.size} bytes of weights at once, got ${room(leaves)}`,
        );
      }
    }
    const chunk = chunks.at(-1)!;
    for (const leaf of fresh) {
      const slot = pager!.slots[(chunks.length - 1) % pager!.slots.length]!;
      chunk.places.set(leaf, new Storage(slot, end, leaf.bytes));
      end += roomOf(leaf);
    }
    chunk.steps.push(i);
  });
  return chunks;
}

function room(leaves: readonly Leaf[]): number {
  return leaves.reduce((sum, leaf) => sum + roomOf(leaf), 0);
}
