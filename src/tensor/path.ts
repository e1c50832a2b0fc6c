/** The names of the modules being recorded, the outermost first. */
const names: string[] = [];

/** Number of these names. */
export function pathLength(): number {
  return names.length;
}

/**
 * The dotted path of the modules being recorded, e.g. "down_blocks.1.attentions.0"; without the first
 * `outside` names.
 */
export function currentPath(outside = 0): string {
  return (outside > 0 ? names.slice(outside) : names).join(".");
}

/** Runs work under a name that dispatches and profiles carry, but that is no part of the model. */
export function labelled<T>(name: string, run: () => T): T {
  names.push(name);
  try {
    return run();
  } finally {
    names.pop();
  }
}
