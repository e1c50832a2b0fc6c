import type { Progress } from "../../src/io/hub/resolve_repo.ts";
import { findLora } from "../../src/io/lora/find.ts";

/** A LoRA as `--lora PATH_OR_REPO[:scale]` names it. */
interface NamedLora {
  path: string;
  scale: number;
}

/** Reads `PATH_OR_REPO[:scale]`; a scale is 1 where none is given. */
export function readLora(text: string): NamedLora {
  const [, path, scale = "1"] = /^(.+?)(?::([^:/\\]*))?$/.exec(text) ?? [];
  if (path && scale.trim() !== "" && Number.isFinite(Number(scale))) return { path, scale: Number(scale) };
  throw new TypeError("expected PATH_OR_REPO or PATH_OR_REPO:0.8");
}

/** The files of the LoRAs that are named, before a model is loaded for nothing. */
export async function findLoras(
  named: readonly string[],
  onProgress: (progress: Progress) => void,
): Promise<NamedLora[]> {
  const found: NamedLora[] = [];
  for (const { path, scale } of named.map(readLora)) {
    found.push({ path: await findLora(path, { onProgress }), scale });
  }
  return found;
}
