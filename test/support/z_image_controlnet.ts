import { readJson } from "../conformance/json.ts";
import { TestFolder } from "./files.ts";
import { fixture } from "./fixtures.ts";
import { type RawTensor, readRaw, safetensorsOf } from "./raw_tensors.ts";

const set = "z_image_controlnet";

/** What runs.json says of a run of diffusers, with the names of Python. */
export interface ControlledRun {
  readonly pipeline: "ZImageControlNetPipeline" | "ZImageControlNetInpaintPipeline";
  readonly net: string;
  readonly seed: number;
  readonly args: Record<string, unknown>;
  /** Names of pictures by arguments. */
  readonly pictures: Record<string, string>;
}

/** Configs of ControlNets, inputs of one, and runs. */
export const controlled = await readJson<{
  nets: Record<string, Record<string, unknown>>;
  lengths: number[];
  times: number[];
  runs: Record<string, ControlledRun>;
}>(fixture(`${set}/runs.json`));

/** Weights of a ControlNet of a version, as its files have them. */
export async function controlNetWeights(version: string): Promise<Map<string, RawTensor>> {
  const all = await readRaw(fixture(`${set}/net.safetensors`));
  const own = new Map([...all].filter(([key]) => !key.startsWith("v1.")));
  for (const [key, tensor] of all) {
    if (version === "v1" && key.startsWith("v1.")) own.set(key.slice(3), tensor);
  }
  const unread = { "v1": /refiner\..*_proj|control_layers\.1/, "v2.0": /^control_noise_refiner/ }[version];
  return new Map([...own].filter(([key]) => !unread?.test(key)));
}

/** The folder of a ControlNet of a version, as on the hub. */
export async function controlNetFolder(version: string): Promise<TestFolder> {
  const folder = new TestFolder();
  folder.write("diffusion_pytorch_model.safetensors", safetensorsOf(await controlNetWeights(version)));
  folder.write(
    "config.json",
    JSON.stringify({ _class_name: "ZImageControlNetModel", ...controlled.nets[version] }),
  );
  return folder;
}
