import { openDevice } from "denoise";
import { loadLora, type LoadReport } from "denoise/models";
import { openCheckpoint } from "../../src/io/checkpoint.ts";
import { readLora } from "../../src/io/lora/file.ts";
import { splitName } from "../../src/io/lora/names.ts";
import { openModels } from "./open_models.ts";
import { cellsOf, some } from "./table.ts";

/** Whether keys are those of a LoRA, or of one of the kinds that are not built. */
export function isLora(keys: Iterable<string>): boolean {
  return [...keys].some((key) =>
    /[._]lora\d?(_linear_layer)?[._](up|down|A|B)\b|lora_(up|down|mid)|\.(hada_|lokr_|oft_)/.test(key)
  );
}

/** What a LoRA's file is; with a model, which of its layers it changes. */
export async function describeLora(path: string, model?: string): Promise<string> {
  using checkpoint = await openCheckpoint(path);
  const [types, , parameters, size] = cellsOf(checkpoint.tensors.values());
  const { format, pairs, others } = await readLora(checkpoint, path);
  const alphas = pairs.map(({ alpha, source }) => `${alpha} (by ${source})`);
  const parts = Map.groupBy(pairs, ({ name }) => splitName(name).parts.join(" or "));
  const lines = [
    `${path}: a LoRA in the format of ${format}`,
    `${pairs.length} layers, ${parameters} parameters in ${types}, ${size}`,
    `rank ${distinct(pairs.map(({ rank }) => rank))}, alpha ${distinct(alphas)}`,
    ...[...parts].map(([part, list]) =>
      `for ${NAMES[part] ?? "a model"}: ${list.length} layers, e.g. "${list[0]!.name}"`
    ),
  ];
  if (others.length) lines.push(`not used: ${some(others)}`);
  if (model) lines.push(...describeMatch(await matched(path, model), model));
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
