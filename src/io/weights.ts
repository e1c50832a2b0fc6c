import { join } from "node:path";
import { unreadable } from "./refusal.ts";
import { chooseWeights, WEIGHT_STEMS } from "./weight_names.ts";

/** The weights that a folder offers. */
export interface Weights {
  /** A file of weights, or the index of its shards: what openCheckpoint() takes. */
  readonly path: string;
  /** What the user should know, e.g. that the variant asked for is not there. */
  readonly notice?: string | undefined;
}

/** Which weights to look for. */
export interface WeightOptions {
  /** E.g. "fp16"; where a folder lacks it, its plain weights are taken. */
  readonly variant?: string | undefined;
  /** File names without extension, the preferred one first. */
  readonly names?: readonly string[] | undefined;
}

/**
 * Finds a folder's weights in diffusers' order:
 * the variant first, safetensors before .bin, shards before one file.
 */
export async function findWeights(
  folder: string,
  { variant, names = WEIGHT_STEMS }: WeightOptions = {},
): Promise<Weights> {
  const found = await listFolder(folder);
  const wanted = variant && chooseWeights(found, variant, names);
  if (wanted) return { path: join(folder, wanted) };
  const plain = chooseWeights(found, undefined, names);
  if (plain) {
    const notice = variant ? `${folder} has no ${variant} weights; taking ${plain}` : undefined;
    return { path: join(folder, plain), notice };
  }
  throw new Error(
    `Cannot load weights from ${folder}: expected ${names[0]}.safetensors or .bin, got ${some(found)}; ` +
      "check the folder, or the subfolder option",
  );
}

async function listFolder(folder: string): Promise<Set<string>> {
  const found = new Set<string>();
  try {
    for await (const entry of Deno.readDir(folder)) {
      if (!entry.isDirectory) found.add(entry.name);
    }
  } catch (cause) {
    throw cause instanceof Deno.errors.NotFound
      ? new Error(`Cannot load weights from ${folder}: no such folder; check the path`)
      : unreadable(folder, cause);
  }
  return found;
}

/** A few of the names, for messages. */
function some(names: Set<string>): string {
  const sorted = [...names].sort();
  const shown = sorted.slice(0, 5).join(", ") || "no files";
  return sorted.length > 5 ? `${shown} and ${sorted.length - 5} more` : shown;
}
