import type { Storage } from "../../gpu/memory/buffers.ts";
import type { Encoding } from "../../gpu/encoding.ts";
import type { Counts, Ran } from "../check/counts.ts";
import { Input, Leaf, type Node } from "../node.ts";

/** Brings weights to where the commands that are encoded next read them. */
export type Fetch = () => Promise<void>;

/** A piece of recorded work: a group of fused nodes, or a call of a plan. */
export interface Work {
  /** Id of the first node that it stores: work is encoded in the order in which it was recorded. */
  readonly id: number;
  /** Must end before it can be encoded: pipelines, measurements of kernels. */
  readonly preparing: readonly Promise<void>[];
  /** Contents of the uniforms that are written for this run only. */
  readonly uniforms: readonly Uint8Array<ArrayBuffer>[];
  /**
   * Encodes it and stores the results in its nodes. Where it reads streamed weights, it yields a function that
   * reads them from the disk, to be awaited once everything encoded so far is submitted. `uniforms` has the places
   * of its uniforms, in order.
   */
  encode(encoding: Encoding, uniforms: Iterator<GPUBufferBinding>): Iterable<Fetch>;
  /** On devices that check: its dispatches in order, those among them that its last run left out. */
  readonly ran: readonly Ran[];
  /** On devices that check: what its last run counted in their results, where they overwrite each other's. */
  readonly counts: Counts | undefined;
  /** Runs again what ran of these up to one of them, so that what this one read and stored is in memory. */
  again(encoding: Encoding, last: number): Iterable<Fetch>;
}

/** Memory of a value that was computed or given before. Throws where there is none. */
export function liveStorage(node: Node): Storage {
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
