import { join } from "node:path";
import { z } from "zod";
import { parseConfig, readJson } from "../io/config.ts";
import { neededFiles, resolveRepo } from "../io/hub.ts";
import { expectLoadOptions } from "../io/load_options.ts";
import { readSingleFileIndex } from "../io/single_file/contents.ts";
import { isSingleFile } from "../io/single_file/options.ts";
import type { LoadOptions } from "../models/load.ts";
import { progress, type ProgressOptions, type Tensor } from "../tensor/mod.ts";
import type { PreviewOptions, Previews } from "./preview.ts";

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
  /** Called after each step with its number, its timestep and the sample so far. */
  onStep?: ((step: number, timestep: number, sample: Tensor) => void) | undefined;
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
    const single = names.find((name) =>
      isSingleFile(name) && !/^(diffusion_)?(pytorch_)?model[.-]/.test(name)
    );
    if (!single || names.includes("model_index.json")) throw cause;
    const message = `expected model_index.json, got single files; load one, e.g. ${pathOrRepo}/${single}`;
    throw new Error(`Cannot load a pipeline from ${pathOrRepo}: ${message}`, { cause });
  }
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
 * Runs the steps of a loop with its bar, signal, callback and previews, the last of which is there before the
 * bar ends. `step` returns the sample after it.
 */
export async function runSteps(
  timesteps: readonly number[],
  { progress: bar, signal, onStep }: RunOptions,
  step: (timestep: number) => Tensor,
  previews: Previews,
): Promise<void> {
  let number = 0;
  const options: ProgressOptions = bar === false ? { write: false, signal } : { ...bar, signal };
  for await (const t of progress(timesteps, options)) {
    const sample = step(t);
    onStep?.(number, t, sample);
    if (++number === timesteps.length) await previews.end();
  }
}

/** Throws unless `value` is a whole number from 1. */
export function expectCount(name: string, value: number): void {
  if (Number.isSafeInteger(value) && value >= 1) return;
  throw new RangeError(`Cannot run with ${name} ${value}: expected a whole number from 1`);
}
