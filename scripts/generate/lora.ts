import { blockWeights, type ComponentScales, type LoraModels } from "denoise/models";
import { type AnyPipeline, type RunOptions, scaleBetween, type ScaleSchedule } from "denoise/pipelines";
import type { Progress } from "../../src/io/hub/resolve_repo.ts";
import { findLora } from "../../src/io/lora/find.ts";
import { hasStepBetween } from "../../src/pipelines/adapter_scales.ts";
import { type NamedLora, readLora } from "./named_files.ts";
import type { Settings } from "./options.ts";

/** Throws for a LoRA that counts in none of the steps, where their number is known: of the model's own scheduler, from noise. */
export function expectCounting(
  text: string,
  { steps, scheduler, image }: Pick<Settings, "steps"> & {
    readonly scheduler?: unknown;
    readonly image?: unknown;
  },
): void {
  const { between } = readLora(text);
  if (!between || scheduler !== undefined || image !== undefined) return;
  const calls = [steps, steps + 1, 2 * steps - 1]; // usual; PNDM's one more; Heun's two in each but the last
  if (calls.some((count) => hasStepBetween(...between, count))) return;
  throw new RangeError(
    `Cannot take the LoRA ${text} in ${steps} steps: expected a whole step between its parts, got none; ` +
      "take more steps, or parts that are further apart",
  );
}

/** The files of the LoRAs that are named, before a model is loaded for nothing. */
export async function findLoras(
  named: readonly string[],
  onProgress: (progress: Progress) => void,
): Promise<NamedLora[]> {
  const found: NamedLora[] = [];
  for (const { path, ...others } of named.map(readLora)) {
    found.push({ path: await findLora(path, { onProgress }), ...others });
  }
  return found;
}

/** The strengths of a LoRA in the parts of a pipeline; throws where these do not have its blocks. */
export function strengthsOf({ scale, blocks }: NamedLora, parts: LoraModels): number | ComponentScales {
  return blocks === undefined ? scale : blockWeights(blocks, parts, scale);
}

/** The scales in each step of those LoRAs of a pipeline, by the names of their adapters, that do not count in all steps. */
export function schedulesOf(
  loras: readonly NamedLora[],
  adapterNames: readonly string[],
  { parts }: AnyPipeline,
): RunOptions["adapterScales"] {
  const schedules = loras.flatMap((lora, i): [string, ScaleSchedule][] => {
    const { between, scale } = lora;
    if (!between) return [];
    const scales = strengthsOf(lora, parts);
    const own = typeof scales === "number" ? scales : scales.unet ?? scales.transformer ?? scale;
    return [[adapterNames[i]!, scaleBetween(own, ...between)]];
  });
  return schedules.length > 0 ? Object.fromEntries(schedules) : undefined;
}
