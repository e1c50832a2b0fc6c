import type { Device, Tensor } from "denoise";
import { scope } from "denoise";
import { streamOf } from "../src/graph/run/stream.ts";

/** One engine's turn: a figure in milliseconds, or undefined where it has none. */
export type Turn = () => Promise<number | undefined>;

/** How long a measurement goes on. */
export interface Patience {
  rounds: number;
  /** No further round begins after this, once every engine had two turns. */
  mostMs: number;
}

/** Lets the engines take turns, A B C A B C …, and returns the median of each. Who has no figure is not asked again. */
export async function takeTurns(
  turns: readonly Turn[],
  { rounds, mostMs }: Patience,
): Promise<(number | undefined)[]> {
  const figures: number[][] = turns.map(() => []);
  const out = new Set<number>();
  const start = performance.now();
  for (let round = 0; round < rounds; round++) {
    if (round >= 2 && performance.now() - start > mostMs) break;
    for (const [i, turn] of turns.entries()) {
      if (out.has(i)) continue;
      const ms = await turn();
      if (ms === undefined) out.add(i);
      else figures[i]!.push(ms);
    }
  }
  return figures.map(median);
}

/** The middle value, or undefined of none. */
export function median(values: readonly number[]): number | undefined {
  return values.toSorted((a, b) => a - b)[values.length >> 1];
}

/** Records, submits once, and waits for the end: wall time in milliseconds. */
export async function timeOnce(device: Device, record: () => Tensor): Promise<number> {
  using _made = scope();
  const start = performance.now();
  record();
  await streamOf(device).flush();
  await device.idle();
  return performance.now() - start;
}

/** Mean time of one run over a turn of at least `turnMs`. */
export async function turnOf(device: Device, record: () => Tensor, turnMs: number): Promise<number> {
  let [runs, ms] = [0, 0];
  while (runs === 0 || ms < turnMs) {
    ms += await timeOnce(device, record);
    runs++;
  }
  return ms / runs;
}
