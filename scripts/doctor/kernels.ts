import type { Device, Traits } from "denoise";
import type { Peer } from "../../bench/peer.ts";
import { benchBytes, problemOf, shapeOf } from "../../src/graph/tuning/bench.ts";
import { choose, idOf } from "../../src/graph/tuning/choice.ts";
import { Kernel, type Node } from "../../src/graph/node.ts";
import { streamOf } from "../../src/graph/run/stream.ts";
import { tune } from "../../src/graph/tuning/tuner.ts";
import { type Case, casesOf, usualDType } from "./cases.ts";
import type { Speeds } from "./speeds.ts";

/** A candidate on one shape. */
export interface CandidateRow {
  /** Its name and constants. */
  readonly id: string;
  /** Undefined where it was not tried. */
  readonly right?: boolean | undefined;
  /** Its wrong result, or the reason why it did not run. */
  readonly why?: string | undefined;
  readonly ms?: number | undefined;
  /** 10¹² operations a second, and their part of what the adapter does at most. */
  readonly tflops?: number | undefined;
  readonly ofPeak?: number | undefined;
  /** 10⁹ bytes a second, at least, and their part of what a copy moves. */
  readonly gbs?: number | undefined;
  readonly ofCopy?: number | undefined;
}

/** A kernel on one shape, with all its candidates. */
export interface KernelRow {
  readonly name: string;
  readonly shape: string;
  readonly flops: number;
  readonly bytes: number;
  /** Id of the candidate that models run, by what was measured before or by guess. */
  readonly chosen?: string | undefined;
  readonly candidates: readonly CandidateRow[];
  /** Candidates of other adapters, and what this one lacks for them. */
  readonly absent: readonly { readonly name: string; readonly needs: string }[];
  /** Why nothing was measured, if so. */
  readonly skipped?: string | undefined;
  readonly torchMs?: number | undefined;
}

/** The kernel that a case records: of several the one with the most arithmetic. */
function kernelOf(device: Device, { record }: Case): Kernel {
  const kernels = new Set<Kernel>();
  const open: Node[] = [streamOf(device).dryRun(record).node];
  for (const node of open) {
    if (node instanceof Kernel) kernels.add(node);
    open.push(...node.sources);
  }
  return [...kernels].sort((a, b) => b.spec.flops - a.spec.flops)[0]!;
}

/** Ids of the candidates that models run on a device, by the names of cases. */
export function chosenOn(device: Device, quick: boolean): Map<string, string> {
  return new Map(casesOf(device, { quick }).map((c) => [c.name, idOf(choose(device, kernelOf(device, c)))]));
}

/** Checks and times all candidates of all cases. */
export async function* measureKernels(
  device: Device,
  { quick, chosen, torch }: {
    quick: boolean;
    chosen: ReadonlyMap<string, string>;
    torch?: Peer | undefined;
  },
): AsyncGenerator<KernelRow> {
  const absent = absentOn(device, quick);
  for (const [i, c] of casesOf(device, { quick }).entries()) {
    const problem = problemOf(kernelOf(device, c));
    const [outcome] = await tune(device, [problem], { keep: false, onNotice: () => {} });
    const { ms, dropped, skipped } = outcome!;
    const bytes = benchBytes(problem);
    const candidates = problem.candidates.map((candidate): CandidateRow => {
      const id = idOf(candidate);
      const time = ms[id];
      if (time === undefined) return { id, ...(id in dropped ? { right: false, why: dropped[id] } : {}) };
      const tflops = problem.flops / time / 1e9;
      return { id, right: true, ms: time, tflops, gbs: bytes / time / 1e6 };
    });
    const torchMs = c.peer && await torch?.measure(c.peer, 1, 100);
    const { name } = c;
    const row = {
      name,
      shape: shapeOf(problem),
      flops: problem.flops,
      bytes,
      chosen: chosen.get(name),
      candidates,
    };
    yield { ...row, absent: absent[i] ?? [], ...skipped && { skipped }, ...torchMs && { torchMs } };
  }
}

/** The same rows with the parts of what the adapter does at most. */
export function withShares(rows: readonly KernelRow[], speeds: Speeds | undefined): KernelRow[] {
  const peakOf = (id: string) =>
    /matrix/.test(id) ? speeds?.matrix : /half/.test(id) ? speeds?.f16 : speeds?.f32;
  return rows.map((row) => ({
    ...row,
    candidates: row.candidates.map((candidate) => {
      const { tflops, gbs, id } = candidate;
      const peak = peakOf(id);
      return {
        ...candidate,
        ...tflops !== undefined && peak && { ofPeak: tflops / peak },
        ...gbs !== undefined && speeds && { ofCopy: gbs / speeds.copy },
      };
    }),
  }));
}

const MATRICES = [{ componentType: "f16", resultComponentType: "f32", M: 16, N: 16, K: 16 }];
const LANES = { subgroups: { min: 32, max: 32 }, lanes: 32 };
const GPU = { software: false, joins: true };
/** Traits of other adapters, and types of models on them. */
const OTHERS: readonly { traits: Partial<Traits>; dtype?: "f16" }[] = [
  { traits: { f16: true }, dtype: "f16" },
  { traits: LANES },
  { traits: { f16: true, ...LANES }, dtype: "f16" },
  { traits: { f16: true, matrices: MATRICES, ...LANES }, dtype: "f16" },
  { traits: GPU },
  { traits: { f16: true, matrices: MATRICES, ...LANES, ...GPU }, dtype: "f16" },
  { traits: { software: true, subgroups: { min: 8, max: 8 }, lanes: 8 } },
];

/** Words for what one of `OTHERS` has and an adapter, or models on it, have not. */
function needsOf(device: Device, { traits, dtype }: typeof OTHERS[number]): string {
  const own = device.traits;
  const words = [
    traits.software === false && own.software && "a GPU",
    traits.software && !own.software && "an adapter that is a CPU",
    traits.matrices && own.matrices.length === 0 && "matrix units",
    traits.f16 && !own.f16 && "shader-f16",
    dtype && own.f16 && usualDType(device) !== dtype && "models in f16",
    traits.lanes && own.lanes !== traits.lanes && `subgroups of ${traits.lanes} lanes`,
  ].filter((word) => typeof word === "string");
  return [words.slice(0, -1).join(", "), words.at(-1)].filter(Boolean).join(" and ") || "another adapter";
}

/** For each case, the candidates that adapters have that can do more, or other things. */
function absentOn(device: Device, quick: boolean): { name: string; needs: string }[][] {
  const { software } = device.traits;
  const specs = (dtype?: "f16") =>
    casesOf(device, { quick, dtype, software }).map((c) => kernelOf(device, c).spec);
  const known = specs().map(({ name, candidates }) => ({
    name,
    names: new Set(candidates.map((c) => c.name)),
  }));
  const absent = known.map((): { name: string; needs: string }[] => []);
  const own = { ...device.traits };
  for (const other of OTHERS) {
    const { traits, dtype } = other;
    const needs = needsOf(device, other);
    Object.assign(device.traits, traits);
    try {
      for (const [i, { name: kernel, candidates }] of specs(dtype).entries()) {
        const { name: same, names } = known[i]!;
        if (kernel !== same) continue; // another way through the operator
        for (const { name } of candidates) {
          if (names.has(name)) continue;
          names.add(name);
          absent[i]!.push({ name, needs });
        }
      }
    } finally {
      Object.assign(device.traits, own);
    }
  }
  return absent;
}
