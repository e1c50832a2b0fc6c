import { UnrecoverableError } from "bullmq";
import { DeviceLostError } from "denoise";
import type { Drawer } from "../serve/draw/drawer.ts";
import type { Versions } from "../serve/models/offered.ts";
import { RefusalError } from "../serve/request/refusal.ts";
import type { Redis } from "ioredis";
import { drawOnce, type Way } from "./draw_once.ts";
import { type Held, Source } from "./lease.ts";
import { needsOf, offering } from "./needs.ts";
import { patiently, pause } from "./patience.ts";
import { Queues, STALLED, unlessGone } from "./queues.ts";
import { refusalsIn, requestIn, shownName, tellRefusals, WrongRequestError } from "./record.ts";
import type { Results } from "./results.ts";
import { Roster, type WorkerState } from "./roster.ts";
import { Route } from "./route.ts";

/** Options of working. */
export interface WorkOptions {
  /** Name of this worker in the fleet. */
  readonly id: string;
  /** Seconds for which a request is held without a sign of life; then another worker gets it. */
  readonly lease: number;
  /** Seconds for which it stays with a model while nobody serves the queue of another. */
  readonly turn: number;
  /** Takes no more requests, and ends once that which is drawn is done. */
  readonly stop: AbortSignal;
  /** Gives back what is drawn, and ends. */
  readonly leave: AbortSignal;
  /** Told in one line what was done, what failed, and what is waited for. */
  readonly onLine: (line: string) => void;
}

const LEAVE_MS = 2000; // until a request that another must draw is taken again
const REFUSALS = 3; // of workers that offer what a request names, after which it is the request's fault
const IN_A_ROW = 5; // requests that fail without a reason of their own, after which it is the worker's fault
const IDLE_MS = 1000; // until queues that were empty are looked into again

/** Draws what waits in the queues of a drawer's models, one request after the other, until it is told to stop. */
export class FleetWorker {
  readonly #drawer: Drawer;
  readonly #results: Results;
  readonly #options: WorkOptions;
  readonly #queues: Queues;
  readonly #roster: Roster;
  readonly #sources: ReadonlyMap<string, Source>;
  readonly #route: Route;
  readonly #offers: Versions;
  #request: string | undefined;
  #since = performance.now();
  readonly #inARow = new Set<string>();
  #done = 0;
  #failed = 0;

  /** With a client that is connected, and stays its owner's. */
  constructor(drawer: Drawer, client: Redis, results: Results, options: WorkOptions) {
    const { lease, turn } = options;
    this.#drawer = drawer;
    this.#results = results;
    this.#options = options;
    this.#queues = new Queues(client);
    this.#roster = new Roster(client);
    this.#sources = new Map(drawer.models.map((model) => [model, new Source(client, model, lease)]));
    this.#route = new Route(turn);
    this.#offers = drawer.versions();
  }

  /** Tells the fleet of itself. Throws where another worker has other files under the same names, or stores them otherwise. */
  async join(): Promise<void> {
    await this.#roster.join(this.#state());
  }

  /** Works. Throws where the device is lost for good, and where one request after the other fails. */
  async run(): Promise<void> {
    const { stop, onLine } = this.#options;
    await using _queues = this.#queues;
    await using sources = new AsyncDisposableStack();
    for (const source of this.#sources.values()) sources.use(source);
    await using _telling = this.#roster.beat(() => this.#state());
    while (!stop.aborted) {
      const held = await patiently("take a request", () => this.#take(), stop, onLine);
      if (held) await this.#finish(held);
      else await pause(IDLE_MS, stop);
    }
  }

  /** The next request: of the model that is loaded, for a turn at least, then of any. */
  async #take(): Promise<Held | undefined> {
    const { current } = this.#route;
    if (current !== undefined && this.#route.isLoyal(performance.now())) {
      const held = await this.#takeOf(current);
      if (held) return held;
    }
    for (const model of await this.#order()) {
      const held = await this.#takeOf(model);
      if (held) return held;
    }
    return undefined;
  }

  async #takeOf(model: string): Promise<Held | undefined> {
    const held = await this.#sources.get(model)!.take();
    if (!held) return undefined;
    const isOther = model !== this.#route.current;
    this.#route.took(model, performance.now());
    [this.#request, this.#since] = [held.job.id, performance.now()];
    if (isOther) await this.#roster.tell(this.#state()).catch(() => {}); // at once, so that others leave this queue to it
    return held;
  }

  /** The models in whose queues work waits, in the order in which they are tried. */
  async #order(): Promise<readonly string[]> {
    const models = [...this.#sources.keys()];
    if (models.length === 1) return models;
    const [counts, workers] = await Promise.all([this.#queues.counts(models), this.#roster.workers()]);
    return this.#route.order(models.map((model) => {
      const { waiting, delayed } = counts.get(model)!;
      const others = workers.filter((worker) => worker.id !== this.#options.id && worker.model === model);
      return { model, waiting: waiting + delayed, others: others.length };
    }));
  }

  async #finish(held: Held): Promise<void> {
    const { job, token, source } = held;
    const { stop, leave, onLine } = this.#options;
    using _lease = source.hold(held);
    if (stop.aborted) return await this.#giveBack(held); // it came after all
    const start = performance.now();
    const seconds = () => `${((performance.now() - start) / 1000).toFixed(1)} s`;
    try {
      const isNew = await this.#draw(held);
      await this.#settle("say that a request is done", () => job.moveToCompleted(null, token, false));
      this.#done++;
      if (isNew) this.#inARow.clear();
      onLine(`${shownName(job)} ${isNew ? `drawn in ${seconds()}` : "was there"}`);
    } catch (error) {
      if (leave.aborted) await this.#giveBack(held);
      else await this.#fail(held, error as Error);
    } finally {
      this.#request = undefined;
    }
  }

  async #draw({ job, model }: Held): Promise<boolean> {
    if (job.deferredFailure) throw new WrongRequestError(STALLED);
    const request = requestIn(job, model); // checked again, as anybody may write into the queue
    const { id, leave, onLine } = this.#options;
    const { by, reason } = refusalsIn(job);
    if (by.includes(id)) throw new RefusalError("invalid", reason); // it came again, before another took it
    const way: Way = (deed, work) => patiently(deed, work, leave, onLine);
    return await drawOnce(this.#drawer, this.#results, request, { way, signal: leave });
  }

  /**
   * A request that is wrong fails for good, as does one that no worker takes; what may have been this worker's fault is tried
   * again by whoever takes it. Throws where it is this worker's.
   */
  async #fail(held: Held, error: Error): Promise<void> {
    const { job, token } = held;
    const isRefused = error instanceof RefusalError && error.kind !== "no memory";
    if (isRefused && await this.#leaveToOthers(held, error)) return;
    const isItsFault = isRefused && error.kind !== "failed"; // as where a file that is offered is gone
    const isFinal = isItsFault || error instanceof WrongRequestError;
    const reason = isFinal ? new UnrecoverableError(error.message) : error;
    await this.#settle("say that a request failed", () => job.moveToFailed(reason, token));
    this.#failed++;
    const { message } = error;
    this.#options.onLine(
      `${shownName(job)} failed${isFinal ? "" : `, attempt ${job.attemptsMade}`}: ${message}`,
    );
    if (isFinal) return;
    if (error instanceof DeviceLostError) throw error;
    this.#inARow.add(job.id!);
    if (this.#inARow.size < IN_A_ROW) return;
    throw new Error(
      `Cannot go on: ${IN_A_ROW} requests failed here, one after the other, the last with: ${message}`,
    );
  }

  /** Leaves a request to workers that offer what it names, and have not refused it. False where enough did, or none is there. */
  async #leaveToOthers({ job, token, model }: Held, { kind, message }: RefusalError): Promise<boolean> {
    const { id, stop, onLine } = this.#options;
    const needs = needsOf(requestIn(job, model));
    const known = refusalsIn(job);
    const by = kind === "not found" ? known.by : [...new Set([...known.by, id])];
    const workers = await patiently("look for other workers", () => this.#roster.workers(), stop, onLine) ??
      [];
    const others = offering(needs, workers).filter((worker) => worker.id !== id && !by.includes(worker.id));
    if (others.length === 0 || by.length >= REFUSALS) return false;
    await this.#settle("leave a request to others", async () => {
      await tellRefusals(job, { by, reason: message });
      await job.moveToDelayed(Date.now() + LEAVE_MS, token);
    });
    if (!known.by.includes(id)) onLine(`${shownName(job)} left to others: ${message}`);
    return true;
  }

  async #giveBack({ job, token }: Held): Promise<void> {
    await this.#settle("give a request back", () => job.moveToWait(token));
    this.#options.onLine(`${shownName(job)} given back`);
  }

  /** Tells the queue what became of a request; where another worker holds it by now, that one does. */
  async #settle(deed: string, work: () => Promise<unknown>): Promise<void> {
    const { stop, onLine } = this.#options;
    await patiently(deed, () => work().catch(unlessGone), stop, onLine);
  }

  #state(): WorkerState {
    return {
      id: this.#options.id,
      device: this.#drawer.device.describe(),
      offers: this.#offers,
      model: this.#route.current,
      request: this.#request,
      seconds: this.#request === undefined ? 0 : Math.round((performance.now() - this.#since) / 1000),
      done: this.#done,
      failed: this.#failed,
    };
  }
}
