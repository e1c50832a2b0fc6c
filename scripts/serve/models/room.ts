import type { AnyParts, AnyPipeline } from "denoise/pipelines";
import { describeLack, type MemoryPlan, planMemory } from "../../../src/pipelines/memory/plan.ts";
import type { DrawingSize } from "../../../src/pipelines/memory/stage.ts";
import { stagesOf } from "../../../src/pipelines/memory/stages.ts";
import type { PipelineOptions } from "../../../src/pipelines/model_index.ts";
import { Besides, keyOf, type NamedBeside } from "./beside.ts";
import { RefusalError } from "../request/refusal.ts";
import { multipleOf } from "../../generate/usual.ts";

const KEPT = 256; // plans, each of a model, a size, a batch and steps: tracing takes up to a second

/** A model's own parts, without their weights, and what a request names beside them. */
export interface PlannedParts {
  readonly parts: AnyParts;
  /** Names of what stands beside them. */
  readonly beside: string;
}

/** Work to plan for. */
export interface Work extends PlannedParts {
  readonly size: DrawingSize;
  /** The step cache in `size`, which has no text, as a request names it. */
  readonly cache: string | undefined;
}

/** Memory that a model's pictures take, from its headers: nothing is loaded, and what runs is not disturbed. */
export class Room implements Disposable {
  readonly #pipeline: AnyPipeline;
  readonly #beside: Besides;
  readonly #memory: number;
  readonly #plans = new Map<string, MemoryPlan>();

  /** For a pipeline that was opened with such options, `headersOnly` among them, in bytes of memory. */
  constructor(pipeline: AnyPipeline, options: PipelineOptions, memory = Infinity) {
    this.#pipeline = pipeline;
    this.#beside = new Besides(pipeline.parts, options);
    this.#memory = memory;
  }

  /** The parts with what a request names beside them, whose headers are read when they are first asked for. */
  async partsWith(named: NamedBeside): Promise<PlannedParts> {
    const parts = await this.#beside.partsWith(this.#pipeline.parts, named);
    return { parts, beside: keyOf(named) };
  }

  /** The plan for some work. */
  plan({ size, cache, parts, beside }: Work): MemoryPlan {
    const key = JSON.stringify({ ...size, cache, beside });
    const known = this.#plans.get(key);
    if (known) return known;
    const plan = planMemory(stagesOf({ ...parts }, size), this.#memory);
    if (this.#plans.size >= KEPT) this.#plans.clear();
    this.#plans.set(key, plan);
    return plan;
  }

  /**
   * True if a picture of so many pixels, with guidance of every kind and `beside` bytes of other weights, leaves too little memory
   * for weights as they are loaded: then it depends on the memory in how few bits they are stored, for that picture or smaller ones.
   */
  isShort(pixels: number, beside: number): boolean {
    const { parts } = this.#pipeline;
    const multiple = multipleOf(parts);
    const side = "vae" in parts
      ? Math.max(1, Math.floor(Math.sqrt(pixels) / multiple)) * multiple
      : undefined;
    const size = { width: side, height: side, steps: 1, isGuided: true, isPerturbed: true, encodes: true };
    const plan = planMemory(stagesOf({ ...parts }, size), this.#memory - beside);
    return plan.parts.some(({ mode }) => mode === undefined || mode.startsWith("int"));
  }

  /** Closes the model's files. */
  [Symbol.dispose](): void {
    this.#pipeline[Symbol.dispose]();
    this.#beside[Symbol.dispose]();
  }

  /** Throws where there is no room for one of the models, whatever it draws. */
  expectWeights(name: string): void {
    const { parts } = this.#pipeline;
    const side = "vae" in parts ? 8 * multipleOf(parts) : undefined;
    const plan = this.plan({
      size: { width: side, height: side, steps: 1 },
      cache: undefined,
      parts,
      beside: "",
    });
    if (plan.runs !== "not") return;
    throw new RangeError(
      `Cannot offer ${name}: ${describeLack(plan)}, whatever it draws; give it more --memory`,
    );
  }

  /** Refuses pictures that fit in no way. */
  expectRoom(work: Work): void {
    const plan = this.plan(work);
    if (plan.runs !== "not") return;
    const message = `Cannot draw: ${describeLack(plan)}; draw smaller pictures, or fewer at once`;
    throw new RefusalError("invalid", message, "size");
  }

  /** Pictures at once, at most `most`, that fit as one does: without fewer bits or the disk for their sake. */
  batchOf({ size, ...work }: Work, most: number): number {
    const modes = (batch: number) =>
      this.plan({ ...work, size: { ...size, batch } }).parts.map(({ mode }) => mode).join();
    const wanted = modes(1);
    let batch = most;
    while (batch > 1 && modes(batch) !== wanted) batch = Math.ceil(batch / 2);
    return batch;
  }
}
