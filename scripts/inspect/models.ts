import { keysNotUsed } from "../../src/io/single_file/unused.ts";
import { families, pipelineOf } from "../../src/io/single_file/families.ts";
import type { SingleFile } from "../../src/io/single_file/file.ts";
import { openModelSource } from "../../src/models/model_source.ts";
import { readIndex } from "../../src/pipelines/pipeline.ts";
import { cellsOf, HEADINGS, some, table } from "./table.ts";

/** What is in a single file. */
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
    ...family ? [] : ["no UNet and no transformer is in it"],
  ].join("\n");
}

function titleOf({ family, parts, tensors }: SingleFile): string {
  if (!family) return parts.size > 0 ? "parts of a pipeline" : `tensors such as ${some([...tensors.keys()])}`;
  const denoiser = parts.get("unet") ?? parts.get("transformer")!;
  return `${families[family].name}, for ${pipelineOf(family, denoiser.config(tensors)["in_channels"])}`;
}

/** What is in a folder or repository with a model_index.json; its weights are not fetched. */
export async function describePipeline(pathOrRepo: string): Promise<string> {
  const { className, components } = await readIndex(pathOrRepo, {});
  const rows = [["part", "class", ...HEADINGS]];
  for (const [subfolder, type] of Object.entries(components)) {
    if (/scheduler|tokenizer/.test(subfolder)) rows.push([subfolder, type]);
    else rows.push([subfolder, type, ...await cellsIn(pathOrRepo, subfolder)]);
  }
  return [`${pathOrRepo}: a ${className}`, table(rows)].join("\n");
}

/** What is in a folder or repository of one model. */
export async function describeModel(pathOrRepo: string): Promise<string> {
  const source = await openModelSource(pathOrRepo, { headersOnly: true });
  const [type] = [source.json["_class_name"] ?? source.json["architectures"] ?? "a model"].flat();
  using checkpoint = await source.open();
  return [`${pathOrRepo}: ${type}`, table([HEADINGS, cellsOf(checkpoint.tensors.values())])].join("\n");
}

async function cellsIn(pathOrRepo: string, subfolder: string): Promise<string[]> {
  try {
    const source = await openModelSource(pathOrRepo, { subfolder, headersOnly: true, onNotice: () => {} });
    using checkpoint = await source.open();
    return cellsOf(checkpoint.tensors.values());
  } catch (error) {
    return [(error as Error).message]; // of a component that this project may not read, e.g. a safety checker
  }
}
