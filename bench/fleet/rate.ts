import { WorkerProcess } from "../../test/support/script_process.ts";
import { QueueServer } from "../../test/support/queue_server.ts";
import { request, sleep, submit, write } from "./runs.ts";

const SECONDS = 40; // of each

/** Pictures a minute of one process without a queue, of one worker, and of two. */
export async function measureRate(folder: string): Promise<void> {
  const path = `${folder}/requests.jsonl`;
  await write(path, Array.from({ length: 5000 }, (_, seed) => request(seed)));
  for (const workers of [1, 2]) {
    await using server = await QueueServer.start();
    await using running = new AsyncDisposableStack();
    const out = `${folder}/out${workers}`;
    const args = ["--queue", server.url(), "--out", out];
    const all = Array.from({ length: workers }, () => running.use(new WorkerProcess(args)));
    await submit(path, "--queue", server.url());
    for (const worker of all) await worker.told(/(drawn[^]*){3}/); // kernels are compiled
    const count = () => [...Deno.readDirSync(out)].filter(({ name }) => name.endsWith(".png")).length;
    const [before, start] = [count(), performance.now()];
    await sleep(1000 * SECONDS);
    const rate = (count() - before) / ((performance.now() - start) / 60_000);
    console.log(`${workers} workers: ${rate.toFixed(0)} pictures a minute`);
  }
}
