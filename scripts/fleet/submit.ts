import { DeviceLostError } from "denoise";
import type { Drawer } from "denoise/serve";
import { Bar } from "../../src/core/bar.ts";
import { drawOnce } from "./draw_once.ts";
import { type Outcome, type Queues, type Ticket, ticketOf } from "./queues.ts";
import { type CanonicalRequest, filesOf } from "./request_name.ts";
import { groupsOf, requestsIn } from "./requests_file.ts";
import type { Results } from "./results.ts";
import type { Roster } from "./roster.ts";

const AT_ONCE = 1000; // requests in one exchange with the server
const LOOK_MS = 1000; // between two looks at what waits

/** A request that was not drawn. */
export interface Failure {
  readonly name: string;
  readonly reason: string;
}

/** Draws requests in this process, model by model. Returns those that failed. */
export async function drawHere(
  requests: readonly CanonicalRequest[],
  drawer: Drawer,
  results: Results,
): Promise<readonly Failure[]> {
  print(requests);
  const failures: Failure[] = [];
  const bar = new Bar(requests.length, { label: "Drawn" });
  let done = 0;
  for (const request of [...Map.groupBy(requests, ({ model }) => model).values()].flat()) {
    try {
      await drawOnce(drawer, results, request, { way: (_deed, work) => work() });
    } catch (error) {
      if (error instanceof DeviceLostError) throw error;
      failures.push({ name: ticketOf(request).name, reason: (error as Error).message });
    }
    bar.update(++done);
  }
  bar.end();
  return failures;
}

/** Requests that were sent. */
export interface Sent {
  readonly tickets: readonly Ticket[];
  /** How many of them the queues had not. */
  readonly added: number;
  /** How many failed for good before. */
  readonly failed: number;
}

/** Sends the requests of a file to the queues: all, or none if one is wrong. */
export async function send(path: string, model: string, queues: Queues, priority: number): Promise<Sent> {
  for await (const _ of requestsIn(path, model)); // reads it once, before anything is sent
  const tickets: Ticket[] = [];
  const before: (Outcome | undefined)[] = [];
  for await (const requests of groupsOf(path, model, AT_ONCE)) {
    before.push(...await queues.add(requests, priority));
    tickets.push(...requests.map(ticketOf));
    print(requests);
  }
  const added = before.filter((outcome) => outcome === undefined).length;
  return { tickets, added, failed: before.filter((outcome) => typeof outcome === "object").length };
}

/** Waits until requests are done, or have failed for good. Returns those that failed. */
export async function waitFor(
  tickets: readonly Ticket[],
  queues: Queues,
  roster: Roster,
): Promise<readonly Failure[]> {
  let workers = 0;
  const failures: Failure[] = [];
  const beat = () => `${workers} workers, ${failures.length} failed`;
  const bar = new Bar(tickets.length, { label: "Done", beat });
  const pending = [...tickets];
  while (pending.length > 0) {
    const some = pending.splice(0, AT_ONCE);
    const outcomes = await queues.outcomes(some);
    for (const [i, ticket] of some.entries()) {
      const outcome = outcomes[i]!;
      if (outcome === "pending") pending.push(ticket);
      else if (outcome !== "done") failures.push({ name: ticket.name, reason: outcome.reason });
    }
    workers = (await roster.workers()).length;
    bar.update(tickets.length - pending.length);
    if (pending.length > 0) await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  }
  bar.end();
  return failures;
}

/** Prints the names of the requests' files, in their order. */
function print(requests: readonly CanonicalRequest[]): void {
  for (const request of requests) console.log(filesOf(request).join(" "));
}
