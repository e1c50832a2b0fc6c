import { Bar } from "../../src/core/bar.ts";
import { writeLine } from "../../src/core/shown.ts";
import { counted } from "../command_line/counted.ts";
import type { Mark } from "./mark.ts";
import { lackOf } from "./needs.ts";
import type { Queues } from "./queues.ts";
import type { Roster, WorkerState } from "./roster.ts";
import { type Failure, sendAgain, type Sender, type Sending } from "./submit.ts";

const AT_ONCE = 1000; // requests that are asked about in one exchange with the server
const LOOK_MS = 1000; // between two looks at what waits
const LACK_MS = 60_000; // between two lines on what no worker offers

/**
 * Waits until requests are done, or have failed for good; says what they need that no worker offers, and sends again what the
 * server lost. Returns those that failed.
 */
export async function waitFor(
  tickets: readonly Sending[],
  sender: Sender,
  { roster, mark }: { roster: Roster; mark: Mark },
): Promise<readonly Failure[]> {
  let workers: readonly WorkerState[] = [];
  const failures: Failure[] = [];
  const beat = () => `${counted(workers.length, "worker")}, ${failures.length} failed`;
  const bar = new Bar(tickets.length, { label: "Done", beat });
  const lacks = new Lacks();
  let pending = tickets;
  let quickest = Infinity; // ms of a look: what one costs, as others may have waited for a server that was away
  for (;;) {
    const start = performance.now();
    const { left, failed } = await look(pending, sender.queues);
    if (await mark.isKept()) {
      pending = left;
      failures.push(...failed);
    } else {
      writeLine(`The queue's server lost what it had; sends ${counted(pending.length, "request")} again`);
      await sendAgain(sender, pending);
    }
    bar.update(tickets.length - pending.length);
    if (pending.length === 0) break;
    workers = await roster.workers();
    lacks.tell(pending, workers);
    quickest = Math.min(quickest, performance.now() - start);
    const pause = Math.max(LOOK_MS, 4 * quickest); // so that looking is a fifth of the time
    await new Promise((resolve) => setTimeout(resolve, pause));
  }
  bar.end();
  return failures;
}

/** Those of the requests that are not done, and those that failed. */
async function look(
  pending: readonly Sending[],
  queues: Queues,
): Promise<{ left: readonly Sending[]; failed: readonly Failure[] }> {
  const left: Sending[] = [];
  const failed: Failure[] = [];
  for (let at = 0; at < pending.length; at += AT_ONCE) {
    const some = pending.slice(at, at + AT_ONCE);
    for (const [i, outcome] of (await queues.outcomes(some)).entries()) {
      if (outcome === "pending") left.push(some[i]!);
      else if (outcome !== "done") failed.push({ name: some[i]!.name, reason: outcome.reason });
    }
  }
  return { left, failed };
}

/** Tells of what requests need that no worker offers: at once, and then from time to time. */
class Lacks {
  readonly #told = new Map<string, number>();

  tell(tickets: readonly Sending[], workers: readonly WorkerState[]): void {
    const now = performance.now();
    for (const [needs, some] of Map.groupBy(tickets, ({ needs }) => needs)) {
      const lack = lackOf(needs, workers);
      if (lack === undefined || now - (this.#told.get(lack) ?? -Infinity) < LACK_MS) continue;
      this.#told.set(lack, now);
      writeLine(
        `${lack}; ${counted(some.length, "request")} ${
          some.length === 1 ? "waits" : "wait"
        } for one that does`,
      );
    }
  }
}
