import { connect } from "../../scripts/fleet/connect.ts";
import { Roster, type WorkerState } from "../../scripts/fleet/roster.ts";
import { WorkerProcess } from "../../test/support/script_process.ts";
import { QueueServer } from "../../test/support/queue_server.ts";
import { request, sleep, submit, write } from "./runs.ts";

const TRIES: Record<string, number> = { 5: 4, 30: 2 }; // by lease, in seconds

/** The time from a worker's death (kill -9) until another holds its request. */
export async function measureRecovery(folder: string): Promise<void> {
  for (const [lease, tries] of Object.entries(TRIES)) {
    const seconds: number[] = [];
    for (let i = 0; i < tries; i++) seconds.push(await recovery(folder, lease, i));
    const shown = seconds.map((one) => one.toFixed(1)).join(", ");
    console.log(`a lease of ${lease} s: another worker had the request after ${shown} s`);
  }
}

async function recovery(folder: string, lease: string, seed: number): Promise<number> {
  await using server = await QueueServer.start();
  const client = await connect(server.url());
  const roster = new Roster(client);
  const path = `${folder}/requests.jsonl`;
  await write(path, [request(seed, 150)]);
  const args = ["--queue", server.url(), "--out", `${folder}/out`, "--lease", lease];
  await using first = new WorkerProcess(args);
  await first.told(/Draws by/);
  await submit(path, "--queue", server.url());
  while (!(await roster.workers()).some(({ request }) => request)) await sleep(50);
  await using second = new WorkerProcess(args);
  await second.told(/Draws by/);
  await sleep(1000 * Math.random());
  first.kill("SIGKILL");
  const start = performance.now();
  const isSecond = ({ id, request }: Pick<WorkerState, "id" | "request">) =>
    request && id.endsWith(`:${second.pid}`);
  while (!(await roster.workers()).some(isSecond)) await sleep(50);
  client.disconnect();
  return (performance.now() - start) / 1000;
}
