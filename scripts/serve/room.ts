import type { AnyPipeline } from "denoise/pipelines";
import { describeVerdict, type MemoryPlan, planMemory } from "../../src/pipelines/memory/plan.ts";
import type { DrawingSize } from "../../src/pipelines/memory/stage.ts";
import { stagesOf } from "../../src/pipelines/memory/stages.ts";
import { RefusalError } from "./refusal.ts";

const KEPT = 256; // plans, each of a model, a size, a batch and steps: tracing takes up to a second

/** Work to plan for. */
export interface Work {
  readonly size: DrawingSize;
  /** The step cache in `size`, which has no text, as a request names it. */
  readonly cache: string | undefined;
}

/** Memory that a model's pictures take, from its headers: nothing is loaded, and what runs is not disturbed. */
export class Room implements Disposable {
  readonly #pipeline: AnyPipeline;
  readonly #memory: number;
  readonly #plans = new Map<string, MemoryPlan>();

  /** For a pipeline that was opened with `headersOnly`, in bytes of memory. */
  constructor(pipeline: AnyPipeline, memory = Infinity) {
    this.#pipeline = pipeline;
    this.#memory = memory;
  }

  /** The plan for some work. */
  plan({ size, cache }: Work): MemoryPlan {
    const key = JSON.stringify({ ...size, cache });
    const known = this.#plans.get(key);
    if (known) return known;
    const plan = planMemory(stagesOf({ ...this.#pipeline.parts }, size), this.#memory);
    if (this.#plans.size >= KEPT) this.#plans.clear();
    this.#plans.set(key, plan);
    return plan;
  }

  /** Closes the model's files. */
  [Symbol.dispose](): void {
    this.#pipeline[Symbol.dispose]();
  }

  /** Refuses pictures that fit in no way. */
  expect(work: Work): void {
    const plan = this.plan(work);
    if (plan.runs !== "not") return;
    const message = `Cannot draw: ${describeVerdict(plan).replace("Does not fit: ", "")}`;
    throw new RefusalError("invalid", message, "size");
  }

  /** Pictures at once, at most `most`, that fit as one does: without fewer bits or the disk for their sake. */
  batchOf({ size, cache }: Work, most: number): number {
    const modes = (batch: number) =>
      this.plan({ size: { ...size, batch }, cache }).parts.map(({ mode }) => mode).join();
    const wanted = modes(1);
    let batch = most;
    while (batch > 1 && modes(batch) !== wanted) batch = Math.ceil(batch / 2);
    return batch;
  }
}
