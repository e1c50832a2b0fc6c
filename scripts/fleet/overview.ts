import { Bar } from "../../src/core/bar.ts";
import { columns, isTerminal, writeShown } from "../../src/core/shown.ts";
import { counted } from "../command_line/counted.ts";
import type { Counts, Queues } from "./queues.ts";
import { rateOf } from "./rate.ts";
import type { Roster, WorkerState } from "./roster.ts";

const LOOK_MS = 1000; // between two looks
const DIGITS = 12; // of a request's name
const LETTERS = [12, 40] as const; // of a device's name, at least and at most
const GAP = 2; // letters between columns

/** A model's queue as it is now. */
export interface QueueState extends Counts {
  readonly model: string;
  /** Requests that were ever done. */
  readonly done: number;
  /** Requests a minute, lately. */
  readonly rate: number;
}

/** Workers and queues as they are now. */
export interface FleetState {
  readonly workers: readonly WorkerState[];
  readonly queues: readonly QueueState[];
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

  /** All of it as it is now. */
  async state(): Promise<FleetState> {
    const models = this.#model === undefined ? await this.#queues.models() : [this.#model];
    const [workers, counts, done] = await Promise.all([
      this.#roster.workers(),
      this.#queues.counts(models),
      Promise.all(models.map((model) => this.#queues.done(model))),
    ]);
    const now = Date.now();
    const queues = models.map((model, i) => ({
      model,
      ...counts.get(model)!,
      done: done[i]!.count,
      rate: rateOf(done[i]!, now),
    }));
    return { workers, queues };
  }

  /** Shows it until nothing waits: in a terminal anew each second, elsewhere once; below it a bar. */
  async follow(): Promise<void> {
    let state = await this.state();
    let [bar, total, height]: [Bar | undefined, number, number] = [undefined, 0, 0];
    const beat = () =>
      `${counted(state.workers.length, "worker")}, ${sumOf(state, ({ failed }) => failed)} failed`;
    for (;;) {
      if (isTerminal()) height = redraw(linesOf(state, columns()), height);
      else if (height === 0) height = print(linesOf(state));
      const left = leftIn(state);
      if (left > total) {
        bar?.end(); // more came: another bar counts them, too
        bar = new Bar(total = left, { label: "Done", beat });
      }
      bar?.update(total - left);
      if (left === 0) break;
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
      state = await this.state();
    }
    bar?.end();
  }
}

/** Lines on each worker and each queue, at most so wide. */
export function linesOf({ workers, queues }: FleetState, width = Infinity): readonly string[] {
  const heads = ["worker", "device", "model", "draws", "for", "done", "failed"];
  const rows = workers.map(rowOf);
  const over = table(heads, rows)[0]!.length - width; // letters
  const longest = Math.max(0, ...rows.map((row) => row[1]!.length));
  const device = Math.max(LETTERS[0], Math.min(LETTERS[1], longest - Math.max(0, over)));
  const lines = [
    ...table(heads, rows.map((row) => row.with(1, row[1]!.slice(0, device)))),
    "",
    ...table(
      ["queue", "waiting", "active", "again later", "failed", "done", "a minute", "left"],
      queues.map(rowOfQueue),
    ),
  ];
  return lines.map((line) => line.trimEnd().slice(0, width));
}

/** Prints lines. Returns how many. */
function print(lines: readonly string[]): number {
  for (const line of lines) console.log(line);
  return lines.length;
}

/** Draws lines in the place of those that were drawn last, and of the bar below. Returns how many. */
function redraw(lines: readonly string[], height: number): number {
  const most = Math.max(4, Deno.consoleSize().rows - 2); // for the bar, and the line in front of it
  const more = lines.length - most;
  const shown = more > 0
    ? [...lines.slice(0, most - 1), `… ${more + 1} more lines; --once shows all`]
    : lines;
  writeShown(`\r${height > 0 ? `\x1b[${height}A` : ""}\x1b[J${shown.join("\n")}\n`);
  return shown.length;
}

function leftIn(state: FleetState): number {
  return sumOf(state, ({ waiting, active, delayed }) => waiting + active + delayed);
}

function sumOf({ queues }: FleetState, count: (queue: QueueState) => number): number {
  return queues.reduce((sum, queue) => sum + count(queue), 0);
}

function rowOf({ id, device, model, request, seconds, done, failed }: WorkerState): string[] {
  const draws = request === undefined ? ["nothing", ""] : [request.slice(0, DIGITS), `${seconds} s`];
  return [id, device.slice(0, LETTERS[1]), model ?? "none yet", ...draws, String(done), String(failed)];
}

function rowOfQueue({ model, waiting, active, delayed, failed, done, rate }: QueueState): string[] {
  const left = waiting + active + delayed;
  const time = left === 0 ? "" : rate === 0 ? "?" : duration(60 * left / rate);
  return [model, ...[waiting, active, delayed, failed, done].map(String), rate.toFixed(1), time];
}

/** Seconds in the largest unit of which there are two. */
function duration(seconds: number): string {
  const units = [[86_400, "d"], [3600, "h"], [60, "min"]] as const;
  const [size, unit] = units.find(([size]) => seconds >= 2 * size) ?? [1, "s"];
  return `${Math.round(seconds / size)} ${unit}`;
}

/** Rows under their heads, in columns. */
function table(heads: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const all = [heads, ...rows];
  const widths = heads.map((_, column) => Math.max(...all.map((row) => row[column]!.length)));
  return all.map((row) => row.map((cell, column) => cell.padEnd(widths[column]!)).join(" ".repeat(GAP)));
}
