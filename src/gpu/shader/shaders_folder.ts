import { join, relative, sep } from "node:path";

/**
 * Texts of a folder's `.wgsl` files by the file of `shaders/` that each stands for: FOLDER/norm/softmax.wgsl stands for
 * "shaders/norm/softmax.wgsl".
 */
export async function shadersIn(folder: string): Promise<Map<string, string>> {
  const texts = new Map<string, string>();
  const read = async (inner: string): Promise<void> => {
    for await (const { name, isDirectory } of Deno.readDir(inner)) {
      const path = join(inner, name);
      if (name.startsWith(".")) continue; // of editors
      if (name.endsWith(".wgsl")) {
        texts.set(`shaders/${relative(folder, path).replaceAll(sep, "/")}`, await textOf(path));
      } else if (isDirectory) await read(path);
    }
  };
  try {
    await read(folder);
  } catch (cause) {
    const missing = cause instanceof Deno.errors.NotFound;
    const why = missing ? "no such folder; check the path" : (cause as Error).message;
    throw new Error(`Cannot read shaders of ${folder}: ${why}`, { cause });
  }
  return texts;
}

async function textOf(path: string): Promise<string> {
  try {
    return await Deno.readTextFile(path);
  } catch (cause) {
    if (cause instanceof Deno.errors.IsADirectory) {
      throw new Error(`expected a file ${path}, got a folder; rename it`, { cause });
    }
    if (cause instanceof Deno.errors.NotFound) {
      throw new Error(`expected a file ${path}, got a link to none; mend it`, { cause });
    }
    throw cause;
  }
}
