/** Reads AMD's machine code as Mesa prints it: its blocks, and how they follow each other. */

/** One instruction, e.g. "v_fmac_f32_e32" of "v1, v59, v63". */
export interface Instruction {
  readonly op: string;
  readonly operands: readonly string[];
}

/** Instructions without a branch between them. */
export interface Block {
  readonly code: readonly Instruction[];
  /** What may come next, as places in the list of blocks. */
  readonly next: readonly number[];
  /** Those of them that come next only where none of the lanes goes on. */
  readonly idle: readonly number[];
}

/** A loop: the blocks through which one comes from its head back to it. */
export interface Cycle {
  readonly head: number;
  readonly blocks: ReadonlySet<number>;
  /** Those that every turn goes through, or those of a loop within it whenever that turns. */
  readonly always: ReadonlySet<number>;
  /** How often it turns, where the code has that as a constant. */
  readonly turns: number | undefined;
}

/** The blocks of the last listing in a text; none where the driver could not print one. */
export function blocksOf(text: string): Block[] {
  const start = text.lastIndexOf("==== Assembly");
  if (start < 0) return [];
  const parts = text.slice(start).split(/^BB(\d+):$/m).slice(1);
  const names: string[] = [];
  const codes: Instruction[][] = [];
  for (let i = 0; i < parts.length; i += 2) {
    names.push(`BB${parts[i]}`);
    codes.push([...parts[i + 1]!.matchAll(/^\s+([a-z]\w*)([^;\n]*)/gm)].map(([, op, rest]) => ({
      op: op!,
      operands: rest!.trim().split(/,\s*/),
    })));
  }
  return codes.map((code, i) => {
    const targets = (name: RegExp) =>
      code.filter(({ op }) => name.test(op))
        .map(({ operands }) => names.indexOf(operands[0]!)).filter((place) => place >= 0);
    const ends = code.some(({ op }) => op === "s_branch" || op === "s_endpgm");
    const next = [...targets(/^s_c?branch/), ...(ends || i + 1 === codes.length ? [] : [i + 1])];
    return { code, next, idle: targets(/^s_cbranch_execz/) };
  });
}

/** All loops of a listing. The compiler keeps the blocks of a loop together, its head first. */
export function cyclesOf(blocks: readonly Block[]): Cycle[] {
  const before = blocks.map((_, i) => [...blocks.keys()].filter((j) => blocks[j]!.next.includes(i)));
  return [...blocks.keys()].flatMap((head) => {
    const tails = before[head]!.filter((tail) => tail >= head);
    if (tails.length === 0) return [];
    const found = new Set([head]);
    const waiting = tails.filter((tail) => tail !== head);
    while (waiting.length) {
      const place = waiting.pop()!;
      if (found.has(place) || place < head) continue;
      found.add(place);
      waiting.push(...before[place]!);
    }
    const always = new Set([...found].filter((place) => !avoids(blocks, head, tails, found, place)));
    return [{ head, blocks: found, always, turns: turnsOf(blocks, head, found) }];
  });
}

/** Whether a turn can go from a loop's head to one of its tails, lanes going on, around one block. */
function avoids(
  blocks: readonly Block[],
  head: number,
  tails: readonly number[],
  loop: ReadonlySet<number>,
  around: number,
): boolean {
  const seen = new Set([around]);
  const waiting = [head];
  while (waiting.length) {
    const place = waiting.pop()!;
    if (seen.has(place) || !loop.has(place)) continue;
    if (tails.includes(place)) return true;
    seen.add(place);
    const { next, idle } = blocks[place]!;
    waiting.push(...next.filter((to) => to !== head && !idle.includes(to)));
  }
  return false;
}

/**
 * How often a loop turns: one of its registers has a constant added, and is compared with another. What it begins with is
 * the constant last moved into it in front of the loop, or 0, as with a lane's number.
 */
function turnsOf(blocks: readonly Block[], head: number, loop: ReadonlySet<number>): number | undefined {
  const code = [...loop].toSorted((a, b) => a - b).flatMap((place) => blocks[place]!.code);
  const ahead = blocks.slice(0, head).flatMap((block) => block.code);
  for (const { op, operands: [counter, ...sources] } of code) {
    if (!/^[sv]_add_(nc_|co_)?[iu]32/.test(op) || !sources.includes(counter!)) continue;
    const step = sources.map(constant).find((value) => value !== undefined);
    if (!step) continue;
    const set = ahead.findLast(({ operands }) => operands[0] === counter);
    const first = set && /^[sv]_mov/.test(set.op) ? constant(set.operands[1]!) ?? 0 : 0;
    for (const { op, operands } of code) {
      if (!/^(s_cmpk?|v_cmpx?)_/.test(op) || !operands.includes(counter!)) continue;
      const bound = operands.map(constant).find((value) => value !== undefined);
      const turns = bound === undefined ? 0 : Math.ceil((bound - first) / step);
      if (turns > 0) return turns;
    }
  }
  return undefined;
}

/** The value of an operand that is a number. */
function constant(operand: string): number | undefined {
  return /^-?(\d+|0x[\da-f]+)$/.test(operand) ? Number(operand) : undefined;
}
