import { basename, join } from "node:path";
import { readSafetensors } from "../../src/io/formats/safetensors.ts";
import { BinaryFile } from "../../src/io/files/binary_file.ts";
import { bytesFor } from "../../src/io/formats/stored_dtype.ts";

/** Changes of a model's files. */
export interface ModelEdits {
  /** Keys of config.json with other values. */
  readonly config?: Readonly<Record<string, unknown>>;
  /** A tensor of f32 of which an element is changed. */
  readonly weight?: { readonly key: string; readonly element: number; readonly value: number };
}

/** Copies a folder of a model into another, with an error in it. Returns the copy's path. */
export async function editedModel(model: string, folder: string, edits: ModelEdits): Promise<string> {
  const copy = join(folder, basename(model));
  await Deno.mkdir(copy, { recursive: true });
  let found = !edits.weight;
  for (const { name } of Deno.readDirSync(model)) {
    const path = join(copy, name);
    await Deno.copyFile(join(model, name), path);
    if (name === "config.json") {
      const config = JSON.parse(await Deno.readTextFile(path));
      await Deno.writeTextFile(path, JSON.stringify({ ...config, ...edits.config }));
    }
    if (edits.weight && name.endsWith(".safetensors")) found = await editElement(path, edits.weight) || found;
  }
  if (!found) throw new RangeError(`Cannot edit ${model}: no tensor "${edits.weight!.key}"`);
  return copy;
}

async function editElement(
  path: string,
  { key, element, value }: NonNullable<ModelEdits["weight"]>,
): Promise<boolean> {
  using file = await BinaryFile.open(path);
  const tensor = (await readSafetensors(file)).tensors.get(key);
  if (!tensor) return false;
  const bytes = await Deno.readFile(path);
  const at = tensor.places[0]!.offset + bytesFor(tensor.dtype, element);
  const view = new DataView(bytes.buffer);
  if (tensor.dtype === "F16") view.setFloat16(at, value, true);
  else view.setFloat32(at, value, true);
  await Deno.writeFile(path, bytes);
  return true;
}
