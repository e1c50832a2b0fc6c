import type { GraphStep } from "./graph.ts";

/** A module of a model with its dispatches. */
export interface Module {
  /** Path, "" of the whole. */
  readonly path: string;
  /** Dispatches that are of none of its parts. */
  readonly steps: GraphStep[];
  /** Modules within, in the order in which they first run. */
  readonly parts: Module[];
}

/**
 * Names of the modules on a path, a number with the name in front: "resnets.0.conv1" is of "resnets.0" and
 * "conv1".
 */
export function partsOf(path: string): string[] {
  return path.match(/[^.]+(\.\d+(?=\.|$))*/g) ?? [];
}

/** The tree of modules whose dispatches these are. */
export function modulesOf(steps: readonly GraphStep[]): Module {
  const whole: Module = { path: "", steps: [], parts: [] };
  const known = new Map<string, Module>([["", whole]]);
  for (const step of steps) {
    let module = whole;
    for (const name of partsOf(step.path)) {
      const path = module.path ? `${module.path}.${name}` : name;
      let part = known.get(path);
      if (!part) {
        known.set(path, part = { path, steps: [], parts: [] });
        module.parts.push(part);
      }
      module = part;
    }
    module.steps.push(step);
  }
  return whole;
}
