import { basename, join, relative } from "node:path";
import type { Verdict } from "./verdict.ts";

/**
 * Names the cases that are of a later version: expected files, and lists of cases, but for what `isBuilt`.
 */
export async function* notBuilt(
  folder: string,
  isBuilt: (file: string) => boolean,
): AsyncGenerator<Verdict, void, void> {
  for (const path of walk(folder)) {
    if (!/\/expected\/[^/]+\.safetensors$|_cases\.json$/.test(path) || isBuilt(basename(path))) {
      continue;
    }
    yield { id: relative(folder, path), status: "skipped", note: "not built yet" };
  }
}

function walk(folder: string): string[] {
  const entries = [...Deno.readDirSync(folder)].sort((a, b) => a.name < b.name ? -1 : 1);
  return entries.flatMap(({ name, isDirectory }) =>
    isDirectory ? walk(join(folder, name)) : [join(folder, name)]
  );
}
