import { dirname, join } from "node:path/posix";
import { z } from "zod";
import { parseConfig, readJson } from "../io/config.ts";
import { neededFiles } from "../io/hub/needed_files.ts";
import { resolveRepo } from "../io/hub/resolve_repo.ts";
import { expectLoadOptions } from "../io/load_options.ts";
import { readSingleFileIndex } from "../io/single_file/contents.ts";
import { isSingleFile } from "../io/single_file/options.ts";
import type {
  Autoencoder,
  ControlNetModel,
  FluxControlNetModel,
  T2IAdapter,
  ZImageControlNetModel,
} from "../models/mod.ts";
import type { LoadOptions } from "../models/runtime/load.ts";

/** Options of a pipeline's `fromPretrained`. */
export interface PipelineOptions extends Omit<LoadOptions, "subfolder" | "defer"> {
  /**
   * Bytes of GPU memory that the models may take together: those that are not at work are unloaded where it is
   * short. By default nine tenths of what the adapter has; where that is not known, all stay as long as the GPU
   * takes them.
   */
  memory?: number | undefined;
  /** Another autoencoder than the pipeline's own, as a model or by its folder, repository or file, e.g. "madebyollin/taesd". */
  vae?: Autoencoder | string | undefined;
  /** ControlNets, as models or by their folders, repositories or files, for pipelines that they control. */
  controlnet?: AnyControlNet | string | readonly (AnyControlNet | string)[] | undefined;
  /** T2I-Adapters, as models or by their folders or repositories, for pipelines that they control. */
  adapter?: T2IAdapter | string | readonly (T2IAdapter | string)[] | undefined;
}

/** A ControlNet of any family. */
export type AnyControlNet = ControlNetModel | FluxControlNetModel | ZImageControlNetModel;

/** A component of a repository: the library and the class that model_index.json names. */
const component = z.tuple([z.string().nullable(), z.string().nullable()]);

const index = z.looseObject({ _class_name: z.string() });

/** A repository's model_index.json, and where its components are found. */
export interface PipelineIndex {
  /** Class of the pipeline, e.g. "DDPMPipeline". */
  readonly className: string;
  /** Class of each component, e.g. { unet: "UNet2DModel" }. */
  readonly components: Readonly<Record<string, string>>;
  /** The whole file, e.g. flags besides the components. */
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

/** The name of what a folder or repository holds that is no pipeline, and advice. */
function inPlaceOfPipeline(pathOrRepo: string, names: readonly string[]): string | undefined {
  const inner = names.filter((name) => name.endsWith("/model_index.json")).map((name) => dirname(name));
  if (inner.length) return `a folder of pipelines; load one, e.g. ${pathOrRepo}/${inner[0]}`;
  if (names.includes("config.json")) return "one model; name the folder or repository of its whole pipeline";
  const single = names.find((name) =>
    isSingleFile(name) && !name.includes("/") && !/^(diffusion_)?(pytorch_)?model[.-]/.test(name)
  );
  return single && `single files; load one, e.g. ${pathOrRepo}/${single}`;
}

/** The class of a component; throws unless it is one of `classNames`. */
export function expectComponent(
  components: PipelineIndex["components"],
  name: string,
  classNames: readonly string[],
): string {
  const found = components[name];
  if (found && classNames.includes(found)) return found;
  throw new TypeError(
    `Cannot load the pipeline's ${name}: expected ${classNames.join(" or ")}, got ${found ?? "none"}; ` +
      "see README for the classes that are built",
  );
}
