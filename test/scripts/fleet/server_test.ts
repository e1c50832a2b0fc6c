import assert from "node:assert/strict";
import { connect } from "../../../scripts/fleet/connect.ts";
import { Queues } from "../../../scripts/fleet/queues.ts";
import { canonicalRequest } from "../../../scripts/fleet/request_name.ts";
import { Source } from "../../../scripts/fleet/lease.ts";
import { refusalOf } from "../../support/files.ts";
import { queueProgram, QueueServer, Sentinel } from "../../support/queue_server.ts";

const ignore = !queueProgram;

Deno.test({
  name: "replicas and servers of a cluster are refused, also by workers, which wait for others",
  ignore,
}, async () => {
  await using primary = await QueueServer.start();
  await using replica = await QueueServer.start("--replicaof", "127.0.0.1", String(primary.port));
  await using cluster = await QueueServer.start("--cluster-enabled", "yes");
  for (const [server, reason] of [[replica, "it is a replica"], [cluster, "it is of a cluster"]] as const) {
    const url = server.url();
    const line = await refusalOf(connect(url, { patient: true }));
    assert.ok(line.startsWith(`Cannot use the queue at ${url}: ${reason}, `), line);
  }
});

Deno.test({ name: "a Sentinel is refused, as it holds no queue", ignore }, async () => {
  await using sentinel = await Sentinel.start();
  const line = await refusalOf(connect(sentinel.url, { patient: true }));
  assert.ok(line.startsWith(`Cannot use the queue at ${sentinel.url}: it is a Sentinel, `), line);
});

Deno.test(
  { name: "a server that may throw requests away is told, and one whose clock differs", ignore },
  async () => {
    await using server = await QueueServer.start("--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru");
    const lines: string[] = [];
    const client = await connect(server.url(), { onNotice: (line) => lines.push(line) });
    assert.match(
      lines.join(),
      /: it throws requests away when its memory is full \(allkeys-lru\); set [^\n]*$/,
    );
    await client.config("SET", "maxmemory-policy", "noeviction");
    lines.length = 0;
    (await connect(server.url(), { onNotice: (line) => lines.push(line) })).disconnect();
    assert.equal(lines.length, 0);

    const { now } = Date;
    Date.now = () => now() + 3_600_000;
    try {
      (await connect(server.url(), { onNotice: (line) => lines.push(line) })).disconnect();
    } finally {
      Date.now = now;
    }
    assert.match(lines.join(), /: its clock is 36\d\d s behind this machine's; [^\n]*$/);
    client.disconnect();
  },
);

Deno.test(
  { name: "requests fill a server's memory only so far that workers can take them", ignore },
  async () => {
    await using server = await QueueServer.start("--maxmemory", "12mb", "--maxmemory-policy", "noeviction");
    const client = await connect(server.url());
    await using queues = new Queues(client);
    const group = (at: number) =>
      Array.from(
        { length: 500 },
        (_, i) => canonicalRequest({ prompt: "a cat ".repeat(200), seed: at + i }, "sd"),
      );
    let added = 0;
    const line = await refusalOf((async () => {
      for (;; added += 500) {
        await queues.add(group(added), 100);
      }
    })());
    assert.match(
      line,
      /^Cannot send all requests: the queue's server uses \d+ MB of the 13 MB that its maxmemory allows, /,
    );
    assert.ok(added >= 1000);
    await using source = new Source(client, "sd", 10);
    for (let i = 0; i < added; i++) {
      const { job, token } = (await source.take())!;
      await job.moveToCompleted(null, token, false);
    }
    assert.equal(await source.take(), undefined);
    client.disconnect();
  },
);
