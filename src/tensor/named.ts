import { currentPath, labelled, pathLength } from "./path.ts";
import type { Tensor } from "./tensor.ts";

/** Sees the named parts of a model while it is recorded, and may replace their results. */
export interface Watcher {
  /** True where the part of a path is asked for; it may be one that is not computed otherwise. */
  wants(path: string): boolean;
  /** Takes a part's result and inputs, and returns the result to go on with. */
  visit(path: string, output: Tensor, inputs: readonly Tensor[]): Tensor;
}

let watcher: Watcher | undefined;
/** Names of the path that are not of the watched model. */
let outside = 0;

/**
 * Runs a part of a model under its name: dispatches, profiles, taps and edits carry the dotted path. Several results go
 * by their numbers, the last one by the path alone too. Edits get `inputs` beside the result, in the order of the
 * module's arguments in diffusers.
 */
export function named<T>(name: string, run: () => T, inputs: readonly Tensor[] = []): T {
  return labelled(name, () => {
    const result = run();
    return watcher ? visit(watcher, currentPath(outside), result, inputs) as T : result;
  });
}

/** True where a watcher asks for the part of this name, which may be one that is not computed otherwise. */
export function isWanted(name: string): boolean {
  return watcher !== undefined && labelled(name, () => watcher!.wants(currentPath(outside)));
}

/** Runs a model whose parts `by` sees, by their paths within it. */
export function watched<T>(by: Watcher | undefined, run: () => T): T {
  const before = { watcher, outside };
  [watcher, outside] = [by, pathLength()];
  try {
    return run();
  } finally {
    ({ watcher, outside } = before);
  }
}

/** Runs a part of a watched model whose parts `by` sees too: it takes what the watcher before it returned. */
export function watchedToo<T>(by: Watcher["visit"], run: () => T): T {
  const outer = watcher;
  return watched({
    wants: (path) => outer?.wants(path) ?? false,
    visit: (path, output, inputs) => by(path, outer ? outer.visit(path, output, inputs) : output, inputs),
  }, run);
}

function visit(by: Watcher, path: string, result: unknown, inputs: readonly Tensor[]): unknown {
  if (isTensor(result)) return by.visit(path, result, inputs);
  if (!Array.isArray(result) || !result.every(isTensor) || result.length === 0) return result;
  const outputs = result.map((one, i) => by.visit(`${path}.${i}`, one, inputs));
  return outputs.with(-1, by.visit(path, outputs.at(-1)!, inputs));
}

function isTensor(value: unknown): value is Tensor {
  return typeof value === "object" && value !== null && "node" in value && "strides" in value;
}
