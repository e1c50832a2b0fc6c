import { bytesOf, viewBytes } from "../../core/dtype.ts";
import { placeOf } from "../../core/shape.ts";
import type { Device } from "../../gpu/device.ts";
import type { Bench, Problem, Trial } from "./bench.ts";
import { fill } from "./fill.ts";
import type { Candidate } from "../node.ts";
import { runOnce } from "./stopwatch.ts";

const MOST = 2 ** 22; // elements that are compared
const PIECE = 2 ** 15; // elements that lie together
const F16_TERMS = 32; // that a candidate may sum in f16 before it goes on in f32

/** Elements of a result: all of them, of a large one pieces from all over it, the first and the last among them. */
export interface Sample {
  /** The first element of each piece. */
  readonly starts: readonly number[];
  readonly pieces: readonly ArrayLike<number>[];
}

/** Runs a trial and reads its result; elements that it leaves out are NaN. */
export async function resultOf(
  device: Device,
  bench: Pick<Bench, "output">,
  problem: Pick<Problem, "dtype" | "count">,
  trial: Trial,
): Promise<Sample> {
  await fill(device, bench.output, "nothing", 0);
  runOnce(device, trial);
  await device.idle();
  return await sampleOf(device, bench, problem);
}

/** Reads elements of what a bench computed last. */
export async function sampleOf(
  device: Device,
  { output }: Pick<Bench, "output">,
  { dtype, count }: Pick<Problem, "dtype" | "count">,
): Promise<Sample> {
  const bytes = bytesOf(dtype);
  const all = count <= MOST;
  const pieces = all ? 1 : MOST / PIECE;
  const length = all ? count : PIECE;
  const last = count - length;
  const starts = Array.from({ length: pieces }, (_, i) => {
    const start = pieces === 1 ? 0 : Math.round(last * i / (pieces - 1));
    return start - start % 4; // reads begin at words
  });
  return {
    starts,
    pieces: await Promise.all(starts.map(async (start, i) => {
      const end = i === pieces - 1 ? count : start + length;
      const aligned = Math.ceil((end - start) * bytes / 4) * 4;
      const data = await device.read(output.buffer, output.offset + start * bytes, aligned);
      return viewBytes(dtype, data, end - start) as ArrayLike<number>;
    })),
  };
}

/**
 * Largest difference between a right candidate's result and the plain one's, in root mean squares of the results.
 *
 * A sum of K terms that are rounded at random is off by u·√(K/2) of its root mean square, where each addition is
 * rounded by u, 2⁻²⁴ in f32. Functions of WGSL may be off by as much as a sum of 512 terms. Where the first input
 * or the result is f16, operands and results may be rounded by 2⁻¹¹, and 32 terms be summed in it: u·√(2 + 32/2);
 * weights in fewer bits are what they are. The largest of millions of errors lies within six standard deviations;
 * two results that are both rounded within eight.
 */
export function toleranceOf(
  { flops, count, reads, dtype }: Pick<Problem, "flops" | "count" | "reads" | "dtype">,
  { errors = 1 }: Pick<Candidate, "errors">,
): number {
  const terms = Math.max(512, flops / 2 / Math.max(1, count));
  const halves = dtype === "f16" || reads[0]?.dtype === "f16";
  const f32 = 2 ** -24 * Math.sqrt(terms / 2);
  return 8 * errors * (f32 + (halves ? 2 ** -11 * Math.sqrt(2 + F16_TERMS / 2) : 0));
}

/** The worst place of a result, if it is too far from the plain one. */
export interface Mismatch {
  /** Number of the element. */
  readonly element: number;
  readonly expected: number;
  readonly got: number;
  /** Largest difference that is still right. */
  readonly bound: number;
}

/** The root mean square of a result's elements; no number where one of them is none. */
export function rootMeanSquare({ pieces }: Sample): number {
  let [squares, count] = [0, 0];
  for (const piece of pieces) {
    for (let i = 0; i < piece.length; i++) squares += piece[i]! ** 2;
    count += piece.length;
  }
  return Math.sqrt(squares / Math.max(1, count));
}

/** Compares a result with the plain one; `tolerance` in root mean squares of the latter. What is no number fits nothing. */
export function mismatch(plain: Sample, result: Sample, tolerance: number): Mismatch | undefined {
  const bound = tolerance * rootMeanSquare(plain);
  let worst: Mismatch | undefined;
  let most = bound;
  plain.pieces.forEach((piece, p) => {
    const other = result.pieces[p]!;
    for (let i = 0; i < piece.length; i++) {
      const off = Math.abs(other[i]! - piece[i]!);
      if (off <= most) continue;
      if (Number.isNaN(off) && worst && Number.isNaN(worst.got)) continue;
      worst = { element: plain.starts[p]! + i, expected: piece[i]!, got: other[i]!, bound };
      most = Number.isNaN(off) ? Infinity : off;
    }
  });
  return worst;
}

/** The same in words. */
export function describeMismatch(problem: Problem, { element, expected, got, bound }: Mismatch): string {
  const at = placeOf(element, problem.axes, problem.strides).join(", ");
  return `expected ${expected.toPrecision(6)} ± ${bound.toPrecision(2)} at [${at}], got ${
    got.toPrecision(6)
  }`;
}
