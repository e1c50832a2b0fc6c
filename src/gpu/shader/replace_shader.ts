import { nearest } from "../../core/error.ts";
import type { Device } from "../device.ts";
import { paramFields } from "./params.ts";
import { SHADER_FILES, type Snippet } from "./snippet.ts";

/**
 * Replaces a file of `shaders/` on a device; without a text, restores the file's own. Kernels that have it are recompiled
 * once, while weights stay loaded, and run from the next step on: those of models, pipelines and tensors alike. Where one
 * does not compile the old text stays. Inputs, `struct Params` and the lines that the host sets remain those of the file, as
 * these are what it is called with. Resolves to the number of kernels that changed; others take the text when they first run.
 *
 * ```ts
 * import { openDevice, replaceShader, tensor } from "denoise";
 * using device = await openDevice();
 * const path = "shaders/lib/activations.wgsl";
 * const text = await Deno.readTextFile(path);
 * await replaceShader(device, path, text.replace("select(max(x, vec4f(0.0)), x", "select(abs(x), x"));
 * await tensor([-1, 2]).relu().data(); // 1, 2
 * ```
 */
export async function replaceShader(device: Device, path: string, text?: string): Promise<number> {
  return await replaceShaders(device, new Map([[path, text]]));
}

/** The same for several files at once: each is compiled with the new texts of the others. Where one fails all old texts stay. */
export async function replaceShaders(
  device: Device,
  texts: ReadonlyMap<string, string | undefined>,
): Promise<number> {
  return await device.pipelines.replace(byFile(texts));
}

/** Texts by the files that they replace. Throws where there is no such file, and where a text has other params than it. */
export function byFile<T extends string | undefined>(texts: ReadonlyMap<string, T>): Map<Snippet, T> {
  return new Map([...texts].map(([path, text]) => [expectFile(path, text), text]));
}

/** The file of a path. Throws where there is none, and where a text has other params than it. */
function expectFile(path: string, text: string | undefined): Snippet {
  const file = SHADER_FILES.get(path);
  if (!file) {
    throw new TypeError(
      `Cannot replace "${path}": expected a file of shaders/, got none; nearest is "${
        nearest(path, SHADER_FILES.keys())
      }"`,
    );
  }
  const [own, other] = [file.text, text ?? file.text].map((wgsl) =>
    paramFields(wgsl).map((field) => field.join(": ")).join(", ")
  );
  if (own !== other) {
    throw new TypeError(
      `Cannot replace "${path}": expected struct Params with ${
        own || "nothing"
      }, as it is called with them, got ${other || "nothing"}`,
    );
  }
  return file;
}
