import assert from "node:assert/strict";
import { UnrecoverableError } from "bullmq";
import type { Redis } from "ioredis";
import { connect } from "../../../scripts/fleet/connect.ts";
import { type Held, Source } from "../../../scripts/fleet/lease.ts";
import { Mark } from "../../../scripts/fleet/mark.ts";
import { PREFIX, Queues, STALLED, STALLS, ticketOf } from "../../../scripts/fleet/queues.ts";
import { canonicalRequest } from "../../../scripts/fleet/request_name.ts";
import type { Versions } from "denoise/serve";
import { Roster } from "../../../scripts/fleet/roster.ts";
import { refusalOf } from "../../support/files.ts";
import { queueProgram, QueueServer } from "../../support/queue_server.ts";
import { until } from "../../support/until.ts";

const request = (seed: number) => canonicalRequest({ prompt: "a cat", seed }, "sd");

const LOOK = 0.1; // seconds, of a source that looks so often for leases that are over

/** A test with a server of its own. */
function queueTest(name: string, use: (client: Redis, queues: Queues) => Promise<void>): void {
  const fn = async () => {
    await using server = await QueueServer.start();
    const client = await connect(server.url());
    {
      await using queues = new Queues(client);
      await use(client, queues);
    }
    client.disconnect();
  };
  Deno.test({ name, ignore: !queueProgram, fn });
}

/** Where a server keeps the lease of the request with a seed. */
const leaseOf = (seed: number) => `${PREFIX}:sd:${ticketOf(request(seed)).name}:lock`;

/** What a source takes now, after a look for leases that are over: the one before may forbid it for a minute. */
async function takenAnew(client: Redis, source: Source): Promise<Held | undefined> {
  await client.del(`${PREFIX}:sd:stalled-check`);
  await new Promise((resolve) => setTimeout(resolve, 1000 * LOOK));
  return await source.take();
}

queueTest("a request is in its queue once, until it is done", async (client, queues) => {
  assert.deepEqual(await queues.add([request(1), request(2), request(1)], 5), [
    undefined,
    undefined,
    undefined,
  ]);
  assert.deepEqual(await queues.add([request(2), request(3)], 5), ["pending", undefined]);
  assert.deepEqual(await queues.models(), ["sd"]);
  const tickets = [1, 2, 3].map((seed) => ticketOf(request(seed)));
  assert.deepEqual((await queues.counts(["sd"])).get("sd"), { waiting: 3, active: 0, delayed: 0, failed: 0 });
  await using source = new Source(client, "sd", 10);
  const held = (await source.take())!;
  assert.equal(held.job.id, tickets[0]!.name);
  assert.deepEqual(held.job.data, request(1));
  await held.job.moveToCompleted(null, held.token, false);
  assert.deepEqual(await queues.outcomes(tickets), ["done", "pending", "pending"]);
  assert.equal((await queues.done("sd")).count, 1);
  assert.deepEqual(await queues.add([request(1)], 5), [undefined]); // its picture tells whether it is drawn again
});

queueTest(
  "a lease that is renewed lasts; one that is not lets another worker have the request",
  async (client, queues) => {
    await queues.add([request(1)], 5);
    await using first = new Source(client, "sd", 60);
    const held = (await first.take())!;
    await using second = new Source(client, "sd", LOOK);
    {
      const { setInterval: set } = globalThis;
      let renewal: { renew: () => void; ms: number } | undefined;
      globalThis.setInterval = ((renew: () => void, ms: number) => {
        renewal = { renew, ms };
        return set(renew, ms);
      }) as typeof set;
      using _lease = first.hold(held);
      globalThis.setInterval = set;
      assert.equal(renewal!.ms, 20_000); // two may fail
      await client.pexpire(leaseOf(1), 30_000);
      renewal!.renew();
      await until(async () => await client.pttl(leaseOf(1)) > 50_000);
      for (let i = 0; i < 4; i++) assert.equal(await takenAnew(client, second), undefined);
    }
    await client.del(leaseOf(1)); // as its time does
    const again = await until(() => takenAnew(client, second));
    assert.equal(again.job.id, held.job.id);
    await assert.rejects(
      held.job.moveToCompleted(null, held.token, false),
      (error: Error & { code?: unknown }) => {
        assert.equal(typeof error.code, "number"); // by which a worker knows that it lost the lease
        return true;
      },
    );
  },
);

queueTest(
  "a request at which workers end again and again is a dead letter, and lives again after a retry",
  async (client, queues) => {
    await queues.add([request(1)], 5);
    await using source = new Source(client, "sd", 60);
    await using _looking = new Source(client, "sd", LOOK);
    const taken = () => until(() => takenAnew(client, source));
    for (let ended = 0; ended < STALLS; ended++) {
      const { job } = await taken();
      assert.equal(job.deferredFailure, undefined);
      await client.del(leaseOf(1)); // as its time does
    }
    const { job, token } = await taken();
    assert.ok(job.deferredFailure);
    await job.moveToFailed(new UnrecoverableError(job.deferredFailure), token);
    assert.deepEqual(await queues.outcomes([ticketOf(request(1))]), [{ reason: STALLED }]);
    const [letter] = await Array.fromAsync(queues.failed("sd"));
    assert.equal(letter!.reason, STALLED);

    assert.equal(await queues.retry("sd"), 1);
    assert.deepEqual(await queues.outcomes([ticketOf(request(1))]), ["pending"]);
    const again = await taken();
    assert.equal(again.job.deferredFailure, undefined);
    assert.equal(again.job.attemptsMade, 0);
  },
);

queueTest("workers are known while they tell of themselves", async (client) => {
  const roster = new Roster(client);
  const state = {
    ...{ id: "here:1", device: "none", offers: { model: { sd: "12ab" }, lora: { style: "ab12" } } },
    ...{ seconds: 0, done: 0, failed: 0 },
  };
  {
    await using _telling = roster.beat(() => state);
    assert.deepEqual(await until(async () => (await roster.workers())[0]), state);
  }
  assert.deepEqual(await roster.workers(), []);
  await roster.tell({ ...state, id: "gone:2" });
  await client.sadd("denoise:workers", "other:3", "older:4"); // as others may write there
  await client.mset("denoise:worker:other:3", "no JSON", "denoise:worker:older:4", '{"id": "older:4"}');
  assert.deepEqual((await roster.workers()).map(({ id }) => id), ["gone:2"]);
  await client.del("denoise:worker:other:3", "denoise:worker:older:4");
  await client.del("denoise:worker:gone:2"); // as its time does
  assert.deepEqual(await roster.workers(), []);
  assert.deepEqual(await client.smembers("denoise:workers"), []);
});

queueTest(
  "a worker is refused that has other files under names of one that lives, or stores them otherwise",
  async (client) => {
    const roster = new Roster(client);
    const state = { device: "none", seconds: 0, done: 0, failed: 0 };
    const join = (id: string, offers: Versions) => roster.join({ ...state, id, offers });
    await join("here:1", { model: { sd: "12ab f16" }, lora: { style: "ab12" } });
    await join("same:2", {
      model: { sd: "12ab f16", xl: "34cd f16", constructor: "1" },
      vae: { style: "78" },
    });
    const refused: [offers: Versions, line: string][] = [
      [
        { model: { xl: "34cd f16", sd: "56ef f16" } },
        "Cannot offer the model sd: expected the files that here:1 has (12ab f16), got others (56ef f16); offer them under another name",
      ],
      [
        { model: { sd: "12ab f16" }, lora: { style: "cd34" } },
        "Cannot offer the lora style: expected the files that here:1 has (ab12), got others (cd34); offer them under another name",
      ],
      [
        { model: { sd: "12ab f16 in 8000000000 bytes" } },
        "Cannot offer the model sd: expected it to be stored as here:1 has it (f16), got f16 in 8000000000 bytes; " +
        "say the same --dtype and --quantize, or --memory",
      ],
    ];
    for (const [offers, line] of refused) assert.equal(await refusalOf(join("other:3", offers)), line);
    assert.deepEqual((await roster.workers()).map(({ id }) => id), ["here:1", "same:2"]);
  },
);

queueTest(
  "of workers of unlike files that begin at once, the one stays that told first, in whatever order they look",
  async (client) => {
    const state = { device: "none", seconds: 0, done: 0, failed: 0 };
    const outcomes = async (order: readonly string[]) => {
      const roster = new Roster(client);
      const all = order.map((id) => roster.join({ ...state, id, offers: { model: { sd: id } } }));
      const settled = await Promise.allSettled(all); // all tell before the first looks
      const stay = order.filter((_, i) => settled[i]!.status === "fulfilled");
      assert.deepEqual((await roster.workers()).map(({ id }) => id), stay);
      await client.flushall();
      return stay;
    };
    assert.deepEqual(await outcomes(["b", "a"]), ["b"]);
    assert.deepEqual(await outcomes(["a", "b"]), ["a"]);
    assert.deepEqual(await outcomes(["c", "a", "b"]), ["c"]);
  },
);

queueTest("a mark tells whether the server lost what was put there", async (client) => {
  await using mark = await Mark.set(client);
  assert.equal(await mark.isKept(), true);
  const [key] = await client.keys("denoise:mark:*");
  const before = await client.get(key!);
  assert.equal(await mark.isKept(), true);
  await client.set(key!, before!); // as a server that lost its last second
  assert.equal(await mark.isKept(), false);
  assert.equal(await mark.isKept(), true);
  await client.flushall();
  assert.equal(await mark.isKept(), false);
});
