import type { Tensor } from "./tensor.ts";

const stack: string[] = [];
let taps: Map<string, Tensor> | undefined;

/** The dotted path of the modules being recorded, e.g. "down_blocks.1.attentions.0". */
export function currentPath(): string {
  return stack.join(".");
}

/** Runs a part of a model under its name: dispatches, profiles and taps carry the dotted path. */
export function named<T>(name: string, run: () => T): T {
  stack.push(name);
  try {
    const result = run();
    if (taps) tap(currentPath(), result);
    return result;
  } finally {
    stack.pop();
  }
}

/** Runs a model and keeps the result of every named part that is a tensor, by path. */
export function tapped<T>(run: () => T): { result: T; taps: Map<string, Tensor> } {
  const outer = taps;
  taps = new Map();
  try {
    return { result: run(), taps };
  } finally {
    taps = outer;
  }
}

/** Keeps a part's result; several go by their numbers. */
function tap(path: string, result: unknown): void {
  if (Array.isArray(result)) result.forEach((one, i) => tap(`${path}.${i}`, one));
  else if (isTensor(result)) taps!.set(path, result);
}

function isTensor(value: unknown): value is Tensor {
  return typeof value === "object" && value !== null && "node" in value && "strides" in value;
}
