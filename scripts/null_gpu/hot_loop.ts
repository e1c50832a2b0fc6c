import { type Block, blocksOf, type Cycle, cyclesOf, type Instruction } from "./machine_code.ts";

/** Kinds of instructions. Waits, hints and branches count as scalar; "packed" are multiply-adds of two f16 at once. */
export const KINDS = ["matrix", "packed", "fma", "vector", "lds", "global", "barrier", "scalar"] as const;

/** One of them. */
export type Kind = typeof KINDS[number];

/** What a loop does in one turn. */
export interface Loop {
  /** Instructions of every turn by kind; those of loops within it as often as these turn. */
  readonly counts: Readonly<Record<Kind, number>>;
  /** The part of its issue cycles that is multiply-adds: those of matrix units where it has them. */
  readonly arithmetic: number;
  /** The same of a turn that goes through all branches. */
  readonly branching: number;
}

/**
 * Counts a turn of the loop in which a kernel spends its time: the smallest that has three fifths of the multiply-adds of
 * all loops, else the one that has most of them. A loop with a constant number of turns is a part of the one around it:
 * tiles of a product are loaded in the loop around the one that multiplies them. What only some turns do, such as finding
 * the rows of a convolution's next tap, is left out of the counts, unless half of the multiply-adds are in it. Undefined where
 * no loop multiplies. The text is what the layer of a null GPU writes, see layer.ts.
 *
 * Cycles are those in which a SIMD can begin nothing else of the kind: a 16×16×16 matrix product takes 32, a vector
 * instruction lanes over the width of the unit, four times that where it is a root, an exponential or an integer product,
 * everything else one. That is a model for comparing kernels, no clock: waiting for memory, bank conflicts and occupancy are
 * not in it.
 */
export function hotLoop(text: string): Loop | undefined {
  const [, family, lanes] = /^==== (\w+), (\d+) lanes$/m.exec(text) ?? [];
  const passes = Math.max(1, Number(lanes) / (family === "vega10" ? 16 : 32));
  const blocks = blocksOf(text);
  const cycles = cyclesOf(blocks);
  const outermost = (cycle: Cycle) => !cycles.some((other) => isWithin(cycle, other));
  const loops = cycles.filter((cycle) => cycle.turns === undefined || outermost(cycle))
    .map((cycle) => ({ cycle, ...weigh(blocks, cycle, cycles, passes) }))
    .filter(({ multiplying }) => multiplying > 0).sort((a, b) => b.multiplying - a.multiplying);
  const all = loops.filter(({ cycle }) => outermost(cycle)).reduce((sum, loop) => sum + loop.multiplying, 0);
  const hot = loops.findLast(({ multiplying }) => multiplying >= 0.6 * all) ?? loops[0];
  if (!hot) return undefined;
  const branching = hot.multiplying / hot.issued;
  const steady = weigh(blocks, hot.cycle, cycles, passes, true);
  const { counts, multiplying, issued } = 2 * steady.multiplying > hot.multiplying ? steady : hot;
  return { counts, arithmetic: multiplying / issued, branching };
}

function isWithin(inner: Cycle, outer: Cycle): boolean {
  return inner !== outer && inner.blocks.isSubsetOf(outer.blocks);
}

/** A loop's turn, with or without its branches: instructions, the cycles that they issue in, and those of multiply-adds. */
function weigh(
  blocks: readonly Block[],
  cycle: Cycle,
  cycles: readonly Cycle[],
  passes: number,
  steady = false,
) {
  const within = cycles.filter((other) => isWithin(other, cycle));
  const isPassed = (place: number) =>
    [cycle, ...within].every((loop) => !loop.blocks.has(place) || isAlways(loop, place, within));
  const counts = Object.fromEntries(KINDS.map((kind) => [kind, 0])) as Record<Kind, number>;
  const issue = { ...counts };
  for (const place of cycle.blocks) {
    if (steady && !isPassed(place)) continue;
    const turns = within.reduce((n, { blocks, turns = 1 }) => blocks.has(place) ? n * turns : n, 1);
    for (const instruction of blocks[place]!.code) {
      const kind = kindOf(instruction);
      counts[kind] += turns;
      issue[kind] += turns * cyclesFor(instruction, kind, passes);
    }
  }
  const issued = KINDS.reduce((sum, kind) => sum + issue[kind], 0);
  return { counts, issued, multiplying: issue.matrix || issue.packed + issue.fma };
}

/** Whether every turn of a loop goes through a block, or through the head of the loop within it that the block is in. */
function isAlways(loop: Cycle, place: number, within: readonly Cycle[]): boolean {
  const inner = within.filter((other) => isWithin(other, loop) && other.blocks.has(place));
  return loop.always.has(place) || inner.some(({ head }) => loop.always.has(head));
}

function kindOf({ op, operands }: Instruction): Kind {
  if (/^v_s?(wmma|mfma|swmmac)/.test(op)) return "matrix";
  if (/^v_(pk_fma|pk_fmac|dot\d)/.test(op)) return "packed";
  if (/^v_fma_mix/.test(op) && operands.includes("1.0")) return "vector"; // a conversion
  if (/^v_(dual_)?(fma|mad_f|mac_f|mad_mix)/.test(op) || operands.some((text) => /v_dual_fma/.test(text))) {
    return "fma";
  }
  if (op.startsWith("ds_")) return "lds";
  if (/^(buffer|tbuffer|global|flat)_/.test(op)) return "global";
  if (op.startsWith("s_barrier")) return "barrier";
  return op.startsWith("v_") ? "vector" : "scalar";
}

const SLOW = /^v_(exp|log|rcp|rsq|sqrt|sin|cos)_|^v_mul_(lo|hi)_[iu]32/;

function cyclesFor({ op }: Instruction, kind: Kind, passes: number): number {
  if (kind === "matrix") return 32;
  if (kind === "packed" || kind === "fma") return passes;
  if (kind === "vector") return SLOW.test(op) ? 4 * passes : passes;
  return 1;
}
