import { loadModel, type LoadOptions, type ModelClass } from "../models/runtime/load.ts";
import { AutoencoderKLBase, Model } from "../models/mod.ts";
import { type Scheduler, schedulerClasses } from "../schedulers/mod.ts";
import { describePlan, planMemory } from "./memory/plan.ts";
import { memoryBudget, modelsOf, type Residents } from "./memory/acquire.ts";
import { stagesOf } from "./memory/stages.ts";
import { footprintsOf, storeToFit } from "./memory/weight_modes.ts";
import { expectComponent, type PipelineIndex, type PipelineOptions, readIndex } from "./model_index.ts";

/** The class of a part, a model's or a tokenizer's, and the names under which model_index.json may list it. */
export type PartClass = readonly [type: new (...made: never[]) => object, ...names: string[]];

/** The parts of such classes, with the scheduler that the index names. */
export type OpenedParts<Classes extends Readonly<Record<string, PartClass>>> =
  & { -readonly [Name in keyof Classes]: InstanceType<Classes[Name][0]> }
  & Residents
  & { scheduler: Scheduler };

/**
 * Opens the parts of a family in the order of its table, the models without their weights, which come when
 * they are needed. Says how the models fit in memory, where they do not fit beside each other as they are.
 */
export async function openParts<const Classes extends Readonly<Record<string, PartClass>>>(
  pathOrRepo: string,
  options: PipelineOptions,
  classes: Classes,
  index?: PipelineIndex,
): Promise<OpenedParts<Classes>> {
  const { components, commit } = index ??= await readIndex(pathOrRepo, options);
  const table = Object.entries(classes).map(([name, [type, ...names]]) => ({
    name,
    type,
    names,
    subfolder: name.replaceAll(/[A-Z\d]/g, (c) => `_${c.toLowerCase()}`), // textEncoder2: text_encoder_2
  }));
  // what is last, the denoiser and the autoencoder, says best that this is another kind of pipeline
  for (const { subfolder, names } of table.toReversed()) expectComponent(components, subfolder, names);
  const schedulerName = expectComponent(components, "scheduler", Object.keys(schedulerClasses));

  const memory = await memoryBudget(options);
  const source = { ...options, revision: commit ?? options.revision };
  const scheduler = await schedulerClasses[schedulerName]!.fromPretrained(pathOrRepo, {
    ...source,
    subfolder: "scheduler",
  });
  const parts: Record<string, unknown> = { scheduler, memory };
  for (const { name, type, subfolder } of table) {
    const options = { ...source, subfolder };
    parts[name] = type.prototype instanceof Model
      ? await openModel(type as unknown as ModelClass<Model>, pathOrRepo, options, memory)
      : await (type as unknown as TokenizerClass).fromPretrained(pathOrRepo, options);
  }
  tellPlan(parts, pathOrRepo, options);
  return parts as OpenedParts<Classes>;
}

interface TokenizerClass {
  fromPretrained(pathOrRepo: string, options: LoadOptions): Promise<unknown>;
}

/**
 * Opens a model, without its weights, so that it fits in `memory` bytes by itself: whole, else in parts that
 * `acquireModels` brings in turn, else in fewer bits, else streamed from the disk. What the options ask for is done
 * as they say.
 */
export async function openModel<M extends Model>(
  type: ModelClass<M>,
  pathOrRepo: string,
  options: LoadOptions,
  memory = Infinity,
): Promise<M> {
  const quantize = type.prototype instanceof AutoencoderKLBase ? undefined : options.quantize; // convolutions gain nothing by it
  const model = await loadModel(type, pathOrRepo, { ...options, quantize, defer: true });
  model.isFlexible = !options.quantize && !options.stream && !options.headersOnly;
  storeToFit(model, model.workspace, memory);
  return model;
}

/** Says how the models of a pipeline fit in memory, where they do not fit beside each other as they are. */
function tellPlan(
  parts: Record<string, unknown> & Residents,
  name: string,
  { headersOnly, onNotice = console.warn }: PipelineOptions,
): void {
  const { memory = Infinity } = parts;
  const together = modelsOf(parts).reduce(
    (sum, model) => sum + footprintsOf(model, model.workspace)[0]!.bytes,
    0,
  );
  if (headersOnly || together <= memory) return;
  onNotice(describePlan(planMemory(stagesOf(parts), memory), name));
}
