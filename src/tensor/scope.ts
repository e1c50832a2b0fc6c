import { nameOfKind } from "../core/error.ts";
import type { Node } from "../graph/node.ts";
import { type Stream, streamOf } from "../graph/run/stream.ts";
import { currentDevice } from "../gpu/device.ts";
import { Tensor } from "./tensor.ts";

/** Owns the tensors that are made while it is open, and frees them at its end. */
export class Scope implements Disposable {
  readonly #stream: Stream;
  readonly #owned = new Set<Node>();
  readonly #kept = new Set<Node>();
  readonly #watch = (node: Node): void => {
    this.#owned.add(node);
  };

  /** For scope(), which finds the stream of the tensors' device. */
  constructor(stream: Stream, tensors: readonly Tensor[]) {
    this.#stream = stream;
    for (const { node } of tensors) this.#owned.add(node);
    stream.watchers.push(this.#watch);
  }

  /** Lets a tensor outlive the scope. */
  keep(tensor: Tensor): Tensor {
    if (!(tensor instanceof Tensor)) {
      throw new TypeError(`Cannot keep ${nameOfKind(tensor)}: expected a tensor`);
    }
    this.#kept.add(tensor.node);
    this.#stream.want(tensor.node);
    return tensor;
  }

  /** Frees the tensors that were made in the scope and neither kept nor retained, after the work that is recorded. */
  [Symbol.dispose](): void {
    const at = this.#stream.watchers.indexOf(this.#watch);
    if (at < 0) return; // disposed before
    this.#stream.watchers.splice(at, 1);
    this.#stream.afterSubmit(() => {
      for (const node of this.#owned) if (!this.#kept.has(node)) freeNode(node);
    });
  }
}

/**
 * Opens a scope that owns `tensors` and all that is made until its end: for loops of hundreds of steps.
 *
 * There is one order of recording on a device: two loops that run interleaved would own each other's tensors.
 */
export function scope(...tensors: readonly Tensor[]): Scope {
  return new Scope(streamOf(tensors[0]?.device ?? currentDevice()), tensors);
}

/**
 * Frees tensors after the work that is recorded;
 * what was computed from them must be kept by a scope to be read again.
 */
export function free(...tensors: readonly (Tensor | undefined)[]): void {
  const owned = tensors.filter((tensor) => tensor !== undefined);
  if (owned.length > 0) scope(...owned)[Symbol.dispose]();
}

/**
 * Lets a tensor outlive its scopes until release():
 * for tensors that an object keeps from one step of a loop to the next.
 */
export function retain(tensor: Tensor): Tensor {
  tensor.node.retained++;
  streamOf(tensor.device).want(tensor.node);
  return tensor;
}

/** Ends one retain(). The last one frees the tensor if a scope that owned it has ended meanwhile. */
export function release({ node, device }: Tensor): void {
  if (node.retained === 0 || --node.retained > 0 || !node.orphaned) return;
  streamOf(device).afterSubmit(() => freeNode(node));
}

function freeNode(node: Node): void {
  if (node.retained > 0) node.orphaned = true;
  else node.storage?.release();
}
