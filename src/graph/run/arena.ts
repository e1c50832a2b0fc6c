import { alignUp } from "../../gpu/memory/buffers.ts";

/** A value that needs memory from one step to another. */
export interface Lifetime {
  readonly bytes: number;
  /** Index of the step that writes it. */
  readonly first: number;
  /** Index of the last step that reads it. */
  readonly last: number;
  /** Lifetimes that the writing step reads: they may not lie in the same buffer (WebGPU forbids it). */
  readonly reads: readonly Lifetime[];
}

/** Place of a value: a buffer by its number, and a byte in it. */
export interface Place {
  readonly arena: number;
  readonly offset: number;
}

interface Gap {
  start: number;
  end: number;
}

/** One buffer being planned: its size so far and the free gaps in it. */
class Arena {
  size = 0;
  readonly gaps: Gap[] = [];

  /** The smallest gap that holds `bytes`, and how many bytes the buffer would have to grow. */
  find(bytes: number): { gap?: Gap; growth: number } {
    const fitting = this.gaps.filter((gap) => gap.end - gap.start >= bytes);
    fitting.sort((a, b) => (a.end - a.start) - (b.end - b.start));
    if (fitting.length) return { gap: fitting[0]!, growth: 0 };
    const tail = this.gaps.find((gap) => gap.end === this.size);
    return { ...tail && { gap: tail }, growth: bytes - (tail ? tail.end - tail.start : 0) };
  }

  take(bytes: number): number {
    const { gap, growth } = this.find(bytes);
    const start = gap ? gap.start : this.size;
    this.size += growth;
    if (gap) {
      gap.start += Math.min(bytes, gap.end - gap.start);
      if (gap.start === gap.end) this.gaps.splice(this.gaps.indexOf(gap), 1);
    }
    return start;
  }

  give(start: number, bytes: number): void {
    let [from, to] = [start, start + bytes];
    for (let i = this.gaps.length - 1; i >= 0; i--) {
      const gap = this.gaps[i]!;
      if (gap.end !== from && gap.start !== to) continue;
      [from, to] = [Math.min(from, gap.start), Math.max(to, gap.end)];
      this.gaps.splice(i, 1);
    }
    this.gaps.push({ start: from, end: to });
  }
}

/**
 * Places values in as few and as small buffers as a greedy walk over the steps finds. No step reads and
 * writes the same buffer, and no two values that live at once overlap.
 */
export function planArenas(
  lifetimes: readonly Lifetime[],
  limits: { alignment: number; maxBytes: number },
): { places: Map<Lifetime, Place>; sizes: number[] } {
  const arenas: Arena[] = [];
  const places = new Map<Lifetime, Place>();
  const live = new Set<Lifetime>();
  for (const value of [...lifetimes].sort((a, b) => a.first - b.first)) {
    for (const other of live) {
      if (other.last >= value.first) continue;
      const { arena, offset } = places.get(other)!;
      arenas[arena]!.give(offset, alignUp(other.bytes, limits.alignment));
      live.delete(other);
    }
    const bytes = alignUp(value.bytes, limits.alignment);
    const forbidden = new Set(value.reads.map((read) => places.get(read)?.arena));
    let best = -1;
    let growth = Infinity;
    arenas.forEach((arena, i) => {
      const needed = arena.find(bytes).growth;
      if (forbidden.has(i) || arena.size + needed > limits.maxBytes || needed >= growth) return;
      [best, growth] = [i, needed];
    });
    if (best < 0) best = arenas.push(new Arena()) - 1;
    places.set(value, { arena: best, offset: arenas[best]!.take(bytes) });
    live.add(value);
  }
  return { places, sizes: arenas.map((arena) => arena.size) };
}
