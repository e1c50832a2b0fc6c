import type { Model } from "../../src/models/mod.ts";
import { loadModel, type LoadOptions, type ModelClass } from "../../src/models/runtime/load.ts";
import { fixture } from "./fixtures.ts";

/** A config of a set of fixtures, and the name of its file of weights. */
export interface ModelCase {
  weights: string;
  config: Record<string, unknown>;
}

/** Loads the model of a case from a folder as on the hub, in f32 unless told otherwise. */
export async function loadCase<M extends Model>(
  type: ModelClass<M>,
  set: string,
  { weights, config }: ModelCase,
  options: LoadOptions = {},
): Promise<M> {
  const folder = await Deno.makeTempDir();
  globalThis.addEventListener("unload", () => Deno.removeSync(folder, { recursive: true })); // weights may come again
  await Deno.writeTextFile(`${folder}/config.json`, JSON.stringify(config));
  const name = type.library === "transformers" ? "model" : "diffusion_pytorch_model";
  await Deno.copyFile(fixture(`${set}/weights/${weights}.safetensors`), `${folder}/${name}.safetensors`);
  return await loadModel(type, folder, { dtype: "f32", ...options });
}
