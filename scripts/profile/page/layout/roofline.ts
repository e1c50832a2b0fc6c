import { shapeText } from "../../figures.ts";
import type { Profile, ProfileRow } from "../../form.ts";

/** A kernel at a size: all rows of it, wherever in the model they are. */
export interface Point {
  /** Equal in two profiles for the same kernel at the same size. */
  readonly key: string;
  readonly kernel: string;
  /** Of the result. */
  readonly shape: string;
  /** Indices of its rows. */
  readonly rows: readonly number[];
  /** FLOP a byte. */
  readonly intensity: number;
  readonly gflops: number;
  readonly gbytes: number;
  /** Of all its dispatches of a step or run. */
  readonly ms: number;
  readonly share: number;
  readonly roof: ProfileRow["roof"];
  readonly ofPeak: number;
  /** Time above what it would take at the peak that binds it, in ms of a step or run. */
  readonly abovePeakMs: number;
}

/** A point for each kernel at each size, the longest first. */
export function pointsOf({ rows, peaks }: Profile, units: number): Point[] {
  const keyOf = (row: ProfileRow) => `${row.kernel} [${row.shape}] ${row.flops} FLOP ${row.bytes} B`;
  const groups = Map.groupBy(rows.keys(), (i) => keyOf(rows[i]!));
  return [...groups].map(([key, indices]): Point => {
    const { kernel, flops, bytes, roof } = rows[indices[0]!]!;
    const sum = (value: (row: ProfileRow) => number) => indices.reduce((sum, i) => sum + value(rows[i]!), 0);
    const [totalMs, count] = [sum((row) => row.totalMs), sum((row) => row.count)];
    const rate = (amount: number) => totalMs > 0 ? count * amount / totalMs / 1e6 : 0;
    const ofPeak = (roof === "memory" ? rate(bytes) : rate(flops)) / peaks[roof]!;
    return {
      key,
      kernel,
      shape: shapeText(rows[indices[0]!]!),
      rows: indices,
      intensity: bytes > 0 ? flops / bytes : 0,
      gflops: rate(flops),
      gbytes: rate(bytes),
      ms: totalMs / units,
      share: sum((row) => row.share),
      roof,
      ofPeak,
      abovePeakMs: Math.max(0, 1 - ofPeak) * totalMs / units,
    };
  }).sort((a, b) => b.ms - a.ms);
}

/** A line of the roofline, from one end to the other: FLOP a byte and GFLOP/s. */
export interface Roof {
  readonly name: string;
  readonly from: readonly [number, number];
  readonly to: readonly [number, number];
}

/**
 * The peaks of an adapter as lines of a chart from `least` to `most` FLOP a byte and from `lowest` GFLOP/s
 * on: memory up to the highest, arithmetic from there.
 */
export function roofsOf(
  { memory, ...arithmetic }: Profile["peaks"],
  [least, most]: readonly [number, number],
  lowest: number,
): Roof[] {
  const peaks = Object.entries(arithmetic).filter(([, rate]) => rate !== undefined) as [string, number][];
  const from = Math.max(least, lowest / memory);
  const ridge = Math.min(most, Math.max(...peaks.map(([, rate]) => rate)) / memory);
  return [
    { name: `memory ${memory.toFixed(0)} GB/s`, from: [from, from * memory], to: [ridge, ridge * memory] },
    ...peaks.map(([name, rate]): Roof => ({
      name: `${name} ${rate.toFixed(0)} GFLOP/s`,
      from: [Math.min(most, Math.max(least, rate / memory)), rate],
      to: [most, rate],
    })),
  ];
}

/** Powers of ten around some values above 0, at least two of them apart. */
export function decadesAround(values: readonly number[]): [number, number] {
  const logs = values.filter((value) => value > 0).map((value) => Math.log10(value));
  if (logs.length === 0) return [1, 100];
  const low = Math.floor(Math.min(...logs));
  return [10 ** low, 10 ** Math.max(low + 2, Math.ceil(Math.max(...logs)))];
}
