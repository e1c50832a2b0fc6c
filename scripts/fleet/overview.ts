import { Bar } from "../../src/core/bar.ts";
import type { Counts, Queues } from "./queues.ts";
import type { Roster, WorkerState } from "./roster.ts";

const MINUTES = 5; // over which the rate is taken
const LOOK_MS = 1000; // between two looks
const DIGITS = 12; // of a request's name
const LETTERS = 40; // of a device's

/** A model's queue as it is now. */
interface QueueState extends Counts {
  readonly model: string;
  /** Requests that were ever done. */
  readonly done: number;
  /** Requests a minute, lately. */
  readonly rate: number;
}

/** The state of queues and workers. */
export class Overview {
  readonly #queues: Queues;
  readonly #roster: Roster;
  readonly #model: string | undefined;

  /** Of one model's queue, or of all. */
  constructor(queues: Queues, roster: Roster, model: string | undefined) {
    this.#queues = queues;
    this.#roster = roster;
    this.#model = model;
  }

  /** Lines on each worker and each queue. */
  async lines(): Promise<readonly string[]> {
    const [workers, states] = await Promise.all([this.#roster.workers(), this.#states()]);
    return [
      ...table(["worker", "device", "model", "draws", "for", "done", "failed"], workers.map(rowOf)),
      "",
      ...table(
        ["queue", "waiting", "active", "again later", "failed", "done", "a minute"],
        states.map((state) => [
          state.model,
          ...[state.waiting, state.active, state.delayed, state.failed, state.done].map(String),
          state.rate.toFixed(1),
        ]),
      ),
    ];
  }

  /** Shows a bar until nothing waits. */
  async follow(): Promise<void> {
    let note = "";
    let bar: Bar | undefined;
    let total = 0;
    for (;;) {
      const [workers, states] = await Promise.all([this.#roster.workers(), this.#states()]);
      const sum = (count: (state: QueueState) => number) =>
        states.reduce((all, state) => all + count(state), 0);
      const left = sum(({ waiting, active, delayed }) => waiting + active + delayed);
      note = `${workers.length} workers, ${sum(({ failed }) => failed)} failed`;
      if (left > total) {
        bar?.end(); // more came: another bar counts them, too
        bar = undefined;
        total = left;
      }
      if (total > 0) bar ??= new Bar(total, { label: "Done", beat: () => note });
      bar?.update(total - left);
      if (left === 0) break;
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    }
    bar?.end();
  }

  async #states(): Promise<readonly QueueState[]> {
    const models = this.#model === undefined ? await this.#queues.models() : [this.#model];
    const counts = await this.#queues.counts(models);
    return await Promise.all(models.map(async (model) => {
      const { count, lately } = await this.#queues.done(model, MINUTES);
      const rate = lately.reduce((sum, one) => sum + one, 0) / Math.max(1, lately.length);
      return { model, ...counts.get(model)!, done: count, rate };
    }));
  }
}

function rowOf({ id, device, model, request, seconds, done, failed }: WorkerState): string[] {
  const draws = request === undefined ? ["nothing", ""] : [request.slice(0, DIGITS), `${seconds} s`];
  return [id, device.slice(0, LETTERS), model ?? "none yet", ...draws, String(done), String(failed)];
}

/** Rows under their heads, in columns. */
function table(heads: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const all = [heads, ...rows];
  const widths = heads.map((_, column) => Math.max(...all.map((row) => row[column]!.length)));
  return all.map((row) => row.map((cell, column) => cell.padEnd(widths[column]!)).join("  ").trimEnd());
}
