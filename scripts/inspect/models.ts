import { dirname } from "node:path/posix";
import * as models from "denoise/models";
import * as pipelines from "denoise/pipelines";
import * as schedulers from "denoise/schedulers";
import * as tokenizers from "denoise/tokenizers";
import { modelKind } from "../../src/io/names/model_kinds.ts";
import { keysNotUsed, type SingleFile } from "../../src/io/single_file/file.ts";
import { families, pipelineOf } from "../../src/io/single_file/families.ts";
import { openModelSource } from "../../src/models/runtime/model_source.ts";
import { readIndex } from "../../src/pipelines/model_index.ts";
import { cellsOf, HEADINGS, some, table } from "./table.ts";

/** Describes the contents of a single file. */
export async function describeSingleFile(file: SingleFile): Promise<string> {
  const { path, family, parts, tensors } = file;
  const rows = [["part", "class", ...HEADINGS, "keys begin with"]];
  for (const [folder, part] of parts) {
    using checkpoint = await file.open(part.view);
    rows.push([folder, part.className, ...cellsOf(checkpoint.tensors.values()), part.prefix]);
  }
  const unused = parts.size > 0 ? await keysNotUsed(file) : [];
  return [
    `${path}: ${titleOf(file)}`,
    parts.size > 0 ? table(rows) : table([HEADINGS, cellsOf(tensors.values())]),
    ...unused.length ? [`not used: ${some(unused)}`] : [],
    ...family ? [] : [remarkOf(file)],
  ].join("\n");
}

function titleOf({ family, parts, tensors }: SingleFile): string {
  if (!family) {
    const kind = modelKind(tensors.keys())?.name ?? `tensors such as ${some([...tensors.keys()])}`;
    if (parts.size === 1) return [...parts.values()][0]!.className;
    return parts.size > 0 ? "parts of a pipeline" : kind;
  }
  const denoiser = parts.get("unet") ?? parts.get("transformer")!;
  return `${families[family].name}, for ${pipelineOf(family, denoiser.config(tensors)["in_channels"])}`;
}

/** A remark on the use of a file that is no pipeline. */
function remarkOf({ parts, tensors }: SingleFile): string {
  if (parts.size === 1) return "one model of a pipeline: its class loads it, a pipeline wants its others too";
  if (parts.size > 0) return "no UNet and no transformer is in it";
  const kind = modelKind(tensors.keys())?.name;
  if (kind === undefined) return "these are the keys of no model that is known";
  return isBuilt(kind)
    ? "under diffusers' names: its config lies in the folder or repository that it is from, which --config names"
    : `not built: nothing here loads ${kind}`;
}

/** A class, with a remark where it is not built. */
function classOf(name: string): string {
  return isBuilt(name) ? name : `${name} (not built)`;
}

/** True if there is a class of this name. */
function isBuilt(name: string): boolean {
  const plain = name.replace(/Fast$/, "");
  return [models, pipelines, schedulers, tokenizers].some((module) => Object.hasOwn(module, plain));
}

/** Describes a folder or repository with a model_index.json; its weights are not fetched. */
export async function describePipeline(pathOrRepo: string, variant?: string): Promise<string> {
  const { className, components } = await readIndex(pathOrRepo, {});
  const rows = [["part", "class", ...HEADINGS]];
  for (const [subfolder, type] of Object.entries(components)) {
    if (/scheduler|tokenizer/.test(subfolder)) rows.push([subfolder, classOf(type)]);
    else rows.push([subfolder, classOf(type), ...await cellsIn(pathOrRepo, subfolder, variant)]);
  }
  return [`${pathOrRepo}: a ${classOf(className)}`, table(rows)].join("\n");
}

/** The models in the folders of a folder. */
export async function describeFolder(folder: string, names: readonly string[]): Promise<string> {
  const indices = names.filter((name) => /\/model_index\.json$/.test(name)).map((name) => dirname(name));
  const single = names.filter((name) => /\/config\.json$/.test(name)).map((name) => dirname(name))
    .filter((name) => !indices.some((index) => name.startsWith(`${index}/`)));
  const rows = [...indices, ...single].sort().map(async (name) => {
    const path = `${folder.replace(/\/+$/, "")}/${name}`;
    const index = indices.includes(name) && (await readIndex(path, {})).className;
    return [`  ${path}`, index ? classOf(index) : "a model"];
  });
  return [`${folder}: a folder of models; inspect or load one of`, table(await Promise.all(rows))].join("\n");
}

/** Describes a folder or repository of one model. */
export async function describeModel(pathOrRepo: string, variant?: string): Promise<string> {
  const source = await openModelSource(pathOrRepo, { headersOnly: true, variant });
  const [type] = [source.json["_class_name"] ?? source.json["architectures"] ?? source.json["model_type"]]
    .flat();
  using checkpoint = await source.open();
  const name = typeof type === "string" ? type : modelKind(checkpoint.tensors.keys())?.name;
  return [
    `${pathOrRepo}: ${name === undefined ? "a model of no known class" : classOf(name)}`,
    table([HEADINGS, cellsOf(checkpoint.tensors.values())]),
  ].join("\n");
}

async function cellsIn(pathOrRepo: string, subfolder: string, variant?: string): Promise<string[]> {
  try {
    const source = await openModelSource(pathOrRepo, {
      subfolder,
      variant,
      headersOnly: true,
      onNotice: () => {},
    });
    using checkpoint = await source.open();
    return cellsOf(checkpoint.tensors.values());
  } catch (error) {
    return [(error as Error).message]; // of a component that this project may not read, e.g. a safety checker
  }
}
