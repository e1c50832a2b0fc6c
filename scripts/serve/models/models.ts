import type { Device } from "denoise";
import type { Model } from "denoise/models";
import {
  type AnyParts,
  type AnyPipeline,
  DiffusionPipeline,
  type PipelineOptions,
  StableDiffusionBase,
  StableDiffusionXLBase,
} from "denoise/pipelines";
import { expectLora } from "../../../src/models/runtime/load_lora.ts";
import { memoryBudget, modelsOf } from "../../../src/pipelines/memory/acquire.ts";
import { type Addition, forAdditions, weightsOf } from "../../generate/contents.ts";
import { readScaled } from "../../generate/named_files.ts";
import { takes } from "../../generate/misfits.ts";
import { type Sides, type Usual, usualOf, usualSides } from "../../generate/usual.ts";
import { Besides, isBeside, keyOf, type NamedBeside } from "./beside.ts";
import { type Additions, expectNew, fitsNone, named, type Offer, Shelf, type Versions } from "./offered.ts";
import { Room } from "./room.ts";
import { Attached, type Wanted } from "./attached.ts";

/** Options of opening models, as in `DiffusionPipeline.fromPretrained`; `memory` is for all of them together. */
export type ModelOptions = Pick<PipelineOptions, "memory" | "dtype" | "quantize" | "onProgress" | "onNotice">;

/** A model that is offered. Its pipeline is open; its weights are in memory while there is room. */
export interface OfferedModel extends Offer {
  readonly pipeline: AnyPipeline;
  /** The model's own scheduler, in whose place a request may ask for another. */
  readonly scheduler: AnyPipeline["scheduler"];
  readonly room: Room;
  /** What it was made for, by its own name or by that which it is offered under. */
  readonly usual: Usual;
  /** Fingerprint of its files, where no revision names them. */
  readonly weights: string | undefined;
  /** The same without its autoencoder, in whose place there is another. */
  readonly weightsWithoutVae: string | undefined;
  /** Names of the files beside models that it takes, by the settings that name them. */
  readonly fits: Readonly<Record<Addition, ReadonlySet<string>>>;
  /** Sides of its pictures with each of the other autoencoders that it takes, by their names. */
  readonly sidesWith: ReadonlyMap<string, Sides>;
}

/** The same with what changes while it is used. */
interface OpenModel extends OfferedModel {
  pipeline: AnyPipeline;
  scheduler: AnyPipeline["scheduler"];
  readonly fits: Readonly<Record<Addition, Set<string>>>;
  readonly sidesWith: Map<string, Sides>;
  /** What stands beside it, or did. */
  besides: Besides;
  /** LoRAs and textual inversions on it. */
  attached: Attached;
  /** Names of what stood beside it last. */
  beside: string;
  /** Bytes of the largest work so far, beside the weights, by the names of its parts. */
  largest: Readonly<Record<string, number>>;
}

/** Work that a model is made ready for. */
export interface ModelWork extends Wanted {
  /** What stands beside it. */
  readonly beside: NamedBeside;
  /** IP-Adapters with their scales, as the request names them. */
  readonly ipAdapters: readonly string[];
  /** Bytes of the work beside the weights, by the names of the model's parts. */
  readonly works: Readonly<Record<string, number>>;
  /** Bytes that the model takes together with this work. */
  readonly bytes: number;
}

const SIZES = 3; // times the memory of the largest work that all sizes together may keep

/** The models that are offered, and what stands beside them. Weights stay in memory from request to request, those last used longest. */
export class Models implements Disposable {
  readonly #device: Device;
  readonly #options: ModelOptions;
  readonly #budget: number | undefined;
  readonly #models = new Map<string, OpenModel>();
  /** What is offered beside them. */
  readonly shelf: Shelf = new Shelf();
  /** For each that was used the number of its last use. */
  readonly #used = new Map<Model, number>();
  #uses = 0;

  private constructor(device: Device, options: ModelOptions, budget: number | undefined) {
    this.#device = device;
    this.#options = options;
    this.#budget = budget;
  }

  /** Opens all models and what is offered beside them, and downloads what is not here, so that no request waits for that. */
  static async open(
    device: Device,
    offered: readonly Offer[],
    additions: Additions,
    options: ModelOptions,
  ): Promise<Models> {
    using opened = new DisposableStack();
    const models = opened.use(new Models(device, options, await memoryBudget(options)));
    for (const offer of offered) {
      expectNew(offer, "model", models.#models);
      models.#models.set(offer.name, await models.#open(offer));
    }
    await models.shelf.fill(additions, options, (setting, offer) => models.#fit(setting, offer));
    opened.move();
    return models;
  }

  /** Names of the models. */
  get names(): readonly string[] {
    return [...this.#models.keys()];
  }

  /** Models whose weights are in memory, or some of them. */
  get loaded(): number {
    const all = [...this.#models.values()];
    return all.filter(({ pipeline }) => modelsOf(pipeline.parts).some(({ loaded }) => loaded)).length;
  }

  /** A model by its name; the first where none is said. */
  find(name: string = this.names[0]!): OfferedModel {
    return named(name, "model", this.#models);
  }

  /**
   * What tells the files of models, how they are stored, and what is beside them from others of the same names. Where pictures of
   * so many pixels may leave too little memory for all weights, the memory counts: it decides how these are stored.
   */
  versions(pixels: number): Versions {
    const { quantize } = this.#options;
    const versions = [...this.#models.values()].map(({ name, weights, pipeline, besides, room }) => {
      const own = modelsOf(pipeline.parts);
      const dtypes = new Set(own.map(({ dtype }) => dtype));
      const beside = besides.models.reduce((sum, { bytes }) => sum + bytes, 0);
      const isShort = quantize === undefined && room.isShort(pixels, beside);
      const stored = isShort ? `in ${this.#budget} bytes` : quantize;
      return [name, [weights ?? own[0]!.revision!, ...dtypes, stored].filter(Boolean).join(" ")];
    });
    return { model: Object.fromEntries(versions), ...this.shelf.versions };
  }

  /**
   * A model's pipeline, ready for some work: as if it had been opened for it alone, so that a picture never depends on what
   * was drawn before. Where there is no room beside it, the weights of models that were not used for the longest time leave.
   */
  async ready(name: string, work: ModelWork): Promise<AnyPipeline> {
    const model = this.#models.get(name)!;
    const { works, bytes } = work;
    const beside = keyOf(work.beside);
    const wasLarger = Object.entries(model.largest).some(([name, bytes]) => bytes > (works[name] ?? 0));
    if ((wasLarger || beside !== model.beside) && isSqueezed(model, this.#options)) await this.#reopen(model);
    const all = Object.entries(works).map((
      [name, bytes],
    ) => [name, Math.max(bytes, model.largest[name] ?? 0)]);
    model.largest = Object.fromEntries(all);
    model.beside = beside;
    model.pipeline.scheduler = model.scheduler;
    const scales = work.ipAdapters.map((text) => readScaled(text).scale);
    const own = model.pipeline.parts;
    const parts = await model.besides.partsWith(own, work.beside, scales);
    for (const one of modelsOf(parts)) this.#used.set(one, ++this.#uses);
    this.#forgetSizes();
    this.#makeRoom(modelsOf(parts), bytes);
    await model.attached.attach(work);
    const ofLoras = modelsOf(parts).reduce((sum, { adapters }) => sum + adapters.bytes, 0);
    if (ofLoras > 0) this.#makeRoom(modelsOf(parts), bytes + ofLoras);
    if (parts === own) return model.pipeline;
    return new (model.pipeline.constructor as new (parts: object) => AnyPipeline)(parts);
  }

  /** Unloads all weights: of a device that was lost, or where memory is short. What is stored for little memory is opened again. */
  unload(): void {
    for (const model of this.#all) model.unload();
    for (const model of this.#models.values()) model.beside = "";
    this.#device.memoryCeiling = undefined;
  }

  /** Frees all models for good; what they are stays known, so that requests which come later are refused for that alone. */
  [Symbol.dispose](): void {
    for (const { pipeline, besides, room } of this.#models.values()) {
      pipeline[Symbol.dispose]();
      besides[Symbol.dispose]();
      room[Symbol.dispose]();
    }
  }

  async #open(offer: Offer): Promise<OpenModel> {
    const pipeline = await DiffusionPipeline.fromPretrained(offer.path, this.#options);
    const headersOnly = { ...this.#options, headersOnly: true };
    const headers = await DiffusionPipeline.fromPretrained(offer.path, headersOnly);
    const room = new Room(headers, headersOnly, this.#budget);
    room.expectWeights(offer.name);
    return {
      ...offer,
      ...this.#begun(pipeline),
      room,
      usual: { ...usualOf(offer.path), ...usualOf(offer.name) },
      weights: await weightsOf(pipeline, offer.path, {}),
      weightsWithoutVae: await weightsOf(pipeline, offer.path, { vae: "another" }),
      fits: forAdditions(() => new Set<string>()),
      sidesWith: new Map(),
    };
  }

  /** A pipeline that was opened, and drew nothing. */
  #begun(pipeline: AnyPipeline) {
    return {
      pipeline,
      scheduler: pipeline.scheduler,
      besides: new Besides(pipeline.parts, this.#options),
      attached: new Attached(pipeline, this.shelf, this.#options),
      beside: "",
      largest: {},
    };
  }

  /** Opens a model again that is stored as a larger picture needed it, or what stood beside it. */
  async #reopen(model: OpenModel): Promise<void> {
    const { pipeline, besides } = model;
    const opened = await DiffusionPipeline.fromPretrained(model.path, this.#options); // first, as it may fail
    for (const one of [...modelsOf(pipeline.parts), ...besides.models]) this.#used.delete(one);
    pipeline[Symbol.dispose]();
    besides[Symbol.dispose]();
    Object.assign(model, this.#begun(opened));
  }

  /** Opens what is offered beside each of the models that take it; of LoRAs names and shapes alone. Throws where none does. */
  async #fit(setting: Addition, offer: Offer): Promise<void> {
    const reasons: Error[] = [];
    const fitting = [];
    for (const model of this.#models.values()) {
      const { pipeline, besides } = model;
      if (!takes(pipeline.constructor.name, setting)) continue;
      try {
        if (isBeside(setting)) {
          const [opened] = await besides.open(setting, offer);
          if (setting === "vae") model.sidesWith.set(offer.name, sidesWith(pipeline, opened!));
        } else if (setting === "embedding") await learnOnce(pipeline, offer);
        else await expectLora(offer.path, pipeline.parts);
        fitting.push(model);
      } catch (error) {
        reasons.push(error as Error);
      }
    }
    if (fitting.length === 0) throw fitsNone(setting, offer, reasons);
    for (const { fits } of fitting) fits[setting].add(offer.name);
  }

  /** All models of all pipelines, and what is open beside them. */
  get #all(): readonly Model[] {
    return [...this.#models.values()].flatMap((
      { pipeline, besides },
    ) => [...modelsOf(pipeline.parts), ...besides.models]);
  }

  /** Forgets how pictures of other sizes were drawn, as each size keeps memory for its work, where that is much by now. */
  #forgetSizes(): void {
    const loaded = this.#all.filter((model) => model.loaded);
    const sum = (bytes: (model: Model) => number) => loaded.reduce((all, model) => all + bytes(model), 0);
    const used = this.#device.buffers.usage().bytes;
    const works = used - sum(({ bytes, adapters }) => bytes + adapters.bytes);
    if (works <= SIZES * sum(({ workspace }) => workspace) && used <= (this.#budget ?? Infinity)) return;
    for (const model of loaded) model.retrace();
  }

  /** Lets other weights leave, those first that were used least recently; all where nobody knows the memory. */
  #makeRoom(needed: readonly Model[], bytes: number): void {
    const lastUse = (model: Model) => this.#used.get(model) ?? 0;
    const others = this.#all.filter((model) => model.loaded && !needed.includes(model))
      .toSorted((a, b) => lastUse(a) - lastUse(b));
    let taken = others.reduce((sum, model) => sum + bytesIn(model), bytes);
    for (const model of others) {
      if (this.#budget !== undefined && taken <= this.#budget) return;
      taken -= bytesIn(model);
      model.unload();
    }
  }
}

/** Sides of a pipeline's pictures with another autoencoder. */
function sidesWith({ parts }: AnyPipeline, vae: Model): Sides {
  return usualSides({ ...parts, vae } as AnyParts);
}

/** True if a model is stored in fewer bits than was asked for, or partly on the disk, as memory was short. */
function isSqueezed({ pipeline, besides }: OpenModel, { quantize }: ModelOptions): boolean {
  return [...modelsOf(pipeline.parts), ...besides.models].some((model) =>
    model.isStreamed || model.quantize !== undefined && quantize === undefined
  );
}

/** Bytes that a model takes in memory while it is loaded. */
function bytesIn({ bytes, adapters, workspace }: Model): number {
  return bytes + adapters.bytes + workspace;
}

/** Throws unless a model's text encoders take a textual inversion. */
async function learnOnce(pipeline: AnyPipeline, { path }: Offer): Promise<void> {
  if (!(pipeline instanceof StableDiffusionBase || pipeline instanceof StableDiffusionXLBase)) {
    throw new TypeError("it is for Stable Diffusion and XL");
  }
  pipeline.unloadTextualInversion(await pipeline.loadTextualInversion(path));
}
