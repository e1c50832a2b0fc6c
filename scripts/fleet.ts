/**
 * Shows who of a fleet works on what, how fast, and what failed. `--help` lists the options; docs/fleet.md has the rest.
 * Run: deno task fleet --queue redis://localhost
 */
import "./plain_errors.ts";
import "./command_line/shown_only.ts";
import { readArguments } from "./command_line/arguments.ts";
import { connect } from "./fleet/connect.ts";
import { fleetOptions } from "./fleet/options.ts";
import { linesOf, Overview } from "./fleet/overview.ts";
import { Queues } from "./fleet/queues.ts";
import { Roster } from "./fleet/roster.ts";

const settings = readArguments("scripts/fleet.ts", "Shows who of a fleet works on what.", fleetOptions);
const { queue, once, json, failed, retry, forget, model } = settings;
if (queue === undefined) throw new TypeError("Cannot show a fleet: expected --queue redis://HOST, got none");
if (retry && forget) throw new TypeError("Cannot take --retry and --forget: expected one of them");

const deed = failed ? "failed" : retry ? "retry" : forget ? "forget" : undefined;
for (const [name, isGiven] of Object.entries({ once, json })) {
  if (isGiven && deed) throw new TypeError(`Cannot take --${name} with --${deed}: expected one of them`);
}

const client = await connect(queue);
const queues = new Queues(client);
const known = await queues.models();
if (model !== undefined && !known.includes(model)) {
  throw new Error(
    `Cannot find the queue of ${model}: ${
      known.length > 0 ? `there are ${known.join(", ")}` : "there is none"
    }`,
  );
}
const models = model === undefined ? known : [model];
if (failed) await showFailed();
if (retry) await forEach("will be drawn once more", (model) => queues.retry(model));
if (forget) await forEach("forgotten", (model) => queues.forget(model));
if (deed === undefined) {
  const overview = new Overview(queues, new Roster(client), model);
  if (json) console.log(JSON.stringify(await overview.state()));
  else if (once) console.log(linesOf(await overview.state()).join("\n"));
  else await overview.follow();
}
Deno.exit(0);

async function showFailed(): Promise<void> {
  for (const model of models) {
    for await (const letter of queues.failed(model)) console.log(JSON.stringify(letter));
  }
}

async function forEach(what: string, deed: (model: string) => Promise<number>): Promise<void> {
  for (const model of models) console.log(`${model}: ${await deed(model)} ${what}`);
}
