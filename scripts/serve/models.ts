import { type Device, DeviceLostError, OutOfMemoryError } from "denoise";
import {
  type AnyPipeline,
  DiffusionPipeline,
  FluxControlPipeline,
  type PipelineOptions,
} from "denoise/pipelines";
import { nearest } from "../../src/core/error.ts";
import { findLora } from "../../src/io/lora/find.ts";
import { memoryBudget, modelsOf } from "../../src/pipelines/memory/acquire.ts";
import { fingerprintOfFile } from "../generate/fingerprint.ts";
import { strengthsOf } from "../generate/lora.ts";
import { readLora } from "../generate/named_files.ts";
import { fingerprintOfConfig, weightsOf } from "../generate/recipe.ts";
import { RefusalError } from "./refusal.ts";
import { Room } from "./room.ts";

/** A model or a LoRA that is offered to clients: the name by which they ask for it, and where it is. */
export interface Offer {
  /** What clients call it. */
  readonly name: string;
  /** A folder, a file or a repository. */
  readonly path: string;
}

/**
 * What tells files from others of the same name: their revision in the hub, or fingerprints of them; by the key under which
 * requests name them (model, lora), then by their names.
 */
export type Versions = Readonly<Record<string, Readonly<Record<string, string>>>>;

/** Options of opening models, as in `DiffusionPipeline.fromPretrained`; `memory` is for all of them together. */
export type ModelOptions = Pick<PipelineOptions, "memory" | "dtype" | "quantize" | "onProgress" | "onNotice">;

/** A LoRA that is offered. */
interface OfferedLora extends Offer {
  readonly fingerprint: string;
  /** Of peft's config, where peft wrote it. */
  readonly configFingerprint: string | undefined;
}

/** A model that is offered. Its pipeline is open; its weights are in memory while there is room. */
export interface OfferedModel extends Offer {
  readonly pipeline: AnyPipeline;
  /** The model's own scheduler, in whose place a request may ask for another. */
  readonly scheduler: AnyPipeline["scheduler"];
  readonly room: Room;
  /** Fingerprint of its files, where no revision names them. */
  readonly weights: string | undefined;
}

/** The same with what changes while it is used. */
interface Model extends OfferedModel {
  pipeline: AnyPipeline;
  scheduler: AnyPipeline["scheduler"];
  /** The LoRAs on it, in the order in which they came. */
  loras: readonly string[];
  /** Bytes of the largest work so far, beside the weights, by the names of its parts. */
  largest: Readonly<Record<string, number>>;
  /** The higher, the later it was used. */
  used: number;
}

/** Work that a model is made ready for. */
export interface ModelWork {
  /** LoRAs as requests name them, with scales. */
  readonly loras: readonly string[];
  /** Bytes of the work beside the weights, by the names of the model's parts. */
  readonly works: Readonly<Record<string, number>>;
  /** Bytes that the model takes together with this work. */
  readonly bytes: number;
}

const SIZES = 3; // times the memory of the largest work that all sizes together may keep

/** The models and LoRAs that are offered. Weights stay in memory from request to request, those last used longest. */
export class Models implements Disposable {
  readonly #device: Device;
  readonly #options: ModelOptions;
  readonly #budget: number | undefined;
  readonly #models = new Map<string, Model>();
  readonly #loras = new Map<string, OfferedLora>();
  #uses = 0;

  private constructor(device: Device, options: ModelOptions, budget: number | undefined) {
    this.#device = device;
    this.#options = options;
    this.#budget = budget;
  }

  /** Opens all models, and downloads what is not here, so that no request waits for that. */
  static async open(
    device: Device,
    offered: readonly Offer[],
    loras: readonly Offer[],
    options: ModelOptions,
  ): Promise<Models> {
    using opened = new DisposableStack();
    const models = opened.use(new Models(device, options, await memoryBudget(options)));
    for (const offer of offered) {
      expectNew(offer, "model", models.#models);
      models.#models.set(offer.name, await models.#open(offer));
    }
    for (const offer of loras) {
      expectNew(offer, "LoRA", models.#loras);
      const path = await findLora(offer.path, options);
      models.#loras.set(offer.name, {
        ...offer,
        path,
        fingerprint: await fingerprintOfFile(path),
        configFingerprint: await fingerprintOfConfig(path),
      });
    }
    opened.move();
    return models;
  }

  /** Names of the models. */
  get names(): readonly string[] {
    return [...this.#models.keys()];
  }

  /** Names of the LoRAs. */
  get loras(): readonly string[] {
    return [...this.#loras.keys()];
  }

  /** Models whose weights are in memory, or some of them. */
  get loaded(): number {
    return [...this.#models.values()].filter(({ pipeline }) =>
      modelsOf(pipeline.parts).some(({ loaded }) => loaded)
    )
      .length;
  }

  /** A model by its name; the first where none is said. */
  find(name: string = this.names[0]!): OfferedModel {
    return found(name, "model", this.#models);
  }

  /** What tells the files of models and LoRAs from others of the same names. */
  get versions(): Versions {
    const versionOf = ({ weights, pipeline }: Model) => weights ?? modelsOf(pipeline.parts)[0]!.revision!;
    const fingerprintsOf = ({ fingerprint, configFingerprint }: OfferedLora) =>
      [fingerprint, configFingerprint].filter(Boolean).join("-");
    return { model: mapped(this.#models, versionOf), lora: mapped(this.#loras, fingerprintsOf) };
  }

  /** A LoRA by its name with or without a scale. */
  loraNamed(lora: string): OfferedLora {
    return found(readLora(lora).path, "lora", this.#loras);
  }

  /**
   * A model's pipeline, ready for some work: as if it had been opened for it alone, so that a picture never depends on what
   * was drawn before. Where there is no room beside it, the weights of models that were not used for the longest time leave.
   */
  async ready(name: string, { loras, works, bytes }: ModelWork): Promise<AnyPipeline> {
    const model = this.#models.get(name)!;
    const wasLarger = Object.entries(model.largest).some(([name, bytes]) => bytes > (works[name] ?? 0));
    if (wasLarger && isSqueezed(model, this.#options)) await this.#reopen(model);
    const all = Object.entries(works).map((
      [name, bytes],
    ) => [name, Math.max(bytes, model.largest[name] ?? 0)]);
    model.largest = Object.fromEntries(all);
    model.used = ++this.#uses;
    this.#forgetSizes();
    this.#makeRoom(model, bytes);
    model.pipeline.scheduler = model.scheduler;
    await this.#wear(model, loras);
    return model.pipeline;
  }

  /** Frees all weights, or forgets them where the device is lost that had them. */
  forget(): void {
    for (const { pipeline } of this.#models.values()) unload(pipeline);
  }

  /** Frees all models. */
  [Symbol.dispose](): void {
    for (const { pipeline, room } of this.#models.values()) {
      pipeline[Symbol.dispose]();
      room[Symbol.dispose]();
    }
    this.#models.clear();
  }

  async #open(offer: Offer): Promise<Model> {
    const pipeline = await DiffusionPipeline.fromPretrained(offer.path, this.#options);
    const headers = await DiffusionPipeline.fromPretrained(offer.path, {
      ...this.#options,
      headersOnly: true,
    });
    if (pipeline instanceof FluxControlPipeline) {
      pipeline[Symbol.dispose]();
      throw new TypeError(
        `Cannot offer ${offer.name}: it is controlled by a picture, which requests do not have`,
      );
    }
    const { scheduler } = pipeline;
    const room = new Room(headers, this.#budget);
    const weights = await weightsOf(pipeline, offer.path, {});
    return { ...offer, pipeline, scheduler, room, weights, loras: [], largest: {}, used: 0 };
  }

  /** Opens a model again that is stored as a larger picture needed it. */
  async #reopen(model: Model): Promise<void> {
    model.pipeline[Symbol.dispose]();
    model.pipeline = await DiffusionPipeline.fromPretrained(model.path, this.#options);
    Object.assign(model, { scheduler: model.pipeline.scheduler, loras: [], largest: {} });
  }

  /** Forgets how pictures of other sizes were drawn, as each size keeps memory for its work, where that is much by now. */
  #forgetSizes(): void {
    const loaded = [...this.#models.values()].flatMap(({ pipeline }) => modelsOf(pipeline.parts))
      .filter((model) => model.loaded);
    const sum = (bytes: (model: typeof loaded[number]) => number) =>
      loaded.reduce((all, model) => all + bytes(model), 0);
    const used = this.#device.buffers.usage().bytes;
    const works = used - sum(({ bytes, adapters }) => bytes + adapters.bytes);
    if (works <= SIZES * sum(({ workspace }) => workspace) && used <= (this.#budget ?? Infinity)) return;
    for (const model of loaded) model.retrace();
  }

  /** Lets other models' weights leave, those first that were used least recently; all where nobody knows the memory. */
  #makeRoom(model: Model, bytes: number): void {
    const others = [...this.#models.values()].filter((other) => other !== model)
      .toSorted((a, b) => a.used - b.used);
    for (const other of others) {
      const taken = others.reduce((sum, { pipeline }) => sum + bytesIn(pipeline), bytes);
      if (this.#budget !== undefined && taken <= this.#budget) return;
      unload(other.pipeline);
    }
  }

  /**
   * Puts LoRAs on a model, those and no others, in their order: one with scale 0 would still decide which kernels run, and
   * with them the last bits.
   */
  async #wear(model: Model, loras: readonly string[]): Promise<void> {
    const { pipeline } = model;
    const wanted = loras.map(readLora);
    const names = wanted.map(({ path }) => path);
    if (names.join("\n") !== model.loras.join("\n")) {
      await pipeline.unloadLora();
      model.loras = [];
      for (const name of names) await this.#load(model, name).catch((error) => this.#unworn(model, error));
      model.loras = names;
    }
    if (names.length === 0) return;
    const strengths = wanted.map((lora) => {
      try {
        return strengthsOf(lora, pipeline.parts);
      } catch (error) {
        throw new RefusalError("invalid", (error as Error).message, "lora");
      }
    });
    await pipeline.setAdapters(names, strengths);
  }

  async #load(model: Model, name: string): Promise<void> {
    const { onNotice } = this.#options;
    const { path } = found(name, "lora", this.#loras);
    try {
      await model.pipeline.loadLoraWeights(path, { adapterName: name, onNotice });
    } catch (error) {
      if (error instanceof OutOfMemoryError || error instanceof DeviceLostError) throw error;
      const message = `Cannot draw with the LoRA ${name} on ${model.name}: it was made for another model`;
      throw new RefusalError("invalid", message, "lora");
    }
  }

  /** Takes the LoRAs off that came before one that does not. */
  async #unworn({ pipeline }: Model, error: unknown): Promise<never> {
    await pipeline.unloadLora();
    throw error;
  }
}

/** True if a model is stored in fewer bits than was asked for, or partly on the disk, as memory was short. */
function isSqueezed({ pipeline }: Model, { quantize }: ModelOptions): boolean {
  return modelsOf(pipeline.parts).some((model) =>
    model.isStreamed || model.quantize !== undefined && quantize === undefined
  );
}

/** Bytes that a pipeline's models take in memory now. */
function bytesIn({ parts }: AnyPipeline): number {
  return modelsOf(parts).filter(({ loaded }) => loaded)
    .reduce((sum, { bytes, adapters, workspace }) => sum + bytes + adapters.bytes + workspace, 0);
}

function unload({ parts }: AnyPipeline): void {
  for (const model of modelsOf(parts)) model.unload();
}

/** An object of what a function makes of each. */
function mapped<T>(all: ReadonlyMap<string, T>, version: (one: T) => string): Record<string, string> {
  return Object.fromEntries([...all].map(([name, one]) => [name, version(one)]));
}

function expectNew({ name }: Offer, kind: string, known: ReadonlyMap<string, unknown>): void {
  if (!known.has(name)) return;
  throw new TypeError(`Cannot offer two ${kind}s under the name ${name}: expected a name for each`);
}

function found<T>(name: string, kind: "model" | "lora", known: ReadonlyMap<string, T>): T {
  const one = known.get(name);
  if (one) return one;
  const near = nearest(name, known.keys());
  const advice = near === undefined ? "none is offered" : `nearest is ${near}`;
  throw new RefusalError("not found", `Cannot find the ${kind} ${name}: ${advice}`, kind);
}
