import assert from "node:assert/strict";
import { Queue } from "bullmq";
import { DeviceLostError } from "denoise";
import type { Drawer, DrawOptions, DrawRequest } from "denoise/serve";
import { RefusalError } from "denoise/serve";
import type { Redis } from "ioredis";
import { connect } from "../../../scripts/fleet/connect.ts";
import { PREFIX, Queues, ticketOf } from "../../../scripts/fleet/queues.ts";
import { canonicalRequest, filesOf } from "../../../scripts/fleet/request_name.ts";
import type { Results } from "../../../scripts/fleet/results.ts";
import { Roster } from "../../../scripts/fleet/roster.ts";
import { FleetWorker } from "../../../scripts/fleet/work.ts";
import { queueProgram, QueueServer } from "../../support/queue_server.ts";
import { until } from "../../support/until.ts";

const request = (seed: number, more: object = {}) =>
  canonicalRequest({ prompt: "a cat", seed, ...more }, "sd");

/** A worker whose drawer and store are the test's, and its queue. */
class Rig {
  readonly pictures = new Map<string, Uint8Array>();
  readonly lines: string[] = [];
  readonly stop = new AbortController();
  readonly leave = new AbortController();
  draw = (_request: DrawRequest, _options: DrawOptions): Promise<void> => Promise.resolve();
  put = (_file: string): void => {};

  constructor(readonly client: Redis, readonly queues: Queues, readonly id = "test:1") {}

  /** Works until `isEnd` of a line that was told. */
  async run(isEnd: (line: string) => boolean): Promise<void> {
    const drawer = {
      models: ["sd"],
      versions: () => ({ model: { sd: "12ab" } }),
      device: { describe: () => "a stub" },
      draw: async (request: DrawRequest, options: DrawOptions) => {
        await this.draw(request, options);
        const pictures = Array.from({ length: request.count ?? 1 }, (_, i) => ({ png: new Uint8Array([i]) }));
        return { pictures, notices: [] };
      },
    } as unknown as Drawer;
    const results: Results = {
      has: (file) => Promise.resolve(this.pictures.has(file)),
      put: (file, png) => {
        this.put(file);
        this.pictures.set(file, png);
        return Promise.resolve();
      },
    };
    const worker = new FleetWorker(drawer, this.client, results, {
      ...{ id: this.id, lease: 5, turn: 60 },
      ...{ stop: this.stop.signal, leave: this.leave.signal },
      onLine: (line) => {
        this.lines.push(line);
        if (isEnd(line)) this.stop.abort();
      },
    });
    await worker.run();
  }
}

function rigTest(name: string, use: (rig: Rig) => Promise<void>): void {
  const fn = async () => {
    await using server = await QueueServer.start();
    const client = await connect(server.url());
    {
      await using queues = new Queues(client);
      await use(new Rig(client, queues));
    }
    client.disconnect();
  };
  Deno.test({ name, ignore: !queueProgram, fn });
}

rigTest(
  "each picture of a request is put under its name; those that are there are not drawn",
  async (rig) => {
    const drawn: unknown[] = [];
    rig.draw = ({ seed }) => Promise.resolve(void drawn.push(seed));
    const requests = [request(1, { count: 3 }), request(2), request(3)];
    rig.pictures.set(filesOf(requests[1]!)[0]!, new Uint8Array([9]));
    await rig.queues.add(requests, 100);
    await rig.run(() => rig.lines.length === 3);
    assert.deepEqual(drawn, [1n, 3n]);
    assert.deepEqual([...rig.pictures.keys()].sort(), requests.flatMap(filesOf).sort());
    assert.deepEqual([...rig.pictures.get(filesOf(requests[0]!)[2]!)!], [2]);
    assert.match(rig.lines[1]!, / was there$/);
    assert.deepEqual(await rig.queues.outcomes(requests.map(ticketOf)), ["done", "done", "done"]);
    assert.deepEqual(await new Roster(rig.client).workers(), []);
  },
);

rigTest(
  "a request that is refused is a dead letter; one that fails for another reason is tried again later",
  async (rig) => {
    const errors = [
      new RefusalError("invalid", "Cannot draw: it is poison"),
      new RefusalError("no memory", "Cannot draw: no memory"),
      new RefusalError("failed", "Cannot draw: a file is gone"),
    ];
    rig.draw = ({ seed }) => Promise.reject(errors[Number(seed)]);
    const requests = errors.map((_, seed) => request(seed));
    await rig.queues.add(requests, 100);
    await rig.run(() => rig.lines.length === 3);
    const { delayed, failed } = (await rig.queues.counts(["sd"])).get("sd")!;
    assert.deepEqual([delayed, failed], [2, 1]);
    assert.deepEqual(await rig.queues.outcomes(requests.map(ticketOf)), [
      { reason: "Cannot draw: it is poison" },
      "pending",
      "pending",
    ]);
    assert.match(rig.lines[1]!, / failed, attempt 1: Cannot draw: no memory$/);
    assert.match(rig.lines[2]!, / failed, attempt 1: Cannot draw: a file is gone$/);
  },
);

rigTest("the third failure is the last", async (rig) => {
  rig.draw = () => Promise.reject(new Error("no memory"));
  await rig.queues.add([request(0)], 100);
  const key = `${PREFIX}:sd:${ticketOf(request(0)).name}`;
  await rig.client.hset(key, "atm", 2);
  await rig.run(() => true);
  assert.deepEqual(await rig.queues.outcomes([ticketOf(request(0))]), [{ reason: "no memory" }]);
  assert.match(rig.lines[0]!, / failed, attempt 3: no memory$/);
});

rigTest("what others wrote into the queue ends in the dead letters, whatever it is", async (rig) => {
  const queue = new Queue("sd", { connection: rig.client, prefix: PREFIX });
  const good = request(1);
  const add = (data: unknown, jobId: string) => queue.add("draw", data, { attempts: 3, jobId, priority: 9 });
  const write = (id: string, fields: Record<string, string>) => rig.client.hset(queue.toKey(id), fields);
  const wanted: Record<string, [RegExp, wrote: () => Promise<unknown>]> = {
    number: [/^Cannot draw: expected options in an object/, () => add(5, "number")],
    path: [/^Cannot draw: expected image /, () => add({ prompt: "a cat", image: "/etc/passwd" }, "path")],
    many: [/^Cannot draw: expected count /, () => add({ count: 1e9 }, "many")],
    newer: [/^Cannot draw with tempo: no such option; /, () => add({ ...good, tempo: 3 }, "newer")],
    named: [
      /^Cannot draw: expected the name [0-9a-f]{40} of what it asks for, got "named"; /,
      () => add(good, "named"),
    ],
    other: [
      /^Cannot draw: expected a request for sd in its queue, got one for "xl"$/,
      () => add({ model: "xl" }, "other"),
    ],
    "no json": [/^Cannot draw: expected options in an object/, async () => {
      await add(good, "no json");
      await write("no json", { data: '{"prompt": "a c' });
    }],
    "no options": [/^Cannot draw: expected options in an object/, async () => {
      await add(good, "no options");
      await write("no options", { opts: "null", progress: "x", parent: "{" });
    }],
    "no record": [
      /^Cannot draw: expected the name /,
      () => rig.client.lpush(queue.toKey("wait"), "no record"),
    ],
    "a\nline": [
      /^Cannot draw: expected the name [0-9a-f]{40} [^\n]* got "a\\nline"; /,
      () => add({}, "a\nline"),
    ],
  };
  for (const [, wrote] of Object.values(wanted)) await wrote();
  await rig.queues.add([good], 100);
  await rig.run((line) => line.includes(" drawn in "));
  await queue.close();
  const letters = await Array.fromAsync(rig.queues.failed("sd"));
  assert.deepEqual(letters.map(({ name }) => name).sort(), Object.keys(wanted).sort());
  for (const { name, reason } of letters) assert.match(reason, wanted[name]![0]);
  assert.equal(letters.find(({ name }) => name === "no json")!.request, '{"prompt": "a c');
  for (const line of rig.lines) assert.match(line, /^[^\n]+$/);
  assert.deepEqual([...rig.pictures.keys()], filesOf(good));
  assert.equal(await rig.queues.retry("sd"), letters.length);
  assert.deepEqual(await Array.fromAsync(rig.queues.failed("sd")), []);
  const again = new Rig(rig.client, rig.queues);
  await again.run(() => again.lines.length === letters.length);
  assert.equal(await rig.queues.forget("sd"), letters.length);
  assert.deepEqual((await rig.queues.counts(["sd"])).get("sd"), {
    waiting: 0,
    active: 0,
    delayed: 0,
    failed: 0,
  });
});

rigTest(
  "a store that does not take a picture is asked again, and the request stays the worker's",
  async (rig) => {
    let tries = 0;
    rig.put = () => {
      if (tries++ === 0) throw new Error("the disk is full");
    };
    await rig.queues.add([request(1)], 100);
    await rig.run((line) => / drawn in /.test(line));
    assert.deepEqual(rig.lines.slice(0, -1), ["Cannot put a picture: the disk is full; tries again in 1 s"]);
    assert.equal(rig.pictures.size, 1);
  },
);

rigTest(
  "a worker that lost its lease says nothing of the request, which is another's by then",
  async (rig) => {
    rig.draw = async () => {
      await rig.client.set(`${PREFIX}:sd:${ticketOf(request(1)).name}:lock`, "another");
    };
    await rig.queues.add([request(1)], 100);
    await rig.run(() => true);
    assert.deepEqual(await rig.queues.outcomes([ticketOf(request(1))]), ["pending"]);
    assert.equal(rig.pictures.size, 1);
  },
);

rigTest(
  "a worker whose device is lost for good ends, and its request is tried again by another",
  async (rig) => {
    rig.draw = () => Promise.reject(new DeviceLostError("Cannot draw: the device is lost"));
    await rig.queues.add([request(1)], 100);
    await assert.rejects(rig.run(() => false), DeviceLostError);
    assert.equal((await rig.queues.counts(["sd"])).get("sd")!.delayed, 1);
  },
);

rigTest("a worker that leaves gives its request back, in front of those that wait", async (rig) => {
  rig.draw = (_, { signal }) =>
    new Promise((_, reject) => {
      signal!.addEventListener("abort", () => reject(signal!.reason));
      rig.stop.abort();
      rig.leave.abort();
    });
  await rig.queues.add([request(1), request(2)], 100);
  await rig.run(() => false);
  assert.match(rig.lines[0]!, / given back$/);
  const again = new Rig(rig.client, rig.queues);
  await again.run(() => true);
  assert.deepEqual([...again.pictures.keys()], filesOf(request(1)));
});

rigTest(
  "a request that names what only another worker offers is left to that one; what none offers is a dead letter",
  async (rig) => {
    const [theirs, nobodys] = ["style", "stile"].map((name, i) => request(i, { lora: [`${name}:0.5`] }));
    const roster = new Roster(rig.client);
    const other = { id: "test:2", device: "none", seconds: 0, done: 0, failed: 0 };
    await roster.tell({ ...other, offers: { model: { sd: "12ab" }, lora: { style: "34cd" } } });
    rig.draw = () => Promise.reject(new RefusalError("not found", "Cannot find the lora"));
    await rig.queues.add([theirs!, nobodys!], 100);
    await rig.run(() => rig.lines.length === 2);
    assert.deepEqual(rig.lines, [
      `${ticketOf(theirs!).name} left to others: Cannot find the lora`,
      `${ticketOf(nobodys!).name} failed: Cannot find the lora`,
    ]);
    const { delayed, failed } = (await rig.queues.counts(["sd"])).get("sd")!;
    assert.deepEqual([delayed, failed], [1, 1]);
    const again = new Rig(rig.client, rig.queues);
    await again.run(() => true);
    assert.deepEqual([...again.pictures.keys()], filesOf(theirs!));
  },
);

rigTest(
  "what a worker refuses is drawn by another that offers the same; once three have, it is a dead letter",
  async (rig) => {
    const wide = request(1);
    const roster = new Roster(rig.client);
    const at = async (id: string, draws: boolean) => {
      const one = new Rig(rig.client, rig.queues, id);
      one.draw = () =>
        draws ? Promise.resolve() : Promise.reject(new RefusalError("invalid", `${id} has no room`));
      await one.run(() => true);
      return one.lines;
    };
    for (const id of ["c:3", "d:4"]) {
      await roster.tell({
        id,
        device: "none",
        offers: { model: { sd: "12ab" } },
        seconds: 0,
        done: 0,
        failed: 0,
      });
    }
    const { name } = ticketOf(wide);
    await rig.queues.add([wide], 100);
    assert.deepEqual(await at("a:1", false), [`${name} left to others: a:1 has no room`]);
    assert.deepEqual(await at("b:2", true), [`${name} drawn in 0.0 s`]);

    await rig.queues.add([wide], 100);
    assert.deepEqual(await at("a:1", false), [`${name} left to others: a:1 has no room`]);
    const silent = new Rig(rig.client, rig.queues, "a:1"); // it comes again, and is left again
    const taken = () => rig.client.hget(`${PREFIX}:sd:${name}`, "processedOn");
    const before = await taken();
    const running = silent.run(() => false);
    await until(async () => await taken() !== before);
    await until(async () => (await rig.queues.counts(["sd"])).get("sd")!.delayed === 1);
    silent.stop.abort();
    await running;
    assert.deepEqual([silent.lines, silent.pictures.size], [[], 0]);
    assert.deepEqual(await at("b:2", false), [`${name} left to others: b:2 has no room`]);
    assert.deepEqual(await at("c:3", false), [`${name} failed: c:3 has no room`]);
    assert.equal(await rig.queues.retry("sd"), 1);
    assert.deepEqual(await at("a:1", true), [`${name} drawn in 0.0 s`]);
  },
);

rigTest(
  "a worker where one request after the other fails ends, and leaves the others in the queue",
  async (rig) => {
    rig.draw = () => Promise.reject(new TypeError("the driver is odd"));
    await rig.queues.add(Array.from({ length: 9 }, (_, i) => request(i)), 100);
    await assert.rejects(rig.run(() => false), {
      message: "Cannot go on: 5 requests failed here, one after the other, the last with: the driver is odd",
    });
    const { waiting, delayed, failed } = (await rig.queues.counts(["sd"])).get("sd")!;
    assert.deepEqual([waiting, delayed, failed], [4, 5, 0]);
  },
);
