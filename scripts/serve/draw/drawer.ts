import { type Device, type DeviceOptions, openDevice } from "denoise";
import type { AnyParts } from "denoise/pipelines";
import { Attempts } from "./attempts.ts";
import type { Speeds } from "../../doctor/speeds.ts";
import { drawTask } from "./draw_task.ts";
import type { Drawing, DrawOptions, DrawProgress } from "./drawing.ts";
import { type DrawerEvent, type DrawnEvent, outcomeOf } from "./events.ts";
import { type Holding, PictureMemory } from "../request/holding.ts";
import { LIMITS, type Limits } from "../request/limits.ts";
import { type ModelOptions, Models } from "../models/models.ts";
import { type Addition, forAdditions } from "../../generate/contents.ts";
import type { Additions, Offer, OfferedAddition, Versions } from "../models/offered.ts";
import { type Offers, offersOf } from "./offers.ts";
import { expectProfile, peaksOf, profileTask, type StepProfile } from "./profile_task.ts";
import { Queue } from "./queue.ts";
import { type DrawRequest, readRequest } from "../request/request.ts";
import { takesSetting } from "./taken.ts";
import { type Task, taskOf } from "./task.ts";

/** Options of opening a drawer. */
export interface DrawerOptions extends ModelOptions, Additions, Pick<DeviceOptions, "engine" | "adapter"> {
  /** The models that are offered; a request that names none takes the first. */
  readonly models: readonly [Offer, ...Offer[]];
  /** The most that a request may ask for. */
  readonly limits?: Partial<Limits> | undefined;
}

/**
 * Draws requests on one device, one after the other. The same request gives the same bytes on the same adapter, whatever was
 * drawn before, so that it may be sent again without harm.
 *
 * ```ts ignore
 * await using drawer = await Drawer.open({ models: [{ name: "sd", path: "CompVis/stable-diffusion-v1-4" }] });
 * const { pictures } = await drawer.draw({ prompt: "a nice flower", seed: 1n });
 * await Deno.writeFile("flower.png", pictures[0]!.png);
 * ```
 */
export class Drawer implements AsyncDisposable {
  /** The device. */
  readonly device: Device;
  /** The most that a request may ask for. */
  readonly limits: Limits;
  readonly #models: Models;
  readonly #queue: Queue;
  readonly #attempts: Attempts;
  readonly #memory = new PictureMemory();
  /** Checks of requests, which read models. */
  readonly #checks = new Set<Promise<Task>>();
  readonly #listeners: ((event: DrawerEvent) => void)[] = [];
  readonly #stored: Pick<ModelOptions, "memory" | "quantize">;
  /** What the adapter can do, once something was profiled. */
  #peaks: Speeds | undefined;

  private constructor(device: Device, models: Models, options: DrawerOptions) {
    this.device = device;
    this.#models = models;
    this.limits = { ...LIMITS, ...options.limits };
    this.#queue = new Queue(this.limits.waiting);
    const onLost = () => this.#tell({ event: "device lost" });
    this.#attempts = new Attempts(device, models, this.limits.seconds, onLost);
    this.#stored = { memory: options.memory, quantize: options.quantize };
  }

  /** Opens a device and the models on it; their weights come with the first request that needs them. */
  static async open(options: DrawerOptions): Promise<Drawer> {
    const { models, engine, adapter, memory, dtype, quantize, onProgress, onNotice } = options;
    const loading = { memory, dtype, quantize, onProgress, onNotice };
    using opened = new DisposableStack();
    const device = opened.use(await openDevice({ engine, adapter }));
    const all = opened.use(
      await Models.open(device, models, forAdditions((setting) => options[setting]), loading),
    );
    opened.move();
    return new Drawer(device, all, options);
  }

  /** Names of the models that are offered. */
  get models(): readonly string[] {
    return this.#models.names;
  }

  /** What tells the files of all that is offered, and how models are stored, from others of the same names. */
  versions(): Versions {
    return this.#models.versions(this.limits.pixels);
  }

  /** Names of the LoRAs that are offered. */
  get loras(): readonly string[] {
    return this.#models.shelf.of("lora").map(({ name }) => name);
  }

  /** What is offered for a setting that names files beside models: all of it, or what fits a model. */
  offered(setting: Addition, model?: string): readonly OfferedAddition[] {
    const all = this.#models.shelf.of(setting);
    if (model === undefined) return all;
    const { fits } = this.#models.find(model);
    return all.filter(({ name }) => fits[setting].has(name));
  }

  /** Models whose weights are in the device's memory, or some of them. */
  get loaded(): number {
    return this.#models.loaded;
  }

  /** Tells what there is to draw with, and what requests may say about it. */
  offers(): Offers {
    return offersOf(this.#models, this.limits);
  }

  /** Requests that wait. */
  get waiting(): number {
    return this.#queue.waiting;
  }

  /** True while a request is drawn. */
  get busy(): boolean {
    return this.#queue.busy;
  }

  /**
   * Draws a request, which is checked first, whoever wrote it. Throws a RefusalError where it is not drawn for a reason that
   * its sender may know: before it waits for whatever is wrong with it, for what fits in no way in memory, and where too many
   * wait. If the device is lost, another is opened, and the request drawn once more.
   */
  async draw(request: DrawRequest, options: DrawOptions = {}): Promise<Drawing> {
    const onPicture = options.onPicture && onceEach(options.onPicture);
    return await this.#done(request, { ...options, onPicture }, {
      event: "drawing",
      picturesIn: ({ pictures }) => pictures.length,
      run: async (task, how) => {
        const pipeline = await this.#models.ready(task.model.name, task);
        return await drawTask(this.device, pipeline, task, this.#stored, how);
      },
    });
  }

  /** Throws where `draw` would refuse a request before it waits: for whatever is wrong with it, and for what fits in no way in memory. */
  async check(request: DrawRequest): Promise<void> {
    using holding = this.#memory.begin();
    await this.#checked(request, holding);
  }

  /**
   * Profiles a step of a request as `deno task profile` does, in its turn among those that are drawn. Throws as `draw` does, and
   * where the adapter has no timestamps, or the strength leaves too few steps.
   */
  async profile(
    request: DrawRequest,
    options: Pick<DrawOptions, "signal" | "onProgress"> = {},
  ): Promise<StepProfile> {
    const read = readRequest(request);
    expectProfile(this.device, read);
    return await this.#done(read, options, {
      event: "profile",
      picturesIn: () => 0,
      run: async (task, how) => {
        if (!this.#peaks) {
          this.#models.unload(); // as that needs room, once
          this.#peaks = await peaksOf(this.device, how);
        }
        const pipeline = await this.#models.ready(task.model.name, task);
        return await profileTask(this.device, pipeline, task, this.#peaks, how);
      },
    });
  }

  /** Tells a listener what happens from now on. */
  listen(listener: (event: DrawerEvent) => void): void {
    this.#listeners.push(listener);
  }

  /** The parts of a model's pipeline, e.g. for their configs. */
  partsOf(model: string | undefined): AnyParts {
    return this.#models.find(model).pipeline.parts;
  }

  /** True if the model of a request takes a setting. */
  takes(name: keyof DrawRequest, request: DrawRequest): boolean {
    return takesSetting(name, request, this.#models.find(request.model));
  }

  /** Frees the weights of all models when those who wait now have been drawn; they come again with the next request. */
  async unload(): Promise<void> {
    await this.#queue.run(() => {
      this.#models.unload();
      return Promise.resolve();
    });
  }

  /** Refuses the requests that wait and all that come, finishes the one that is drawn, and closes the device. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#queue.close();
    await Promise.allSettled(this.#checks);
    this.#models[Symbol.dispose]();
    this.device[Symbol.dispose]();
  }

  /** Does something for a request in its turn, and tells what became of it. */
  async #done<Result>(
    request: DrawRequest,
    options: DrawOptions,
    work: Work<Result>,
  ): Promise<Result> {
    const { signal, onProgress } = options;
    using holding = this.#memory.begin();
    const begun = performance.now();
    let turn: number | undefined;
    let task: Task | undefined;
    let [steps, pictures] = [0, 0];
    const told = (progress: DrawProgress) => {
      if (progress.phase === "loading") turn ??= performance.now();
      if (progress.phase === "drawing") [steps, pictures] = [steps + 1, progress.drawn];
      onProgress?.(progress);
    };
    const tell = (outcome: DrawnEvent["outcome"]) => {
      const end = performance.now();
      const [waited, seconds] = [(turn ?? end) - begun, end - (turn ?? end)].map((ms) => ms / 1000);
      const numbers = { pictures, steps, waited: waited!, seconds: seconds! };
      this.#tell({ event: work.event, outcome, ...task && aboutOf(task), ...numbers });
    };
    try {
      task = await this.#checked(request, holding);
      const result = await this.#inTurn(task, { ...options, onProgress: told }, work);
      pictures = work.picturesIn(result);
      tell("succeeded");
      return result;
    } catch (error) {
      tell(outcomeOf(error, signal));
      throw error;
    }
  }

  async #checked(request: DrawRequest, holding: Holding): Promise<Task> {
    this.#queue.expectOpen();
    const { device } = this;
    const check = taskOf(readRequest(request), this.#models, this.limits, { device, holding });
    this.#checks.add(check);
    try {
      return await check;
    } finally {
      this.#checks.delete(check);
    }
  }

  async #inTurn<Result>(task: Task, options: DrawOptions, work: Work<Result>): Promise<Result> {
    const { signal, onProgress = () => {} } = options;
    signal?.throwIfAborted();
    const onAhead = (ahead: number) => onProgress({ phase: "waiting", ahead });
    return await this.#queue.run(() => this.#attempts.run(options, (how) => work.run(task, how)), {
      signal,
      onAhead,
    });
  }

  #tell(event: DrawerEvent): void {
    for (const listener of this.#listeners) {
      try {
        listener(event);
      } catch (error) { // no fault of the request
        console.error(error);
      }
    }
  }
}

/** What is done for a task in its turn. */
interface Work<Result> {
  readonly event: DrawnEvent["event"];
  readonly run: (task: Task, options: DrawOptions) => Promise<Result>;
  readonly picturesIn: (result: Result) => number;
}

/** A listener to pictures that hears of each once, though all are drawn once more after a lost device. */
function onceEach(listener: NonNullable<DrawOptions["onPicture"]>): NonNullable<DrawOptions["onPicture"]> {
  let told = 0;
  return async (picture, index) => {
    if (index < told) return;
    told++;
    await listener(picture, index);
  };
}

/** What a log may say of a task. */
function aboutOf({ model, settings }: Task): Pick<DrawnEvent, "model" | "settings"> {
  return { model: model.name, settings };
}
