import { nearest } from "../core/error.ts";
import { expectSingleFile } from "../io/single_file/options.ts";
import { currentDevice } from "../gpu/device.ts";
import { OutOfMemoryError } from "../gpu/errors.ts";
import type { LoadReport, LoraModels, LoraOptions } from "../models/runtime/load_lora.ts";
import { loadLora, type Model } from "../models/mod.ts";
import {
  type ComponentScales,
  componentsOf,
  expectComponents,
  inComponent,
} from "../models/runtime/lora/component_scales.ts";
import type { Scheduler } from "../schedulers/mod.ts";
import type { PipelineOptions } from "./model_index.ts";
import { modelsOf, type Residents, withModels } from "./memory/acquire.ts";

/** A class of pipelines: what `open` gives are the arguments of its constructor. */
interface PipelineClass<P> {
  new (...made: never[]): P;
  open(pathOrRepo: string, options: PipelineOptions): Promise<readonly unknown[]>;
  /** The option that names what controls them, of those that are controlled. */
  nets?: "controlnet" | "adapter";
}

/**
 * A pipeline: its parts, and the LoRAs on them. LoRAs hang on the models, so that
 * pipelines of the same parts have them too, and leave the weights as they are.
 *
 * ```ts ignore
 * await pipeline.loadLoraWeights("owner/style", { adapterName: "style" });
 * await pipeline.loadLoraWeights("flowers.safetensors", { adapterName: "flowers" });
 * pipeline.setAdapters(["style", "flowers"], [0.8, 0.4]);
 * await pipeline.unloadLora("flowers");
 * ```
 */
export class Pipeline<Parts extends LoraModels & Residents & { scheduler: Scheduler }> implements Disposable {
  /** The parts may be exchanged, e.g. the scheduler, or be those of another pipeline. */
  constructor(readonly parts: Parts) {}

  /** Opens the parts of a folder or a repository, e.g. "CompVis/stable-diffusion-v1-4". */
  static async fromPretrained<P>(
    this: PipelineClass<P>,
    pathOrRepo: string,
    options: PipelineOptions = {},
  ): Promise<P> {
    for (const [name, example] of [["controlnet", "ControlNet"], ["adapter", "Adapter"]] as const) {
      if (options[name] === undefined || this.nets === name) continue;
      throw new TypeError(
        `Cannot load ${this.name} with ${name}: expected a pipeline that is controlled, e.g. ` +
          `StableDiffusion${example}Pipeline`,
      );
    }
    return new this(...await this.open(pathOrRepo, options) as never[]);
  }

  /** Opens the parts of one file in its authors' layout; `base` has what it lacks, e.g. the tokenizers. */
  static async fromSingleFile<P>(
    this: PipelineClass<P>,
    path: string,
    options: PipelineOptions = {},
  ): Promise<P> {
    return new this(...await this.open(expectSingleFile(path), options) as never[]);
  }

  /** The parts' scheduler, to exchange, e.g. by `UniPCMultistepScheduler.fromConfig(pipeline.scheduler.config)`. */
  get scheduler(): Parts["scheduler"] {
    return this.parts.scheduler;
  }

  set scheduler(scheduler: Parts["scheduler"]) {
    this.parts.scheduler = scheduler;
  }

  /** The scales of all LoRAs by their names, where they are not one number for all parts those of each. */
  get adapters(): Record<string, number | ComponentScales> {
    const all = componentsOf<Model>(this.parts).flatMap(([component, { adapters }]) =>
      Object.entries(adapters.scales).map(([name, scale]) => ({ name, component, scale }))
    );
    return Object.fromEntries([...Map.groupBy(all, ({ name }) => name)].map(([name, own]) => {
      const [{ scale: first }] = own as [typeof own[number]];
      const isOne = typeof first === "number" && own.every(({ scale }) => scale === first);
      return [
        name,
        isOne ? first : Object.fromEntries(own.map(({ component, scale }) => [component, scale])),
      ];
    }));
  }

  /**
   * Adds a LoRA: a file, a folder or a repository of the hub; `weightName` names the file where there are several.
   * Pairs without a layer are named by `onNotice` and in the report; if that is all, it is refused.
   */
  async loadLoraWeights(pathOrRepo: string, options: LoraOptions = {}): Promise<LoadReport> {
    try {
      return await loadLora(pathOrRepo, this.parts, options);
    } catch (error) {
      if (!(error instanceof OutOfMemoryError)) throw error;
      for (const model of modelsOf(this.parts)) if (!model.needed) model.unload(); // the next run loads them again
      await currentDevice().settle();
      return await loadLora(pathOrRepo, this.parts, options);
    }
  }

  /**
   * Sets how strong the named LoRAs are, 1 where no scales are given, all alike or each its own, and
   * apart for the pipeline's parts and their blocks, as `{ unet: { down: 0.5, up: { block_1: [1, 0.4, 0] } } }`;
   * all others are switched off. Costs no new trace, but where adapters are merged into weights: these are changed
   * when the promise resolves, and runs wait for it.
   */
  setAdapters(
    names: string | readonly string[],
    scales: number | ComponentScales | readonly (number | ComponentScales)[] = 1,
  ): Promise<void> {
    const wanted = [names].flat();
    const values = Array.isArray(scales)
      ? scales as readonly (number | ComponentScales)[]
      : wanted.map(() => scales as number | ComponentScales);
    if (values.length !== wanted.length) {
      throw new RangeError(
        `Cannot set adapters: expected ${wanted.length} scales, one for each name, got ${values.length}`,
      );
    }
    this.#expectNames(wanted);
    const components = componentsOf<Model>(this.parts);
    for (const scale of values) expectComponents(scale, components.map(([component]) => component));
    const changes = components.map(([component, { adapters }]) => {
      const own = wanted.flatMap((name, i) =>
        adapters.names.includes(name) ? [[name, inComponent(values[i]!, component)] as const] : []
      );
      return adapters.set(Object.fromEntries(own));
    });
    return Promise.all(changes).then(() => {});
  }

  /**
   * Takes LoRAs off, all where none is named.
   * After the last one pictures are what they were without, to the bit.
   */
  async unloadLora(...names: string[]): Promise<void> {
    this.#expectNames(names);
    for (const { adapters } of this.#models) {
      const own = names.filter((name) => adapters.names.includes(name));
      if (own.length || names.length === 0) await adapters.remove(...own);
    }
  }

  /**
   * Adds the LoRAs into the weights, as strong as they are now, so that steps cost what they cost without
   * any. They cannot be changed or unloaded afterwards: only loading the pipeline again gives the weights
   * back.
   */
  async bake(): Promise<void> {
    for (const model of this.#models) {
      if (Object.keys(model.adapters.scales).length === 0) continue;
      await withModels(this.parts, [model], {}, () => model.adapters.bake());
    }
  }

  /** Frees the models; parts that other pipelines use must not be freed through this one. */
  [Symbol.dispose](): void {
    for (const model of modelsOf(this.parts)) model[Symbol.dispose]();
  }

  get #models(): Model[] {
    return componentsOf<Model>(this.parts).map(([, model]) => model);
  }

  #expectNames(names: readonly string[]): void {
    const known = this.#models.flatMap(({ adapters }) => adapters.names);
    const odd = names.find((name) => !known.includes(name));
    if (odd === undefined) return;
    const near = nearest(odd, known);
    throw new Error(`Cannot find the LoRA "${odd}": ${near ? `nearest is "${near}"` : "none is loaded"}`);
  }
}
