import type { Model } from "denoise/models";
import type { Recording } from "./recording.ts";

/** A part of a model, here and in a recording. */
export interface PathPair {
  readonly here: string;
  readonly there: string;
}

/**
 * The parts that a model and a recording both have, in the recording's order, of those whose paths begin with
 * `only`. Of a module with several results there a part that has one here is the first.
 */
export function matchPaths(
  model: Model,
  { features, facts }: Recording,
  only: string,
): { pairs: PathPair[]; onlyHere: string[]; onlyThere: string[] } {
  const { prefix = "" } = model.constructor as { prefix?: string }; // as transformers 4 had it in front of all paths
  const plain = (path: string) => path.startsWith(prefix) ? path.slice(prefix.length) : path;
  const ours = new Set(model.paths.filter((path) => path.startsWith(only)));
  const theirs = new Set(Object.keys(facts.sources).map(plain)); // those that were not written, too
  const wanted = [...features.keys()].filter((path) => plain(path).startsWith(only));
  const pairs = wanted.flatMap((there): PathPair[] => {
    const path = plain(there);
    if (ours.has(path)) return [{ here: path, there }];
    const module = path.replace(/\.0$/, "");
    const isFirst = module !== path && ours.has(module) && !theirs.has(module);
    return isFirst ? [{ here: module, there }] : [];
  });
  const matched = new Set(pairs.map(({ there }) => there));
  const called = new Set(theirs.values().map((path) => path.split(".")[0])); // a VAE's call has half of its parts
  const isThere = (path: string) => theirs.has(path) || theirs.has(`${path}.0`);
  return {
    pairs,
    onlyHere: [...ours].filter((path) => !isThere(path) && called.has(path.split(".")[0])),
    onlyThere: wanted.filter((path) => !matched.has(path)),
  };
}
