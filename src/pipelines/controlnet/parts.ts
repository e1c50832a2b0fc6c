import { resolveRepo } from "../../io/hub/resolve_repo.ts";
import { isSingleFile } from "../../io/single_file/options.ts";
import { ControlNetModel } from "../../models/mod.ts";
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
  const { controlnet: given, ...source } = options;
  if (given === undefined) return await openOwn(pathOrRepo, source, memory);
  const nets: ControlNetModel[] = [];
  for (const net of [given].flat()) {
    nets.push(net instanceof ControlNetModel ? net : await openNet(expectName(net), source, memory));
  }
  return Array.isArray(given) ? nets : nets[0]!;
}

async function openOwn(pathOrRepo: string, options: PipelineOptions, memory: number | undefined) {
  const index = await readIndex(pathOrRepo, options);
  const source = { ...options, revision: index.commit ?? options.revision };
  const folders = await foldersOf(index, pathOrRepo, source);
  const nets: ControlNetModel[] = [];
  for (const subfolder of folders) nets.push(await openNet(pathOrRepo, { ...source, subfolder }, memory));
  return nets.length === 1 ? nets[0]! : nets;
}

/** The folders of a pipeline's ControlNets: "controlnet", and of several "controlnet_1" and so on. */
async function foldersOf(
  { components }: PipelineIndex,
  pathOrRepo: string,
  options: PipelineOptions,
): Promise<string[]> {
  if (!components["controlnet"]) {
    throw new TypeError(
      `Cannot control what ${pathOrRepo} draws: expected controlnet as an option, a model or its repository, got none`,
    );
  }
  const kind = expectComponent(components, "controlnet", ["ControlNetModel", "MultiControlNetModel"]);
  if (kind === "ControlNetModel") return ["controlnet"];
  let names: readonly string[] = [];
  await resolveRepo(pathOrRepo, { ...options, files: (all) => (names = all, ["model_index.json"]) });
  const folders = names.flatMap((name) => /^(controlnet(?:_\d+)?)\/config\.json$/.exec(name)?.[1] ?? []);
  const numberOf = (folder: string) => Number(folder.split("_")[1] ?? 0);
  return folders.sort((a, b) => numberOf(a) - numberOf(b));
}

async function openNet(
  pathOrRepo: string,
  { base: _base, config: _config, revision, ...options }: PipelineOptions & { subfolder?: string },
  memory: number | undefined,
): Promise<ControlNetModel> {
  const own = options.subfolder === undefined ? undefined : revision; // another repository has other revisions
  const source = isSingleFile(pathOrRepo) ? options : { ...options, revision: own };
  return await openModel(ControlNetModel, pathOrRepo, source, memory);
}

function expectName(net: unknown): string {
  if (typeof net === "string") return net;
  throw new TypeError(
    `Cannot control by ${typeof net}: expected controlnet as a ControlNetModel, a folder, a repository or a file`,
  );
}
