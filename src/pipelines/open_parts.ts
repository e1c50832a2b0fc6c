import { join } from "node:path";
import { z } from "zod";
import { parseConfig, readJson } from "../io/config.ts";
import { resolveRepo } from "../io/hub/resolve_repo.ts";
import { openSingleFile } from "../io/single_file/file.ts";
import { isSingleFile } from "../io/single_file/options.ts";
import { loadModel, type LoadOptions, type ModelClass } from "../models/runtime/load.ts";
import { Autoencoder, AutoencoderTiny, Model } from "../models/mod.ts";
import { type Scheduler, schedulerClasses, whyUnbuilt } from "../schedulers/mod.ts";
import { describePlan, planMemory } from "./memory/plan.ts";
import { memoryBudget, modelsOf, type Residents } from "./memory/acquire.ts";
import { stagesOf } from "./memory/stages.ts";
import { limitText } from "./text_states.ts";
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
    subfolder: folderOf(name),
  }));
  // what is last, the denoiser and the autoencoder, says best that this is another kind of pipeline
  if (options.vae !== undefined && !("vae" in classes)) {
    throw new TypeError(`Cannot load ${pathOrRepo} with vae: its pipeline has no autoencoder`);
  }
  for (const { name, subfolder, names } of table.toReversed()) {
    if (name !== "vae" || options.vae === undefined) expectComponent(components, subfolder, names);
  }
  const unbuilt = whyUnbuilt(components["scheduler"] ?? "");
  if (unbuilt) {
    throw new TypeError(
      `Cannot load the pipeline's scheduler: ${components["scheduler"]} is not built, as ${unbuilt}`,
    );
  }
  const schedulerName = expectComponent(components, "scheduler", Object.keys(schedulerClasses));

  const memory = await memoryBudget(options);
  const { vae, ...own } = options;
  const source = { ...own, revision: commit ?? options.revision };
  const scheduler = await schedulerClasses[schedulerName]!.fromPretrained(pathOrRepo, {
    ...source,
    subfolder: "scheduler",
  });
  const parts: Record<string, unknown> = { scheduler, memory };
  for (const { name, type: usual, subfolder } of table) {
    if (name === "vae" && vae !== undefined) {
      parts[name] = vae instanceof Autoencoder ? vae : await openAutoencoder(vae, usual, own, memory);
      continue;
    }
    const type = components[subfolder] === "AutoencoderTiny" ? AutoencoderTiny : usual;
    const options = { ...source, subfolder };
    parts[name] = type.prototype instanceof Model
      ? await openModel(type as unknown as ModelClass<Model>, pathOrRepo, options, memory)
      : await (type as unknown as TokenizerClass).fromPretrained(pathOrRepo, options);
  }
  const limited = limitText(parts);
  if (limited) storeToFit(limited, limited.workspace, memory ?? Infinity);
  tellPlan(parts, pathOrRepo, options);
  return parts as OpenedParts<Classes>;
}

/** The folder of a part, which is its name in model_index.json, too: text_encoder_2 for textEncoder2. */
export function folderOf(part: string): string {
  return part.replaceAll(/[A-Z\d]/g, (c) => `_${c.toLowerCase()}`);
}

interface TokenizerClass {
  fromPretrained(pathOrRepo: string, options: LoadOptions): Promise<unknown>;
}

/** An autoencoder of its own folder, repository or file, tiny where its config or its keys say so, else of the usual class. */
export async function openAutoencoder(
  pathOrRepo: string,
  usual: PartClass[0],
  { revision: _, base: _base, config: _config, ...options }: PipelineOptions,
  memory?: number,
): Promise<Model> {
  const type = await isTiny(pathOrRepo, options) ? AutoencoderTiny : usual;
  return await openModel(type as unknown as ModelClass<Model>, pathOrRepo, options, memory);
}

async function isTiny(pathOrRepo: string, options: LoadOptions): Promise<boolean> {
  if (isSingleFile(pathOrRepo)) {
    const { parts } = await openSingleFile(pathOrRepo, options);
    return parts.get("vae")?.className === "AutoencoderTiny";
  }
  const name = "config.json";
  const { folder } = await resolveRepo(pathOrRepo, { ...options, files: () => [name] });
  const path = join(folder, name);
  return parseConfig(named, await readJson(path), path)._class_name === "AutoencoderTiny";
}

const named = z.looseObject({ _class_name: z.string().optional() });

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
  const quantize = type.prototype instanceof Autoencoder ? undefined : options.quantize; // convolutions gain nothing by it
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
