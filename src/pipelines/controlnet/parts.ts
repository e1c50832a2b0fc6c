import { nameOfKind } from "../../core/error.ts";
import { resolveRepo } from "../../io/hub/resolve_repo.ts";
import { isSingleFile } from "../../io/single_file/options.ts";
import { ControlNetModel, type Model } from "../../models/mod.ts";
import type { ModelClass } from "../../models/runtime/load.ts";
import type { ControlParts } from "../latents/control.ts";
import { expectComponent, type PipelineIndex, type PipelineOptions, readIndex } from "../model_index.ts";
import { openModel } from "../open_parts.ts";

/**
 * The ControlNets of a pipeline: those of the options, as models or by their folders, repositories or files,
 * else those that the pipeline's own folders have, as diffusers writes one or several.
 */
export async function openControlNets(
  pathOrRepo: string,
  options: PipelineOptions,
  memory: number | undefined,
): Promise<ControlParts["controlnet"]> {
  const nets = await openNets(ControlNetModel, pathOrRepo, options, memory);
  const isList = Array.isArray(options.controlnet) || nets.length > 1;
  return isList ? nets : nets[0]!;
}

/** The same of any class of ControlNets. */
export async function openNets<M extends Model>(
  type: ModelClass<M>,
  pathOrRepo: string,
  options: PipelineOptions,
  memory?: number,
): Promise<M[]> {
  const { controlnet: given, ...source } = options;
  if (given === undefined) return await openOwn(type, pathOrRepo, source, memory);
  const nets: M[] = [];
  for (const net of [given].flat()) {
    nets.push(net instanceof type ? net : await openNet(type, expectName(net, type.name), source, memory));
  }
  return nets;
}

async function openOwn<M extends Model>(
  type: ModelClass<M>,
  pathOrRepo: string,
  options: PipelineOptions,
  memory: number | undefined,
): Promise<M[]> {
  const index = await readIndex(pathOrRepo, options);
  const source = { ...options, revision: index.commit ?? options.revision };
  const folders = await foldersOf(type.name, index, pathOrRepo, source);
  const nets: M[] = [];
  for (const subfolder of folders) {
    nets.push(await openNet(type, pathOrRepo, { ...source, subfolder }, memory));
  }
  return nets;
}

/** The folders of a pipeline's ControlNets: "controlnet", and of several "controlnet_1" and so on. */
async function foldersOf(
  className: string,
  { components }: PipelineIndex,
  pathOrRepo: string,
  options: PipelineOptions,
): Promise<string[]> {
  if (!components["controlnet"]) {
    throw new TypeError(
      `Cannot control what ${pathOrRepo} draws: expected controlnet as an option, a model or its repository, got none`,
    );
  }
  const kind = expectComponent(components, "controlnet", [className, `Multi${className}`]);
  if (kind === className) return ["controlnet"];
  let names: readonly string[] = [];
  await resolveRepo(pathOrRepo, { ...options, files: (all) => (names = all, ["model_index.json"]) });
  const folders = names.flatMap((name) => /^(controlnet(?:_\d+)?)\/config\.json$/.exec(name)?.[1] ?? []);
  const numberOf = (folder: string) => Number(folder.split("_")[1] ?? 0);
  return folders.sort((a, b) => numberOf(a) - numberOf(b));
}

async function openNet<M extends Model>(
  type: ModelClass<M>,
  pathOrRepo: string,
  { base: _base, config: _config, revision, ...options }: PipelineOptions & { subfolder?: string },
  memory: number | undefined,
): Promise<M> {
  const own = options.subfolder === undefined ? undefined : revision; // another repository has other revisions
  const source = isSingleFile(pathOrRepo) ? options : { ...options, revision: own };
  return await openModel(type, pathOrRepo, source, memory);
}

function expectName(net: unknown, className: string): string {
  if (typeof net === "string") return net;
  throw new TypeError(
    `Cannot control by ${
      nameOfKind(net)
    }: expected controlnet as a ${className}, a folder, a repository or a file`,
  );
}
