import { dirname } from "node:path";

/**
 * Throws where a file could not be written in the end: its folder is missing, or there is a folder of its name. For
 * scripts, before they load anything: what an option says wrong is to cost no picture.
 */
export function expectOutput(option: string, path: string): void {
  const folder = dirname(path);
  const found = kindOf(folder);
  if (found !== "a folder") {
    const advice = found === "none" ? "create it first" : "name another";
    throw new TypeError(
      `Cannot take ${option} ${path}: expected a folder ${folder}, got ${found}; ${advice}`,
    );
  }
  if (kindOf(path) === "a folder") {
    throw new TypeError(`Cannot take ${option} ${path}: expected a file, got a folder; name a file in it`);
  }
}

function kindOf(path: string): "a file" | "a folder" | "none" {
  try {
    return Deno.statSync(path).isDirectory ? "a folder" : "a file";
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory) return "none";
    throw error;
  }
}
