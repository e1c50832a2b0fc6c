import assert from "node:assert/strict";
import { type Lifetime, planArenas } from "../../../src/graph/run/arena.ts";
import { Dice } from "../../support/dice.ts";

const limits = { alignment: 16, maxBytes: 1 << 20 };

/** What a program of `count` steps writes: step i writes value i, and reads a few of those before it. */
function program(dice: Dice, count: number, most: number): Lifetime[] {
  const reads = Array.from(
    { length: count },
    (_, step) =>
      Array.from(
        { length: Math.min(step, dice.int(0, 3)) },
        () => step - 1 - Math.min(step - 1, dice.int(0, dice.int(0, 12))),
      ),
  );
  const lifetimes: Lifetime[] = [];
  for (let step = 0; step < count; step++) {
    const readers = reads.flatMap((list, reader) => list.includes(step) ? [reader] : []);
    lifetimes.push({
      bytes: dice.int(0, most),
      first: step,
      last: Math.max(step, ...readers),
      reads: reads[step]!.map((value) => lifetimes[value]!),
    });
  }
  return lifetimes;
}

Deno.test("planArenas() never lets values of random programs overlap in time and space", () => {
  const dice = new Dice(6);
  for (let round = 0; round < 200; round++) {
    const lifetimes = program(dice, dice.int(1, 60), 5000);
    const { places, sizes } = planArenas(lifetimes, limits);
    for (const a of lifetimes) {
      const at = places.get(a)!;
      assert.equal(at.offset % limits.alignment, 0);
      assert.ok(at.offset + a.bytes <= sizes[at.arena]!);
      for (const b of lifetimes) {
        const other = places.get(b)!;
        if (a === b || at.arena !== other.arena || a.first > b.last || b.first > a.last) continue;
        const apart = at.offset + a.bytes <= other.offset || other.offset + b.bytes <= at.offset;
        assert.ok(apart, `values of steps ${a.first} and ${b.first} overlap in round ${round}`);
      }
    }
  }
});

Deno.test("planArenas() lets no step read and write the same buffer", () => {
  const dice = new Dice(7);
  for (let round = 0; round < 200; round++) {
    const lifetimes = program(dice, 40, 3000);
    const { places } = planArenas(lifetimes, limits);
    for (const value of lifetimes) {
      for (const read of value.reads) assert.notEqual(places.get(read)!.arena, places.get(value)!.arena);
    }
  }
});

Deno.test("planArenas() needs two buffers for a chain, however long", () => {
  const lifetimes: Lifetime[] = [];
  for (let step = 0; step < 50; step++) {
    lifetimes.push({ bytes: 1000, first: step, last: step + 1, reads: lifetimes.slice(-1) });
  }
  assert.deepEqual(planArenas(lifetimes, limits).sizes, [1008, 1008]);
});

Deno.test("planArenas() opens another buffer rather than one beyond the limit", () => {
  const lifetimes = Array.from({ length: 5 }, (_, first) => ({ bytes: 400, first, last: 9, reads: [] }));
  const { sizes } = planArenas(lifetimes, { alignment: 256, maxBytes: 1024 });
  assert.deepEqual(sizes, [1024, 1024, 512]);
});
