import { nameOfKind } from "../core/error.ts";
import { resolveRepo } from "../io/hub/resolve_repo.ts";
import { isSingleFile } from "../io/single_file/options.ts";
import {
  ControlNetModel,
  FluxControlNetModel,
  type Model,
  T2IAdapter,
  ZImageControlNetModel,
} from "../models/mod.ts";
import type { ModelClass } from "../models/runtime/load.ts";
import { expectComponent, type PipelineIndex, type PipelineOptions, readIndex } from "./model_index.ts";
import { openModel } from "./open_parts.ts";

/** Nets that control a pipeline's denoiser: the option of `fromPretrained` that names them, which is their folder, too. */
interface Nets<M extends Model> {
  readonly option: "controlnet" | "adapter";
  readonly type: ModelClass<M>;
  /** Class of several together in model_index.json. */
  readonly several: string | undefined;
}

/** ControlNets of Stable Diffusion. */
export const CONTROLNETS = {
  option: "controlnet",
  type: ControlNetModel,
  several: "MultiControlNetModel",
} as const;

/** ControlNets of FLUX.1. */
export const FLUX_CONTROLNETS = {
  option: "controlnet",
  type: FluxControlNetModel,
  several: "FluxMultiControlNetModel",
} as const;

/** The ControlNet of Z-Image. */
export const Z_IMAGE_CONTROLNET = {
  option: "controlnet",
  type: ZImageControlNetModel,
  several: undefined, // there is one
} as const;

/** T2I-Adapters of Stable Diffusion. */
export const ADAPTERS = { option: "adapter", type: T2IAdapter, several: "MultiAdapter" } as const;

/**
 * The ControlNets or T2I-Adapters of a pipeline: those of the options, as models or by their folders, repositories or
 * files, else those that the pipeline's own folders have, as diffusers writes one or several. → one, or a list
 */
export async function openNets<M extends Model>(
  nets: Nets<M>,
  pathOrRepo: string,
  { controlnet, adapter, ...options }: PipelineOptions,
  memory?: number,
): Promise<M | M[]> {
  const given = nets.option === "controlnet" ? controlnet : adapter;
  if (given === undefined) {
    const own = await openOwn(nets, pathOrRepo, options, memory);
    return own.length === 1 ? own[0]! : own;
  }
  const opened: M[] = [];
  for (const net of [given].flat() as unknown[]) {
    opened.push(
      net instanceof nets.type ? net : await openNet(nets, expectName(net, nets), options, memory),
    );
  }
  return Array.isArray(given) ? opened : opened[0]!;
}

async function openOwn<M extends Model>(
  nets: Nets<M>,
  pathOrRepo: string,
  options: PipelineOptions,
  memory: number | undefined,
): Promise<M[]> {
  const index = await readIndex(pathOrRepo, options);
  const source = { ...options, revision: index.commit ?? options.revision };
  const folders = await foldersOf(nets, index, pathOrRepo, source);
  const opened: M[] = [];
  for (const subfolder of folders) {
    opened.push(await openNet(nets, pathOrRepo, { ...source, subfolder }, memory));
  }
  return opened;
}

/** The folders of a pipeline's nets: "controlnet", and of several "controlnet_1" and so on. */
async function foldersOf(
  { option, type, several }: Nets<Model>,
  { components }: PipelineIndex,
  pathOrRepo: string,
  options: PipelineOptions,
): Promise<string[]> {
  if (!components[option]) {
    throw new TypeError(
      `Cannot control what ${pathOrRepo} draws: expected ${option} as an option, a model or its repository, got none`,
    );
  }
  const classNames = several ? [type.name, several] : [type.name];
  if (expectComponent(components, option, classNames) === type.name) return [option];
  let names: readonly string[] = [];
  await resolveRepo(pathOrRepo, { ...options, files: (all) => (names = all, ["model_index.json"]) });
  const config = new RegExp(`^(${option}(?:_\\d+)?)/config\\.json$`);
  const folders = names.flatMap((name) => config.exec(name)?.[1] ?? []);
  const numberOf = (folder: string) => Number(folder.split("_")[1] ?? 0);
  return folders.sort((a, b) => numberOf(a) - numberOf(b));
}

async function openNet<M extends Model>(
  { type }: Nets<M>,
  pathOrRepo: string,
  { base: _base, config: _config, revision, ...options }: PipelineOptions & { subfolder?: string },
  memory: number | undefined,
): Promise<M> {
  const own = options.subfolder === undefined ? undefined : revision; // another repository has other revisions
  const source = isSingleFile(pathOrRepo) ? options : { ...options, revision: own };
  return await openModel(type, pathOrRepo, source, memory);
}

function expectName(net: unknown, { option, type }: Nets<Model>): string {
  if (typeof net === "string") return net;
  throw new TypeError(
    `Cannot control by ${
      nameOfKind(net)
    }: expected ${option} as a ${type.name}, a folder, a repository or a file`,
  );
}
