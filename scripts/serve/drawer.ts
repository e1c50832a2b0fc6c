import {
  type Device,
  DeviceLostError,
  type DeviceOptions,
  openDevice,
  OutOfMemoryError,
  type Recipe,
  scope,
} from "denoise";
import type { AnyParts } from "denoise/pipelines";
import { encodePng } from "../../src/io/images/png.ts";
import { recipeTexts } from "../../src/io/images/save_png.ts";
import { imagesOf, imageTensor } from "../../src/io/images/tensors.ts";
import { enlarged } from "../../src/io/terminal/preview_writer.ts";
import { drawing, inBatches } from "../generate/draw.ts";
import { schedulesOf } from "../generate/lora.ts";
import { readLora } from "../generate/named_files.ts";
import { recipeOf } from "../generate/recipe.ts";
import { type DrawerEvent, type DrawnEvent, outcomeOf } from "./events.ts";
import type { Interruption } from "./interruption.ts";
import { type ModelOptions, Models, type Offer, type Versions } from "./models.ts";
import { type Offers, offersOf } from "./offers.ts";
import { Queue } from "./queue.ts";
import { RefusalError } from "./refusal.ts";
import { type DrawRequest, readRequest } from "./request.ts";
import { LIMITS, type Limits, takesSetting, type Task, taskOf } from "./task.ts";

/** Options of opening a drawer. */
export interface DrawerOptions extends ModelOptions, Pick<DeviceOptions, "engine" | "adapter"> {
  /** The models that are offered; a request that names none takes the first. */
  readonly models: readonly [Offer, ...Offer[]];
  /** The LoRAs that are offered. */
  readonly loras?: readonly Offer[] | undefined;
  /** The most that a request may ask for. */
  readonly limits?: Partial<Limits> | undefined;
}

/** How far a request is. */
export type DrawProgress =
  | {
    readonly phase: "waiting";
    /** Requests in front of it. */
    readonly ahead: number;
  }
  | {
    /** Models and LoRAs come, and the prompt is read. */
    readonly phase: "loading";
  }
  | {
    readonly phase: "drawing";
    /** The step that is computed, from 1. */
    readonly step: number;
    /** Steps of the pictures that are drawn now. */
    readonly steps: number;
    /** Pictures that are done. */
    readonly drawn: number;
    /** All pictures. */
    readonly count: number;
  };

const HELD = 2 ** 30; // bytes of decoded pictures of all requests together

/** Options of drawing a request. */
export interface DrawOptions {
  /** Ends it: while it waits at once, else between two steps. */
  readonly signal?: AbortSignal | undefined;
  /** Ends pictures early, which are given as far as they are. */
  readonly interruption?: Interruption | undefined;
  /** Told how far it is. */
  readonly onProgress?: ((progress: DrawProgress) => void) | undefined;
  /** Takes small pictures of what is drawn, as PNG; those that are drawn at once stand side by side. */
  readonly onPreview?: ((png: Uint8Array, step: number) => void | Promise<void>) | undefined;
}

/** A picture of a request. */
export interface DrawnPicture {
  /** Its file, with the recipe in it, unless it was ended early, as the recipe would not give that again. */
  readonly png: Uint8Array;
  /** In pixels. */
  readonly width: number;
  /** In pixels. */
  readonly height: number;
  /** All that decided its pixels, its seed among them. */
  readonly recipe: Recipe;
}

/** What became of a request. */
export interface Drawing {
  /** One for each seed, or fewer where the request was interrupted. */
  readonly pictures: readonly DrawnPicture[];
  /** Lines on what was done otherwise than asked, e.g. on words of a prompt that were cut. */
  readonly notices: readonly string[];
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
  /** Bytes of the pictures of all requests that wait or are drawn. */
  #held = 0;
  readonly #listeners: ((event: DrawerEvent) => void)[] = [];
  readonly #kept: Pick<ModelOptions, "memory" | "quantize">;

  private constructor(device: Device, models: Models, options: DrawerOptions) {
    this.device = device;
    this.#models = models;
    this.limits = { ...LIMITS, ...options.limits };
    this.#queue = new Queue(this.limits.waiting);
    this.#kept = { memory: options.memory, quantize: options.quantize };
  }

  /** Opens a device and the models on it; their weights come with the first request that needs them. */
  static async open(options: DrawerOptions): Promise<Drawer> {
    const { models, loras = [], limits: _, engine, adapter, ...loading } = options;
    using opened = new DisposableStack();
    const device = opened.use(await openDevice({ engine, adapter }));
    const all = opened.use(await Models.open(device, models, loras, loading));
    opened.move();
    return new Drawer(device, all, options);
  }

  /** Names of the models that are offered. */
  get models(): readonly string[] {
    return this.#models.names;
  }

  /** What tells the files of all that is offered from others of the same names. */
  get versions(): Versions {
    return this.#models.versions;
  }

  /** Names of the LoRAs that are offered. */
  get loras(): readonly string[] {
    return this.#models.loras;
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
    const { signal, onProgress } = options;
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
      this.#tell({ event: "drawing", outcome, ...task && aboutOf(task), ...numbers });
    };
    try {
      task = await this.#taskOf(request);
      const drawing = await this.#inTurn(task, { ...options, onProgress: told });
      pictures = drawing.pictures.length;
      tell("succeeded");
      return drawing;
    } catch (error) {
      tell(outcomeOf(error, signal));
      throw error;
    }
  }

  /** Tells a listener what happens from now on. */
  listen(listener: (event: DrawerEvent) => void): void {
    this.#listeners.push(listener);
  }

  /** Throws a RefusalError for a request that would be refused, and draws nothing. */
  async expect(request: DrawRequest): Promise<void> {
    await this.#taskOf(request);
    this.#queue.expectRoom();
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
      this.#models.forget();
      return Promise.resolve();
    });
  }

  /** Refuses the requests that wait and all that come, finishes the one that is drawn, and closes the device. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#queue.close();
    this.#models[Symbol.dispose]();
    this.device[Symbol.dispose]();
  }

  async #taskOf(request: DrawRequest): Promise<Task> {
    return await taskOf(readRequest(request), this.#models, this.limits, this.device);
  }

  async #inTurn(task: Task, options: DrawOptions): Promise<Drawing> {
    const { signal, onProgress = () => {} } = options;
    signal?.throwIfAborted();
    const onAhead = (ahead: number) => onProgress({ phase: "waiting", ahead });
    const { bytes } = task.pictures;
    if (this.#held > 0 && this.#held + bytes > HELD) {
      throw new RefusalError(
        "busy",
        "Cannot draw: the pictures of requests in the queue fill it; try again later",
      );
    }
    this.#held += bytes;
    try {
      return await this.#queue.run(() => this.#withinTime(task, options), { signal, onAhead });
    } finally {
      this.#held -= bytes;
    }
  }

  #tell(event: DrawerEvent): void {
    for (const listener of this.#listeners) listener(event);
  }

  async #withinTime(task: Task, options: DrawOptions): Promise<Drawing> {
    const { seconds } = this.limits;
    const timeout = AbortSignal.timeout(1000 * seconds);
    const signal = AbortSignal.any([timeout, ...options.signal ? [options.signal] : []]);
    try {
      return await this.#drawn(task, { ...options, signal });
    } catch (error) {
      if (error === timeout.reason) {
        throw new RefusalError(
          "timeout",
          `Cannot draw: expected to be done within ${seconds} s, and was not`,
        );
      }
      if (error instanceof OutOfMemoryError) {
        throw new RefusalError(
          "invalid",
          "Cannot draw: the GPU has no memory left for it; ask for less",
          "size",
        );
      }
      const isOfRequest = (error instanceof RangeError || error instanceof TypeError) &&
        /^Cannot (draw|run|change) [^\n]*: expected /.test(error.message);
      throw isOfRequest ? new RefusalError("invalid", error.message) : error;
    }
  }

  async #drawn(task: Task, options: DrawOptions): Promise<Drawing> {
    try {
      return await this.#attempt(task, options);
    } catch (error) {
      if (!(error instanceof DeviceLostError)) throw error;
      this.#tell({ event: "device lost" });
      await this.device.reopen();
      this.#models.forget();
      return await this.#attempt(task, options);
    }
  }

  async #attempt(task: Task, options: DrawOptions): Promise<Drawing> {
    const { signal, interruption, onProgress = () => {}, onPreview } = options;
    const { model, settings, seeds, pictures: { images, mask }, contents, batch } = task;
    signal?.throwIfAborted();
    onProgress({ phase: "loading" });
    const pipeline = await this.#models.ready(model.name, task);
    using _made = scope();
    const draw = drawing(pipeline, settings, {
      images: images.map((image) => imageTensor(image)),
      mask: mask && imageTensor(mask),
      control: [],
      ip: [],
    });
    const loras = task.loras.map(readLora);
    const notices = new Set<string>();
    const pictures: DrawnPicture[] = [];
    let left = 0; // steps of the pictures that are drawn now
    const how = {
      numInferenceSteps: settings.steps,
      adapterScales: schedulesOf(loras, loras.map(({ path }) => path), pipeline),
      progress: false,
      signal,
      onNotice: (line: string) => notices.add(line),
      onStep: (step: number, _timestep: number, _sample: unknown, steps: number) => {
        left = steps - step - 1;
        const [drawn, count] = [pictures.length, seeds.length];
        onProgress({ phase: "drawing", step: step + 1, steps, drawn, count });
      },
      preview: onPreview && {
        write: (picture: Parameters<typeof encodePng>[0], step: number) =>
          onPreview(encodePng(enlarged(picture)), step),
      },
    } as const;
    const drawSome = (some: readonly bigint[]) => draw(some, { ...how, interrupt: interruption?.begin() });
    const isOver = () => interruption?.isOver ?? false;
    for await (const [seed, picture] of inBatches(seeds, batch, drawSome, isOver)) {
      const [image] = await imagesOf(picture, "Cannot draw");
      const { width, height } = image;
      const kept = recipeOf(pipeline, { ...settings, model: model.name, ...this.#kept }, contents); // stored as it ran
      const recipe: Recipe = { ...kept, size: `${width}x${height}`, seed };
      pictures.push({
        png: new Uint8Array(encodePng(image, left > 0 ? {} : recipeTexts(recipe, this.device))),
        width,
        height,
        recipe,
      });
      signal?.throwIfAborted();
    }
    return { pictures, notices: [...notices] };
  }
}

/** What a log may say of a task. */
function aboutOf({ model, settings }: Task): Pick<DrawnEvent, "model" | "settings"> {
  return { model: model.name, settings };
}
