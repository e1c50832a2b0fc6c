import { join, relative } from "node:path";

const ROOT = join(import.meta.dirname!, "..", "..");

/** Every file of `shaders/`, by its path from the root. */
export function shaderFiles(folder = join(ROOT, "shaders")): { name: string; text: string }[] {
  return [...Deno.readDirSync(folder)].flatMap((entry) => {
    const path = join(folder, entry.name);
    return entry.isDirectory
      ? shaderFiles(path)
      : [{ name: relative(ROOT, path), text: Deno.readTextFileSync(path) }];
  });
}
