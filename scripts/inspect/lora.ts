import { openDevice } from "denoise";
import { loadLora, type LoadReport } from "denoise/models";
import { quote } from "../../src/io/files/errors.ts";
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
  const { format, pairs, changes, others, notices } = await readLora(checkpoint, path);
  const layers = [...pairs, ...changes];
  const ranked = layers.filter(({ rank }) => rank > 0);
  const alphas = ranked.map(({ alpha, source }) => `${alpha} (by ${source})`);
  const parts = Map.groupBy(layers, ({ name }) => splitName(name).parts.join(" or "));
  const merged = Map.groupBy(changes, kindOfChange);
  const kinds = [...pairs.length ? [["LoRA", pairs] as const] : [], ...merged];
  const lines = [
    `${path}: a LoRA in the format of ${format}`,
    ...trainedBy(checkpoint.metadata),
    `${countOf(layers)} layers, ${parameters} parameters in ${types}, ${size}`,
    `kinds: ${kinds.map(([kind, list]) => `${kind} (${countOf(list)})`).join(", ")}`,
    `blocks: ${blocksOf(layers).join(", ")}`,
    ...ranked.length ? [`rank ${distinct(ranked.map(({ rank }) => rank))}, alpha ${distinct(alphas)}`] : [],
    ...[...parts].map(([part, list]) =>
      `for ${NAMES[part] ?? "a model"}: ${countOf(list)} layers, e.g. "${list[0]!.name}"`
    ),
    ...notices,
  ];
  if (others.length) lines.push(`not used: ${some(others)}`);
  for (const [kind, list] of merged) {
    lines.push(`merged into weights: ${kind}: ${list.length}, e.g. "${list[0]!.name}"`);
  }
  if (model) lines.push(...describeMatch(await matched(target, model), model));
  return lines.join("\n");
}

/** Number of layers with these names. */
function countOf(layers: readonly { name: string }[]): number {
  return new Set(layers.map(({ name }) => name)).size;
}

/** The blocks that layers are in, by their names up to a number, as "down_blocks 0-2 (24)". */
function blocksOf(layers: readonly { name: string }[]): string[] {
  const named = layers.map(({ name }) => {
    const { layer } = splitName(name);
    const [, middle, numbered, n] = /^(?:(mid_block|middle_block)_|(\D*?)_(\d+)(?:_|$))/.exec(layer) ?? [];
    return { name, block: middle ?? numbered ?? layer, n };
  });
  return [...Map.groupBy(named, ({ block }) => block)].map(([block, own]) => {
    const numbers = [...new Set(own.flatMap(({ n }) => n === undefined ? [] : Number(n)))].sort((a, b) =>
      a - b
    );
    return `${block}${numbers.length ? ` ${rangesOf(numbers).join(", ")}` : ""} (${countOf(own)})`;
  });
}

/** Numbers in order, those that follow each other as one range. */
function rangesOf(numbers: readonly number[]): string[] {
  const firsts = numbers.filter((n) => !numbers.includes(n - 1));
  const lasts = numbers.filter((n) => !numbers.includes(n + 1));
  return firsts.map((first, i) => first === lasts[i] ? `${first}` : `${first}-${lasts[i]}`);
}

/** What kohya's trainer and LyCORIS note of themselves. */
function trainedBy(metadata: ReadonlyMap<string, string>): string[] {
  const notes = ["ss_network_module", "ss_network_args", "ss_base_model_version"].flatMap((key) => {
    const value = metadata.get(key);
    return value === undefined ? [] : quote(value);
  });
  return notes.length ? [`trained by ${notes.join(", ")}`] : [];
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
