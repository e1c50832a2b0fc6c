import type { Model } from "../../src/models/mod.ts";
import { loadModel, type LoadOptions, type ModelClass } from "../../src/models/runtime/load.ts";
import { type HostTensor, readTensors } from "./arrays.ts";
import { fixture } from "./fixtures.ts";

/** A case of a set of fixtures: a config, and the name of its file of weights. */
export interface ModelCase {
  name: string;
  weights: string;
  config: Record<string, unknown>;
}

/** The cases of a set of fixtures, and the arrays that torch made of them, by "case/array". */
export async function readCases<Case extends ModelCase>(set: string): Promise<{
  cases: Case[];
  caseOf: (name: string) => Case;
  expected: Map<string, HostTensor>;
}> {
  const { cases } = JSON.parse(await Deno.readTextFile(fixture(`${set}/meta.json`))) as { cases: Case[] };
  return {
    cases,
    caseOf: (name) => cases.find((each) => each.name === name)!,
    expected: await readTensors(fixture(`${set}/expected.safetensors`)),
  };
}

/** Loads the model of a case from a folder as on the hub, in f32 unless told otherwise. */
export async function loadCase<M extends Model>(
  type: ModelClass<M>,
  set: string,
  { weights, config }: Omit<ModelCase, "name">,
  options: LoadOptions = {},
): Promise<M> {
  const folder = await Deno.makeTempDir();
  globalThis.addEventListener("unload", () => Deno.removeSync(folder, { recursive: true })); // weights may come again
  await Deno.writeTextFile(`${folder}/config.json`, JSON.stringify(config));
  const name = type.library === "transformers" ? "model" : "diffusion_pytorch_model";
  await Deno.copyFile(fixture(`${set}/weights/${weights}.safetensors`), `${folder}/${name}.safetensors`);
  return await loadModel(type, folder, { dtype: "f32", ...options });
}
