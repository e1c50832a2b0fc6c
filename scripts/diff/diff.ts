import { isDeepStrictEqual } from "node:util";
import { scope, type Tensor } from "denoise";
import type { Model, TensorInfo } from "denoise/models";
import { formatShape, type Shape, size } from "../../src/core/shape.ts";
import type { RecordedCall } from "./calls.ts";
import { type Difference, differenceOf, isSameOrder } from "./difference.ts";
import { matchPaths, type PathPair } from "./paths.ts";
import type { Recording, Sources } from "./recording.ts";
import { depthsOf, toleranceOf } from "./tolerance.ts";

/** A feature or a result, here and there. */
export interface Compared extends Difference {
  /** As the recording has it. */
  readonly path: string;
  readonly shape: readonly number[];
  readonly tolerance: number;
  readonly isRight: boolean;
}

/** What a model computes beside a recording of it. */
export interface Diff {
  readonly className: string;
  readonly call: string;
  /** Keys of the config that have other values there, with both. */
  readonly config: readonly { readonly key: string; readonly here: unknown; readonly there: unknown }[];
  /** In the order of the recording. */
  readonly features: readonly Compared[];
  readonly results: readonly Compared[];
  /** The first feature, or else the first result, that is not right. */
  readonly first: Wrong | undefined;
  /**
   * Features that have other shapes here, as what nothing reads need not be computed: they are not compared.
   */
  readonly unlike: readonly { readonly path: string; readonly here: Shape; readonly there: Shape }[];
  /** Paths that only one of them has. */
  readonly onlyHere: readonly string[];
  readonly onlyThere: readonly string[];
}

/** A feature that is not right. */
export interface Wrong extends Compared {
  /** The compared features that it is computed from, without others between them. */
  readonly sources: readonly Compared[];
  /** True if it is computed from features, compared or not; else it is from inputs and weights alone. */
  readonly hasSources: boolean;
}

const MOST_BYTES = 2 ** 28; // of features of one call

/** Options of a comparison. */
export interface DiffOptions {
  /** Beginning of the paths that are compared. */
  readonly only?: string | undefined;
  /** In place of the one that follows from the types. */
  readonly tolerance?: number | undefined;
}

/**
 * Calls a model as in a recording, and compares all features that both have. Large ones are made in several
 * calls.
 */
export async function diffModel(
  model: Model,
  recording: Recording,
  call: RecordedCall,
  { only = "", tolerance }: DiffOptions,
): Promise<Diff> {
  const { facts } = recording;
  const config = configChanges(model.config, facts.config);
  const { pairs, onlyHere, onlyThere } = matchPaths(model, recording, only);
  const depths = depthsOf(facts.sources);
  const features: Compared[] = [];
  const compare = async (path: string, name: string, info: TensorInfo, got: Tensor): Promise<Compared> => {
    const difference = differenceOf(await got.data(), await recording.read(info), info.shape);
    const types = [model.dtype, info.dtype];
    const within = tolerance ?? toleranceOf(types, depths.get(name) ?? 1, difference.spread);
    return { path, shape: info.shape, tolerance: within, isRight: difference.error <= within, ...difference };
  };
  const results: Compared[] = [];
  const unlike: Diff["unlike"][number][] = [];
  for (const [i, group] of groupsOf(pairs, recording).entries()) {
    using _made = scope();
    const called = explained(config, () => call(group.map(({ here }) => here)));
    for (const { here, there } of group) {
      const [got, info] = [called.taps[here]!, recording.features.get(there)!];
      if (isSameOrder(got.shape, info.shape)) features.push(await compare(there, there, info, got));
      else unlike.push({ path: there, here: got.shape, there: info.shape });
    }
    for (const [name, info] of i === 0 ? recording.results : []) {
      const result = called.results[name];
      if (!result) continue;
      if (!isSameOrder(result.shape, info.shape)) throw otherShape(name, result.shape, info.shape);
      results.push(await compare(name, `results/${name}`, info, result));
    }
    model.retrace();
  }
  return {
    className: facts.class,
    call: facts.call,
    config,
    features,
    results,
    first: firstWrong(features, results, facts.sources),
    unlike,
    onlyHere,
    onlyThere,
  };
}

function otherShape(name: string, here: Shape, there: Shape): TypeError {
  return new TypeError(
    `Cannot compare the result ${name}: expected the recorded shape ${formatShape(there)}, ` +
      `got ${formatShape(here)}; record the same model`,
  );
}

function firstWrong(
  features: readonly Compared[],
  results: readonly Compared[],
  sources: Sources,
): Wrong | undefined {
  const wrong = (list: readonly Compared[]) => list.find(({ isRight }) => !isRight);
  const feature = wrong(features);
  const first = feature ?? wrong(results);
  if (!first) return undefined;
  const name = feature ? first.path : `results/${first.path}`;
  const hasSources = (sources[name] ?? []).length > 0;
  return { ...first, sources: sourcesOf(name, features, sources), hasSources };
}

/** Pairs in their order, as many together as fit in memory well; one group at least. */
function groupsOf(pairs: readonly PathPair[], { features }: Recording): PathPair[][] {
  const groups: PathPair[][] = [[]];
  let bytes = 0;
  for (const pair of pairs) {
    bytes += 4 * size(features.get(pair.there)!.shape);
    if (bytes > MOST_BYTES && groups.at(-1)!.length > 0) {
      groups.push([]);
      bytes = 0;
    }
    groups.at(-1)!.push(pair);
  }
  return groups;
}

/** The compared features that one is computed from, through those that were not compared. */
function sourcesOf(name: string, features: readonly Compared[], sources: Sources): Compared[] {
  const known = new Map(features.map((one) => [one.path, one]));
  const found = new Set<Compared>();
  const seen = new Set<string>();
  const left = [...sources[name] ?? []];
  while (left.length) {
    const source = left.shift()!;
    if (seen.has(source)) continue;
    seen.add(source);
    const compared = known.get(source);
    if (compared) found.add(compared);
    else left.push(...sources[source] ?? []);
  }
  return [...found];
}

/** Makes a call; where its inputs are not taken, the error says in what the configs differ. */
function explained<T>(config: Diff["config"], call: () => T): T {
  try {
    return call();
  } catch (cause) {
    if (config.length === 0) throw cause;
    const keys = config.map(({ key }) => key).join(", ");
    throw new TypeError(`${(cause as Error).message}; the recorded config has another ${keys}`, { cause });
  }
}

/**
 * Keys that both configs have, with other values; an absent one is null, as in Python. `dtype` is not told:
 * transformers keeps in it in which type the model is loaded.
 */
function configChanges(here: unknown, there: Readonly<Record<string, unknown>>): Diff["config"] {
  const plain = (value: unknown) => JSON.parse(JSON.stringify(value ?? null));
  return Object.entries(here as Record<string, unknown>)
    .filter(([key, value]) =>
      key !== "dtype" && Object.hasOwn(there, key) && !isDeepStrictEqual(plain(value), plain(there[key]))
    )
    .map(([key, value]) => ({ key, here: value, there: there[key] }));
}
