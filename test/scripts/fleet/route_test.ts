import assert from "node:assert/strict";
import { Route } from "../../../scripts/fleet/route.ts";

const sight = (model: string, waiting: number, others = 0) => ({ model, waiting, others });

Deno.test("a worker stays with its model for a turn, and leaves it only for a queue that nobody serves", () => {
  const route = new Route(10);
  assert.equal(route.isLoyal(0), false);
  assert.deepEqual(route.order([sight("a", 5), sight("b", 9)]), ["a", "b"]);
  route.took("a", 0);
  assert.equal(route.isLoyal(9_999), true);
  assert.equal(route.isLoyal(10_000), false);
  assert.deepEqual(route.order([sight("a", 5), sight("b", 1)]), ["b", "a"]);
  assert.deepEqual(route.order([sight("a", 5), sight("b", 1, 1)]), ["a", "b"]);
  assert.deepEqual(route.order([sight("a", 5, 3), sight("b", 1, 1)]), ["a", "b"]);
  assert.deepEqual(route.order([sight("a", 0), sight("b", 1, 2), sight("c", 1, 1)]), ["c", "b"]);
});

Deno.test("a worker that stays begins another turn", () => {
  const route = new Route(10);
  route.took("a", 0);
  route.took("a", 5_000);
  assert.equal(route.isLoyal(10_000), false);
  route.took("a", 10_000);
  assert.equal(route.isLoyal(19_999), true);
});

Deno.test("one worker serves each of three full queues in turn, so that none starves", () => {
  const route = new Route(10);
  const served: string[] = [];
  const drawn = { a: 0, b: 0, c: 0 };
  for (let now = 0; now < 120_000; now += 1000) {
    const model = route.isLoyal(now)
      ? route.current!
      : route.order([sight("a", 1000), sight("b", 500), sight("c", 1)])[0]!;
    if (served.at(-1) !== model) served.push(model);
    drawn[model as "a"]++;
    route.took(model, now);
  }
  assert.deepEqual(served, ["a", "b", "c", "a", "b", "c", "a", "b", "c", "a", "b", "c"]);
  assert.deepEqual(drawn, { a: 40, b: 40, c: 40 });
});

Deno.test("workers spread over the queues, and a queue of one request waits for two turns at most", () => {
  const queues = ["a", "b", "c", "d", "e"];
  const workers = [new Route(10), new Route(10)];
  const seen = new Map<string, number>();
  let longest = 0;
  for (let now = 0; now < 300_000; now += 1000) {
    for (const route of workers) {
      const others = (model: string) =>
        workers.filter((one) => one !== route && one.current === model).length;
      const sights = queues.map((model) => sight(model, 100, others(model)));
      const model = route.isLoyal(now) ? route.current! : route.order(sights)[0]!;
      assert.equal(others(model), 0);
      route.took(model, now);
      seen.set(model, now);
    }
    if (now > 50_000) longest = Math.max(longest, ...queues.map((model) => now - seen.get(model)!));
  }
  assert.ok(longest <= 30_000, `${longest} ms`);
});
