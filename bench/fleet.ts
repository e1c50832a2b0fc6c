/**
 * Measures a fleet on this machine, each part with a queue's server of its own: what the queue costs, how long a dead worker's
 * request waits, pictures a minute, and a run in which workers and the server are killed. Needs valkey-server or redis-server.
 * Run: deno run -A bench/fleet.ts [queue] [recovery] [rate] [faults] [--requests 1000] [--workers 3]
 */
import "../scripts/plain_errors.ts";
import { readArguments } from "../scripts/command_line/arguments.ts";
import { choice, count, list } from "../scripts/command_line/options.ts";
import { queueProgram } from "../test/support/queue_server.ts";
import { measureFaults } from "./fleet/faults.ts";
import { measureQueue } from "./fleet/queue.ts";
import { measureRate } from "./fleet/rate.ts";
import { measureRecovery } from "./fleet/recovery.ts";

const PARTS = {
  queue: measureQueue,
  recovery: measureRecovery,
  rate: measureRate,
  faults: measureFaults,
} as const;
const names = Object.keys(PARTS) as (keyof typeof PARTS)[];
const { part = names, requests, workers } = readArguments("bench/fleet.ts [part]", "Measures a fleet.", {
  part: list(choice("what is measured, all where none is given", names)),
  requests: count("of the run with faults", 1000),
  workers: count("of that run", 3),
});
if (!queueProgram) throw new Error("Cannot measure: expected valkey-server or redis-server; install one");
for (const name of part) {
  const folder = await Deno.makeTempDir({ prefix: "denoise-fleet-" });
  console.log(`\n${name}`);
  try {
    await PARTS[name](folder, { requests, workers });
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}
Deno.exit(0);
