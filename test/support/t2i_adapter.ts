import { type LoadOptions, T2IAdapter } from "../../src/models/mod.ts";
import { readJson } from "../conformance/json.ts";
import { TestFolder } from "./files.ts";
import { fixture } from "./fixtures.ts";

/** A run of diffusers, with the names of Python. */
export interface AdapterRun {
  readonly name: string;
  readonly xl: boolean;
  readonly adapters: string[];
  /** Names of pictures, one for each adapter. */
  readonly images: string[];
  readonly options: Record<string, number | number[]>;
}

/** Configs of adapters, and runs with them. */
export const adapted = await readJson<{
  configs: Record<string, Record<string, unknown>>;
  runs: AdapterRun[];
}>(fixture("t2i_adapter/runs.json"));

/** The folder of an adapter, as on the hub. */
export async function adapterFolder(name: string, changes: object = {}): Promise<TestFolder> {
  const folder = new TestFolder();
  const weights = await Deno.readFile(fixture(`t2i_adapter/${name}.safetensors`));
  folder.write("diffusion_pytorch_model.safetensors", weights);
  folder.write(
    "config.json",
    JSON.stringify({ _class_name: "T2IAdapter", ...adapted.configs[name], ...changes }),
  );
  return folder;
}

/** An adapter in f32. */
export async function openAdapter(name: string, options: LoadOptions = {}): Promise<T2IAdapter> {
  using folder = await adapterFolder(name);
  return await T2IAdapter.fromPretrained(folder.path, { dtype: "f32", ...options });
}
