import { blockWeights, type ComponentScales, type LoraModels, readBlockWeights } from "denoise/models";
import { type AnyPipeline, type RunOptions, scaleBetween, type ScaleSchedule } from "denoise/pipelines";
import type { Progress } from "../../src/io/hub/resolve_repo.ts";
import { findLora } from "../../src/io/lora/find.ts";
import { hasStepBetween } from "../../src/pipelines/adapter_scales.ts";
import type { Settings } from "./options.ts";

/** The largest strength: far over all that draws a picture, and far below what f16 holds. */
export const STRONGEST = 1000;

/** A file or repository with a strength, as `--controlnet PATH_OR_REPO[:SCALE]` names it. */
interface Scaled {
  path: string;
  scale: number;
}

/** A LoRA as `--lora PATH_OR_REPO[:SCALE][:blocks=…][:from=…][:to=…]` names it. */
interface NamedLora extends Scaled {
  /** Strengths of blocks, as `blockWeights` reads them. */
  blocks: string | undefined;
  /** The parts of the steps between which it counts. */
  between: readonly [from: number, to: number] | undefined;
}

/** Reads `PATH_OR_REPO[:scale]`; a scale is 1 where none is given. */
export function readScaled(text: string): Scaled {
  const [, path, scale = "1"] = /^(.+?)(?::([^:/\\]*))?$/.exec(text) ?? [];
  if (path && isNumber(scale) && Math.abs(Number(scale)) > STRONGEST) {
    throw new RangeError(`expected a scale of at most ${STRONGEST} in size`);
  }
  if (path && isNumber(scale)) return { path, scale: Number(scale) };
  throw new TypeError("expected PATH_OR_REPO or PATH_OR_REPO:0.8");
}

/** The paths of such texts. */
export function pathsOf(texts: readonly string[] | undefined): string[] | undefined {
  return texts?.map((text) => readScaled(text).path);
}

/** Reads the name of a LoRA and what follows it. */
export function readLora(text: string): NamedLora {
  const [front, ...others] = text.split(/:(?=(?:blocks|from|to)=)/);
  const given = Object.fromEntries(
    others.map((one) => [one.split("=")[0]!, one.slice(one.indexOf("=") + 1)]),
  );
  const { blocks, from, to } = given as { blocks?: string; from?: string; to?: string };
  if (Object.keys(given).length < others.length) {
    throw new TypeError("expected each of blocks, from and to once");
  }
  if (blocks !== undefined) readBlockWeights(blocks);
  for (const part of [from, to]) {
    if (part !== undefined && !isNumber(part)) {
      throw new TypeError("expected PATH_OR_REPO:0.8:from=0.2:to=0.8");
    }
  }
  const between = from === undefined && to === undefined
    ? undefined
    : [Number(from ?? 0), Number(to ?? 1)] as const;
  if (between) scaleBetween(1, ...between); // refuses them
  return { ...readScaled(front!), blocks, between };
}

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

function isNumber(text: string): boolean {
  return text.trim() !== "" && Number.isFinite(Number(text));
}
