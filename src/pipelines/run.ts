import { dirname, join } from "node:path/posix";
import { z } from "zod";
import { formatShape, sameNumbers } from "../core/shape.ts";
import { parseConfig, readJson } from "../io/config.ts";
import { neededFiles } from "../io/hub/needed_files.ts";
import { resolveRepo } from "../io/hub/resolve_repo.ts";
import { expectLoadOptions } from "../io/load_options.ts";
import { readSingleFileIndex } from "../io/single_file/contents.ts";
import { isSingleFile } from "../io/single_file/options.ts";
import type { LoadOptions } from "../models/runtime/load.ts";
import type { Scheduler } from "../schedulers/mod.ts";
import { progress, type ProgressOptions, scope, Tensor } from "../tensor/mod.ts";
import type { PreviewOptions, Previews } from "./previews/previews.ts";
import { recoveryOf } from "./recovery.ts";

/** Options of a pipeline's `fromPretrained`. */
export interface PipelineOptions extends Omit<LoadOptions, "subfolder" | "defer"> {
  /**
   * Bytes of GPU memory that the models may take together: those that are not at work leave where it is
   * short. By default nine tenths of what the adapter has; where that is not known, all stay as long as the
   * GPU takes them.
   */
  memory?: number | undefined;
}

/** What a pipeline returns. */
export interface PipelineOutput {
  /** Pictures in [0, 1]. [B, C, H, W] */
  images: Tensor;
}

/** What every pipeline may be told. */
export interface RunOptions {
  /** Options of the progress bar; false hides it. */
  progress?: Omit<ProgressOptions, "signal"> | false | undefined;
  /** Ends the run between two steps. */
  signal?: AbortSignal | undefined;
  /**
   * Called after each step with its number, its timestep and the sample so far. A tensor that it returns, or promises,
   * takes the sample's place; of a sample that it keeps it makes a copy, e.g. by `sample.clone()`.
   */
  onStep?: ((step: number, timestep: number, sample: Tensor) => unknown) | undefined;
  /**
   * Keeps each step on the host too, and where the device is lost asks for a new one and goes on from there; false by
   * default, as it costs a reading back of the sample, and of what the scheduler remembers, at every step.
   */
  recover?: boolean | undefined;
  /** Shows small pictures of what is being drawn. */
  preview?: PreviewOptions | undefined;
}

/** A component of a repository: the library and the class that model_index.json names. */
const component = z.tuple([z.string().nullable(), z.string().nullable()]);

const index = z.looseObject({ _class_name: z.string() });

/** A repository's model_index.json, and where its components are found. */
export interface PipelineIndex {
  /** Class of the pipeline, e.g. "DDPMPipeline". */
  readonly className: string;
  /** Class of each component, e.g. { unet: "UNet2DModel" }. */
  readonly components: Readonly<Record<string, string>>;
  /** All that the file says, e.g. flags beside the components. */
  readonly json: Readonly<Record<string, unknown>>;
  /** Commit of the repository; a local folder has none. */
  readonly commit?: string | undefined;
}

/**
 * Reads a pipeline's model_index.json from a folder or from the hub;
 * a single file's is made of what it holds.
 */
export async function readIndex(pathOrRepo: string, options: PipelineOptions): Promise<PipelineIndex> {
  expectLoadOptions(pathOrRepo, options);
  const { json, commit } = isSingleFile(pathOrRepo)
    ? await readSingleFileIndex(pathOrRepo, options)
    : await readIndexFile(pathOrRepo, options);
  const components = Object.entries(json).flatMap(([name, value]) => {
    const named = component.safeParse(value);
    return named.success && named.data[1] ? [[name, named.data[1]]] : [];
  });
  return { className: json._class_name, components: Object.fromEntries(components), json, commit };
}

async function readIndexFile(pathOrRepo: string, options: PipelineOptions) {
  let names: readonly string[] = [];
  const files = (listing: string[]) => (names = listing, neededFiles(listing, { kind: "pipeline" }));
  try {
    const { folder, commit } = await resolveRepo(pathOrRepo, { ...options, files });
    const path = join(folder, "model_index.json");
    return { json: parseConfig(index, await readJson(path), path), commit };
  } catch (cause) {
    const got = names.includes("model_index.json") ? undefined : inPlaceOfPipeline(pathOrRepo, names);
    if (got === undefined) throw cause;
    throw new Error(`Cannot load a pipeline from ${pathOrRepo}: expected model_index.json, got ${got}`, {
      cause,
    });
  }
}

/** What a folder or repository holds that is no pipeline, and what to do about it. */
function inPlaceOfPipeline(pathOrRepo: string, names: readonly string[]): string | undefined {
  const inner = names.filter((name) => name.endsWith("/model_index.json")).map((name) => dirname(name));
  if (inner.length) return `a folder of pipelines; load one, e.g. ${pathOrRepo}/${inner[0]}`;
  if (names.includes("config.json")) return "one model; name the folder or repository of its whole pipeline";
  const single = names.find((name) =>
    isSingleFile(name) && !name.includes("/") && !/^(diffusion_)?(pytorch_)?model[.-]/.test(name)
  );
  return single && `single files; load one, e.g. ${pathOrRepo}/${single}`;
}

/** Throws unless the index names `className` for a component. */
export function expectComponent(index: PipelineIndex, name: string, classNames: readonly string[]): string {
  const found = index.components[name];
  if (found && classNames.includes(found)) return found;
  throw new TypeError(
    `Cannot load the pipeline's ${name}: expected ${classNames.join(" or ")}, got ${found ?? "none"}; ` +
      "see README for the classes that are built",
  );
}

/**
 * Takes a sample, which is the loop's from then on, through its steps, or through those that a lost device left, with bar,
 * signal, callback and previews, the last of which is there before the bar ends. `step` gives the sample after it.
 */
export async function runSteps(
  start: Tensor,
  timesteps: readonly number[],
  scheduler: Scheduler,
  { progress: bar, signal, onStep }: RunOptions,
  step: (sample: Tensor, timestep: number, number: number) => Tensor,
  previews: Previews,
): Promise<Tensor> {
  const recovery = recoveryOf(scheduler);
  let { sample, done: number } = recovery?.resume(scheduler) ?? { sample: start, done: 0 };
  const options: ProgressOptions = bar === false ? { write: false, signal } : { ...bar, signal };
  for await (const t of progress(timesteps.slice(number), options)) {
    sample = step(sample, t, number);
    if (onStep) sample = replaced(sample, await onStep(number, t, sample));
    number++;
    recovery?.keep(number, sample, scheduler);
    if (number === timesteps.length) await previews.end();
  }
  return sample;
}

/** The sample to go on with: what a callback returned, if that is one. */
function replaced(sample: Tensor, returned: unknown): Tensor {
  if (returned === sample || typeof returned !== "object" || returned === null) return sample;
  if (!(returned instanceof Tensor) || !sameNumbers(returned.shape, sample.shape)) {
    const got = returned instanceof Tensor ? String(returned) : "another object";
    throw new TypeError(
      `Cannot go on from what onStep returned: expected a sample ${
        formatShape(sample.shape)
      } or nothing, got ${got}`,
    );
  }
  using before = scope(sample);
  return before.keep(returned);
}

/** Throws unless `value` is a whole number from 1. */
export function expectCount(name: string, value: number): void {
  if (Number.isSafeInteger(value) && value >= 1) return;
  throw new RangeError(`Cannot run with ${name} ${value}: expected a whole number from 1`);
}
