import { DeviceLostError } from "denoise";
import { type Drawer, readRequest, RefusalError } from "denoise/serve";
import { Bar } from "../../src/core/bar.ts";
import { writeLine } from "../../src/core/shown.ts";
import { counted } from "../command_line/counted.ts";
import { drawOnce } from "./draw_once.ts";
import { type Need, needsOf } from "./needs.ts";
import { type Outcome, type Queues, type Ticket, ticketOf } from "./queues.ts";
import { type CanonicalRequest, filesOf } from "./request_name.ts";
import type { RequestLine, RequestsFile } from "./requests_file.ts";
import type { Results } from "./results.ts";

/** A request that was not drawn. */
export interface Failure {
  /** Its name, or its line where it was never begun. */
  readonly name: string;
  readonly reason: string;
}

const MOST_REFUSED = 20; // lines that are told: where one option is wrong, all may be

/**
 * Draws requests in this process, model by model, and tells how many; none where the models refuse one of them. Returns those
 * that failed.
 */
export async function drawHere(
  lines: readonly RequestLine[],
  drawer: Drawer,
  results: Results,
): Promise<readonly Failure[]> {
  const refused = await refusedOf(lines, drawer);
  if (refused.length > 0) {
    const which = refused.length < MOST_REFUSED
      ? "these lines"
      : `these ${MOST_REFUSED} lines, if no others,`;
    writeLine(`Nothing was drawn, as ${which} are refused:`);
    return refused;
  }
  const requests = lines.map(({ request }) => request);
  print(requests);
  const failures: Failure[] = [];
  const bar = new Bar(requests.length, { label: "Drawn" });
  let [drawn, done] = [0, 0];
  for (const request of [...Map.groupBy(requests, ({ model }) => model).values()].flat()) {
    try {
      if (await drawOnce(drawer, results, request, { way: (_deed, work) => work() })) drawn++;
    } catch (error) {
      if (error instanceof DeviceLostError) throw error;
      failures.push({ name: ticketOf(request).name, reason: (error as Error).message });
    }
    bar.update(++done);
  }
  bar.end();
  const before = requests.length - drawn - failures.length;
  const words = [`${counted(drawn, "request")} drawn`, before > 0 && `${before} there before`];
  writeLine([...words, failures.length > 0 && `${failures.length} failed`].filter(Boolean).join("; "));
  return failures;
}

/** The first of the lines that are refused before anything is drawn: by what is said of the model, its size and its memory. */
async function refusedOf(lines: readonly RequestLine[], drawer: Drawer): Promise<readonly Failure[]> {
  const refused: Failure[] = [];
  for (const { request, place } of lines) {
    try {
      await drawer.check(readRequest(request));
    } catch (error) {
      if (!(error instanceof RefusalError)) throw error;
      refused.push({ name: place, reason: error.message });
    }
    if (refused.length === MOST_REFUSED) break;
  }
  return refused;
}

/** A request that was sent. */
export interface Sending extends Ticket {
  /** The same object for all that need the same. */
  readonly needs: readonly Need[];
}

/** Requests that were sent. */
export interface Sent {
  readonly tickets: readonly Sending[];
  /** How many of them the queues had not. */
  readonly added: number;
  /** How many failed for good before. */
  readonly failed: number;
}

/** Where requests come from, and where they go. */
export interface Sender {
  readonly file: RequestsFile;
  /** For requests that name none. */
  readonly model: string;
  readonly queues: Queues;
  /** In the queue of their model: 1 comes first. */
  readonly priority: number;
}

/** Sends the requests of a file to the queues: all, or none if one is wrong. */
export async function send({ file, model, queues, priority }: Sender): Promise<Sent> {
  for await (const _ of file.lines(model)); // reads it once, before anything is sent
  const tickets: Sending[] = [];
  const before: (Outcome | undefined)[] = [];
  const needs = new Map<string, readonly Need[]>();
  for await (const requests of file.groups(model)) {
    before.push(...await queues.add(requests, priority));
    for (const request of requests) {
      const own = needsOf(request);
      const key = JSON.stringify(own);
      if (!needs.has(key)) needs.set(key, own);
      tickets.push({ ...ticketOf(request), needs: needs.get(key)! });
    }
    print(requests);
  }
  const added = before.filter((outcome) => outcome === undefined).length;
  return { tickets, added, failed: before.filter((outcome) => typeof outcome === "object").length };
}

/** Sends some of the requests again. */
export async function sendAgain(sender: Sender, tickets: readonly Ticket[]): Promise<void> {
  const names = new Set(tickets.map(({ name }) => name));
  for await (const requests of sender.file.groups(sender.model)) {
    await sender.queues.add(requests.filter((request) => names.has(ticketOf(request).name)), sender.priority);
  }
}

/** Prints the names of the requests' files, in their order. */
function print(requests: readonly CanonicalRequest[]): void {
  for (const request of requests) console.log(filesOf(request).join(" "));
}
