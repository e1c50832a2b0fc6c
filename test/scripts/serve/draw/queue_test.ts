import assert from "node:assert/strict";
import { Queue } from "../../../../scripts/serve/draw/queue.ts";

Deno.test("who cannot be told how many are in front is refused alone, and the queue goes on", async () => {
  const queue = new Queue(9);
  const done: string[] = [];
  const gate = Promise.withResolvers<void>();
  const work = (name: string) => () => {
    done.push(name);
    return name === "first" ? gate.promise : Promise.resolve();
  };
  const first = queue.run(work("first"));
  const failing = (at: number) => ({
    onAhead: (count: number) => {
      if (count === at) throw new Error(`told ${count}`);
    },
  });
  await assert.rejects(queue.run(work("never"), failing(1)), /told 1/);
  assert.equal(queue.waiting, 0);
  const second = queue.run(work("second"));
  const third = assert.rejects(queue.run(work("third"), failing(1)), /told 1/); // which is told 2 at first
  const told: number[] = [];
  const fourth = queue.run(work("fourth"), { onAhead: (count) => told.push(count) });
  gate.resolve();
  await Promise.all([first, second, third, fourth]);
  assert.deepEqual(done, ["first", "second", "fourth"]);
  assert.equal(told[0], 3);
  assert.deepEqual([queue.busy, queue.waiting], [false, 0]);
});
