import { loadModel, type LoadOptions, type ModelClass } from "../models/runtime/load.ts";
import { AutoencoderKL, type Model } from "../models/mod.ts";
import { describePlan, planMemory } from "./memory/plan.ts";
import { type Scheduler, schedulerClasses } from "../schedulers/mod.ts";
import { expectComponent, type PipelineIndex, type PipelineOptions, readIndex } from "./run.ts";
import { memoryBudget, modelsOf, type Residents } from "./memory/residency.ts";
import { stagesOf } from "./memory/stages.ts";
import { fit, makeFlexible, waysOf } from "./memory/storage.ts";

/** What a pipeline's index says, the memory for its models, where its parts come from, and its scheduler. */
export interface OpenedPipeline {
  readonly index: PipelineIndex;
  readonly memory: number | undefined;
  /** The options with which the part of a folder is opened. */
  readonly from: (subfolder: string) => LoadOptions & Residents;
  readonly scheduler: Scheduler;
}

/** Reads what all pipelines begin with. Throws unless the index names one of its `classes` for each component. */
export async function openPipeline(
  pathOrRepo: string,
  options: PipelineOptions,
  classes: Readonly<Record<string, readonly string[]>>,
): Promise<OpenedPipeline> {
  const index = await readIndex(pathOrRepo, options);
  for (const [name, expected] of Object.entries(classes)) expectComponent(index, name, expected);
  const memory = await memoryBudget(options);
  const source = { ...options, revision: index.commit ?? options.revision, memory };
  const from = (subfolder: string) => ({ ...source, subfolder });
  const type = schedulerClasses[expectComponent(index, "scheduler", Object.keys(schedulerClasses))]!;
  return { index, memory, from, scheduler: await type.fromPretrained(pathOrRepo, from("scheduler")) };
}

/**
 * Opens a model of a pipeline, without its weights, so that it fits in `memory` bytes by itself: whole, else
 * in parts that `bringIn` brings in turn, else in fewer bits, else streamed from the disk. What the options
 * ask for is done as they say.
 */
export async function openPart<M extends Model>(
  type: ModelClass<M>,
  pathOrRepo: string,
  { memory = Infinity, ...options }: LoadOptions & Residents,
): Promise<M> {
  const quantize = (type as ModelClass) === AutoencoderKL ? undefined : options.quantize;
  const open = (how: LoadOptions) =>
    loadModel(type, pathOrRepo, { ...options, quantize, ...how, defer: true });
  const model = await open({});
  if (options.quantize || options.stream || options.headersOnly) return model;
  makeFlexible(model);
  fit(model, model.workspace, memory);
  return model;
}

/** Tells how the models of a pipeline fit in memory, where they do not fit beside each other as they are. */
export function tellPlan(
  parts: Residents & object,
  name: string,
  { headersOnly, onNotice = console.warn }: PipelineOptions,
): void {
  const { memory = Infinity } = parts;
  const together = modelsOf(parts).reduce((sum, model) => sum + waysOf(model, model.workspace)[0]!.bytes, 0);
  if (headersOnly || together <= memory) return;
  onNotice(describePlan(planMemory(stagesOf({ ...parts }), memory), name));
}
