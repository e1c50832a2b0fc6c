/**
 * Sends requests to a queue, from which workers draw them; without a queue draws them itself. `--help` lists the options,
 * docs/fleet.md has the rest. Prints the names of the pictures' files, a line for each request.
 * Run: deno task submit prompts.jsonl --queue redis://localhost --wait
 */
import "./plain_errors.ts";
import "./command_line/shown_only.ts";
import { writeLine } from "../src/core/shown.ts";
import { defaultsOf, readGiven } from "./command_line/arguments.ts";
import { counted } from "./command_line/counted.ts";
import { onEnd } from "./command_line/ending.ts";
import { connect } from "./fleet/connect.ts";
import { Mark } from "./fleet/mark.ts";
import { openDrawer, usualModel } from "./serve/open_drawer.ts";
import { expectUsed, submitOptions } from "./fleet/options.ts";
import { Queues } from "./fleet/queues.ts";
import { RequestsFile } from "./fleet/requests_file.ts";
import { openResults } from "./fleet/results.ts";
import { Roster } from "./fleet/roster.ts";
import { drawHere, type Failure, send } from "./fleet/submit.ts";
import { waitFor } from "./fleet/wait.ts";

const about = "Draws a file of requests, here or by the workers of a queue.";
const given = readGiven("scripts/submit.ts <requests>", about, submitOptions);
const settings = { ...defaultsOf(submitOptions), ...given };
expectUsed(given, settings.queue);
const model = usualModel(settings.model);
let whenEnded = "Nothing was sent or drawn";
const ending = new AbortController();
const opening = RequestsFile.open(settings.requests!, ending.signal);
onEnd(async () => {
  writeLine(whenEnded);
  ending.abort();
  await opening.then((file) => file[Symbol.asyncDispose](), () => {}); // its copy would stay
  Deno.exit(130);
});
const failures = await drawn();
for (const { name, reason } of failures) console.error(`${name}: ${reason}`);
Deno.exit(failures.length > 0 ? 1 : 0);

async function drawn(): Promise<readonly Failure[]> {
  await using file = await opening;
  return await (settings.queue === undefined ? here(file) : byWorkers(file, settings.queue));
}

async function here(file: RequestsFile): Promise<readonly Failure[]> {
  const lines = await Array.fromAsync(file.lines(model)); // first, as models take longer to open
  const results = await openResults(settings.out);
  await using drawer = await openDrawer(settings);
  whenEnded = "What was drawn is kept; submit the same again to go on";
  return await drawHere(lines, drawer, results);
}

async function byWorkers(file: RequestsFile, queue: string): Promise<readonly Failure[]> {
  const client = await connect(queue);
  await using queues = new Queues(client);
  await using mark = await Mark.set(client);
  const sender = { file, model, queues, priority: settings.priority };
  const { tickets, added, failed } = await send(sender);
  const others = tickets.length - added - failed;
  const words = [`${counted(added, "request")} added`, others > 0 && `${others} there before`];
  if (failed > 0) {
    words.push(`${failed} failed before: deno task fleet --failed tells why, --retry draws them`);
  }
  console.error(words.filter(Boolean).join("; "));
  whenEnded = "The requests stay in the queue; submit them again with --wait to follow them";
  return settings.wait ? await waitFor(tickets, sender, { roster: new Roster(client), mark }) : [];
}
