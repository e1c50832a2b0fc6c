import { openDevice } from "denoise";
import { loadLora, type LoadReport } from "denoise/models";
import { kindOfChange } from "../../src/io/lora/changes.ts";
import { readLora } from "../../src/io/lora/file.ts";
import { unbuiltKind } from "../../src/io/lora/kinds.ts";
import { splitName } from "../../src/io/names/lora.ts";
import { modelKind } from "../../src/io/names/model_kinds.ts";
import type { SingleFile } from "../../src/io/single_file/file.ts";
import { openModels } from "./open_models.ts";
import { cellsOf, some } from "./table.ts";

/** True if keys are those of a LoRA, or of one of the kinds that are not built. */
export function isLora(keys: Iterable<string>): boolean {
  const all = [...keys];
  return modelKind(all)?.name === "a LoRA" || all.some(unbuiltKind);
}

/**
 * Describes a LoRA's file; with a model, also the layers that it changes. `target` is the user's name for it.
 */
export async function describeLora(target: string, file: SingleFile, model?: string): Promise<string> {
  using checkpoint = await file.open();
  const { path } = file;
  const [types, , parameters, size] = cellsOf(checkpoint.tensors.values());
  const { format, pairs, changes, others } = await readLora(checkpoint, path);
  const layers = [...pairs, ...changes];
  const ranked = layers.filter(({ rank }) => rank > 0);
  const alphas = ranked.map(({ alpha, source }) => `${alpha} (by ${source})`);
  const parts = Map.groupBy(layers, ({ name }) => splitName(name).parts.join(" or "));
  const kinds = Map.groupBy(changes, kindOfChange);
  const lines = [
    `${path}: a LoRA in the format of ${format}`,
    `${new Set(layers.map(({ name }) => name)).size} layers, ${parameters} parameters in ${types}, ${size}`,
    ...ranked.length ? [`rank ${distinct(ranked.map(({ rank }) => rank))}, alpha ${distinct(alphas)}`] : [],
    ...[...parts].map(([part, list]) =>
      `for ${NAMES[part] ?? "a model"}: ${list.length} layers, e.g. "${list[0]!.name}"`
    ),
  ];
  if (others.length) lines.push(`not used: ${some(others)}`);
  for (const [kind, list] of kinds) {
    lines.push(`merged into weights: ${kind}: ${list.length}, e.g. "${list[0]!.name}"`);
  }
  if (model) lines.push(...describeMatch(await matched(target, model), model));
  return lines.join("\n");
}

const NAMES: Record<string, string> = {
  image: "the UNet or transformer",
  textEncoder: "the first text encoder",
  textEncoder2: "the second text encoder",
};

async function matched(path: string, model: string): Promise<LoadReport> {
  using _device = await openDevice();
  using stack = new DisposableStack();
  const onNotice = () => {}; // the report has it
  return await loadLora(path, await openModels(model, { onNotice }, stack), { onNotice });
}

function describeMatch({ matched, unmatched }: LoadReport, model: string): string[] {
  const lines = [`fits ${model}: ${matched.length} layers, e.g. "${matched[0]}"`];
  if (unmatched.length) lines.push(`does not fit: ${unmatched.length} names, e.g. ${some(unmatched)}`);
  return lines;
}

function distinct<T>(values: readonly T[]): string {
  const all = [...new Set(values)];
  return all.length > 6 ? `${all.slice(0, 6).join(", ")}, …` : all.join(", ");
}
