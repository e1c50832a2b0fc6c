/**
 * Draws what waits in a queue, one worker for each GPU. `--help` lists the options; docs/fleet.md has the rest.
 * Run: deno task worker --queue redis://localhost
 */
import "./plain_errors.ts";
import "./command_line/shown_only.ts";
import { readArguments } from "./command_line/arguments.ts";
import { onEnd } from "./command_line/ending.ts";
import { connect } from "./fleet/connect.ts";
import { openDrawer } from "./serve/open_drawer.ts";
import { workerOptions } from "./fleet/options.ts";
import { openResults } from "./fleet/results.ts";
import { FleetWorker } from "./fleet/work.ts";

const settings = readArguments("scripts/worker.ts", "Draws what waits in a queue.", workerOptions);
const { queue, out, lease, turn } = settings;
if (queue === undefined) throw new TypeError("Cannot work: expected --queue redis://HOST, got none");

const [stop, leave] = [new AbortController(), new AbortController()];
onEnd(end);

let isReady = false;
const results = await openResults(out);
const client = await connect(queue, { patient: true });
const drawer = await openDrawer(settings);
const worker = new FleetWorker(drawer, client, results, {
  id: `${Deno.hostname()}:${Deno.pid}-${crypto.randomUUID().slice(0, 4)}`, // containers may have both alike
  lease,
  turn,
  stop: stop.signal,
  leave: leave.signal,
  onLine: (line) => console.log(line),
});
await worker.join();
isReady = true;
console.log(`Draws by ${drawer.device.describe()}: ${drawer.models.join(", ")}`);
try {
  await worker.run();
} finally {
  client.disconnect();
}
await drawer[Symbol.asyncDispose]();
Deno.exit(0);

/** At first finishes what is drawn; when told again gives it back. */
function end(): void {
  if (!isReady || leave.signal.aborted) Deno.exit(130);
  if (stop.signal.aborted) {
    console.log("Gives back what it draws; again to end at once");
    return leave.abort();
  }
  console.log("Ends once the request is done that is drawn; again to give it back");
  stop.abort();
}
