import type { Redis } from "ioredis";
import type { Drawer } from "../../scripts/serve/mod.ts";
import { connect } from "../../scripts/fleet/connect.ts";
import { Queues, ticketOf } from "../../scripts/fleet/queues.ts";
import { openResults } from "../../scripts/fleet/results.ts";
import { FleetWorker } from "../../scripts/fleet/work.ts";
import { QueueServer } from "../../test/support/queue_server.ts";
import { MODEL, request, sleep } from "./runs.ts";

const REQUESTS = 5000;
const AT_ONCE = 1000;
const PNG = new Uint8Array(8000); // as large as an emoji

/** What the queue and the files cost without any drawing: memory and time of a request, and work of the server. */
export async function measureQueue(folder: string): Promise<void> {
  await using server = await QueueServer.start();
  const client = await connect(server.url());
  const queues = new Queues(client);
  const requests = Array.from({ length: REQUESTS }, (_, i) => request(i));

  const [before, file] = [await memory(client), await fileBytes(client)];
  const sending = performance.now();
  for (let i = 0; i < REQUESTS; i += AT_ONCE) await queues.add(requests.slice(i, i + AT_ONCE), 100);
  const sent = performance.now() - sending;
  console.log(`sending: ${(1000 * sent / REQUESTS).toFixed(0)} µs a request`);
  console.log(`memory of the server: ${((await memory(client) - before) / REQUESTS).toFixed(0)} B a request`);

  const results = await openResults(folder);
  const stop = new AbortController();
  const drawer = {
    models: [MODEL],
    versions: { model: { [MODEL]: "1" } },
    device: { describe: () => "none" },
    draw: () => Promise.resolve({ pictures: [{ png: PNG }], notices: [] }),
  } as unknown as Drawer;
  await client.config("RESETSTAT");
  const cpu = await cpuSeconds(client);
  const start = performance.now();
  let done = 0;
  const worker = new FleetWorker(drawer, client, results, {
    ...{
      id: "bench:1",
      lease: 30,
      turn: 300,
      stop: stop.signal,
      leave: new AbortController().signal,
    },
    onLine: () => ++done === REQUESTS && stop.abort(),
  });
  await worker.run();
  const ms = performance.now() - start;
  const { calls, usec } = await scripts(client);
  console.log(`taking, writing a file and telling: ${(ms / REQUESTS).toFixed(2)} ms a request on one worker`);
  console.log(
    `scripts: ${(calls / REQUESTS).toFixed(1)} a request, ${
      (usec / REQUESTS).toFixed(0)
    } µs of the server's ` +
      `time, ${(1e6 * (await cpuSeconds(client) - cpu) / REQUESTS).toFixed(0)} µs of its core`,
  );
  const left = (await queues.outcomes(requests.slice(0, AT_ONCE).map(ticketOf))).filter((one) =>
    one !== "done"
  );
  if (left.length > 0) throw new Error(`${left.length} requests are still in the queue`);
  await sleep(100);
  console.log(
    `memory that stays: ${((await memory(client) - before) / 1e6).toFixed(1)} MB, with its log of events`,
  );
  console.log(`its file grew by ${((await fileBytes(client) - file) / REQUESTS).toFixed(0)} B a request`);
  await queues[Symbol.asyncDispose]();
  client.disconnect();
}

/** Bytes that the server's data take. */
async function memory(client: Redis): Promise<number> {
  return Number(/used_memory:(\d+)/.exec(await client.info("memory"))![1]);
}

/** Bytes of the file into which it writes each change. */
async function fileBytes(client: Redis): Promise<number> {
  return Number(/aof_current_size:(\d+)/.exec(await client.info("persistence"))![1]);
}

async function cpuSeconds(client: Redis): Promise<number> {
  const text = await client.info("cpu");
  return [/used_cpu_sys:([\d.]+)/, /used_cpu_user:([\d.]+)/]
    .reduce((sum, pattern) => sum + Number(pattern.exec(text)![1]), 0);
}

/** The scripts of BullMQ that ran, and their time; workers' other commands are a few every 5 s. */
async function scripts(client: Redis): Promise<{ calls: number; usec: number }> {
  const [, calls, usec] = /cmdstat_evalsha:calls=(\d+),usec=(\d+)/.exec(await client.info("commandstats"))!;
  return { calls: Number(calls), usec: Number(usec) };
}
