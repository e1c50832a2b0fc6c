import { Bar } from "../../src/core/bar.ts";
import { filesOf } from "../../scripts/fleet/request_name.ts";
import { WorkerProcess } from "../../test/support/script_process.ts";
import { QueueServer } from "../../test/support/queue_server.ts";
import { type Plan, request, sleep, submit, write } from "./runs.ts";

const KILLS = 10; // of workers, spread evenly

/** A worker, its pictures and the memory that it took after some. */
interface Life {
  readonly worker: WorkerProcess;
  readonly memory: Map<number, number>;
}

/**
 * Many requests over some workers, which are killed at random times, and others started in their place; once, in the middle,
 * the server loses its power too. Every picture must be there once, with the bytes that one process alone draws.
 */
export async function measureFaults(folder: string, plan: Plan): Promise<void> {
  const requests = Array.from({ length: plan.requests }, (_, seed) => request(seed));
  const path = `${folder}/requests.jsonl`;
  await write(path, requests);
  await using server = await QueueServer.start("--appendfsync", "always");
  const [out, alone] = [`${folder}/fleet`, `${folder}/alone`];
  await Deno.mkdir(out);
  const start = performance.now();
  const lives: Life[] = [];
  const begin = (): Life => {
    const worker = new WorkerProcess(["--queue", server.url(), "--out", out, "--lease", "10"]);
    lives.push({ worker, memory: new Map() });
    return lives.at(-1)!;
  };
  const running = Array.from({ length: plan.workers }, begin);
  const submitted = submit(path, "--queue", server.url(), "--wait").then(() => true);

  let [isDone, kills, isRestarted] = [false, 0, false];
  submitted.then(() => isDone = true, () => isDone = true);
  const bar = new Bar(plan.requests, { label: "Drawn" });
  const count = () => [...Deno.readDirSync(out)].filter(({ name }) => name.endsWith(".png")).length;
  while (!isDone) {
    await sleep(500);
    const done = count();
    bar.update(done);
    running.forEach(sample);
    if (done > (kills + 1) * plan.requests / (KILLS + 1)) {
      await sleep(1000 * Math.random()); // at no particular moment of a picture
      const at = Math.floor(Math.random() * running.length);
      running[at]!.worker.kill("SIGKILL");
      running[at] = begin();
      kills++;
    }
    if (!isRestarted && done > plan.requests / 2) {
      await server.kill();
      await sleep(3000);
      await server.start();
      isRestarted = true;
    }
  }
  bar.end();
  await submitted;
  const minutes = (performance.now() - start) / 60_000;
  for (const { worker } of running) worker.kill("SIGTERM");
  await Promise.all(lives.map(({ worker }) => worker.ended()));
  const drawn = lives.reduce((sum, { worker }) => sum + drawnBy(worker), 0);
  console.log(`${plan.requests} requests, ${plan.workers} workers, ${kills} of them killed, the server once`);
  console.log(
    `${minutes.toFixed(1)} minutes, ${
      (plan.requests / minutes).toFixed(0)
    } pictures a minute; told ${drawn} times`,
  );
  for (const { worker, memory } of lives) {
    const shown = [...memory].map(([pictures, bytes]) => `${pictures}: ${(bytes / 1e6).toFixed(0)}`).join(
      ", ",
    );
    console.log(`memory of a worker after so many pictures, in MB: ${shown} (${drawnBy(worker)} in all)`);
  }
  await expectSame(requests.flatMap((one) => filesOf(one)), out, alone, path);
}

/** Notes the memory of a worker after each 50 pictures. */
function sample({ worker, memory }: Life): void {
  const pictures = Math.floor(drawnBy(worker) / 50) * 50;
  if (memory.has(pictures)) return;
  try {
    const [, kilobytes] = /VmRSS:\s+(\d+)/.exec(Deno.readTextFileSync(`/proc/${worker.pid}/status`))!;
    memory.set(pictures, 1024 * Number(kilobytes));
  } catch { /* it has ended */ }
}

function drawnBy({ text }: WorkerProcess): number {
  return text.match(/ drawn in /g)?.length ?? 0;
}

/** Draws all in one process, and compares the files. */
async function expectSame(files: readonly string[], out: string, alone: string, path: string): Promise<void> {
  const found = [...Deno.readDirSync(out)].map(({ name }) => name).filter((name) => !name.startsWith("."));
  if (found.sort().join() !== files.toSorted().join()) {
    throw new Error(`${found.length} files, not ${files.length}`);
  }
  const start = performance.now();
  await submit(path, "--out", alone);
  const minutes = (performance.now() - start) / 60_000;
  console.log(
    `one process alone: ${minutes.toFixed(1)} minutes, ${(files.length / minutes).toFixed(0)} a minute`,
  );
  const differ = files.filter((name) => {
    const [a, b] = [out, alone].map((folder) => Deno.readFileSync(`${folder}/${name}`));
    return a!.length !== b!.length || a!.some((byte, i) => byte !== b![i]);
  });
  if (differ.length > 0) throw new Error(`${differ.length} files differ, e.g. ${differ[0]}`);
  console.log(`all ${files.length} pictures are there once, each with the bytes of one process alone`);
}
