import { Bar } from "../../src/core/bar.ts";
import { writeLine } from "../../src/core/shown.ts";
import type { Mark } from "./mark.ts";
import { lackOf } from "./needs.ts";
import type { Queues } from "./queues.ts";
import type { Roster, WorkerState } from "./roster.ts";
import type { Failure, Sending } from "./submit.ts";

const AT_ONCE = 1000; // requests that are asked about in one exchange with the server
const LOOK_MS = 1000; // between two looks at what waits
const LACK_MS = 60_000; // between two lines on what no worker offers

/**
 * Waits until requests are done, or have failed for good; says what they need that no worker offers. Returns those that failed.
 * Throws where the queues' server lost them.
 */
export async function waitFor(
  tickets: readonly Sending[],
  { queues, roster, mark }: { queues: Queues; roster: Roster; mark: Mark },
): Promise<readonly Failure[]> {
  let workers: readonly WorkerState[] = [];
  const failures: Failure[] = [];
  const beat = () => `${workers.length} workers, ${failures.length} failed`;
  const bar = new Bar(tickets.length, { label: "Done", beat });
  const lacks = new Lacks();
  let pending = tickets;
  for (;;) {
    const start = performance.now();
    const left: Sending[] = [];
    for (let at = 0; at < pending.length; at += AT_ONCE) {
      const some = pending.slice(at, at + AT_ONCE);
      for (const [i, outcome] of (await queues.outcomes(some)).entries()) {
        if (outcome === "pending") left.push(some[i]!);
        else if (outcome !== "done") failures.push({ name: some[i]!.name, reason: outcome.reason });
      }
      bar.update(tickets.length - left.length - Math.max(0, pending.length - at - AT_ONCE));
    }
    await mark.expectThere();
    pending = left;
    if (pending.length === 0) break;
    workers = await roster.workers();
    lacks.tell(pending, workers);
    await new Promise((resolve) => setTimeout(resolve, Math.max(LOOK_MS, 4 * (performance.now() - start)))); // a fifth of the time at most
  }
  bar.end();
  return failures;
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
      writeLine(`${lack}; ${some.length} requests wait for one that does`);
    }
  }
}
