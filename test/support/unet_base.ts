import { type LoadOptions, UNet2DConditionModel } from "../../src/models/mod.ts";
import type { Tensor } from "../../src/tensor/mod.ts";
import { type HostTensor, readTensors } from "./arrays.ts";
import { fixture } from "./fixtures.ts";
import { loadCase } from "./model_cases.ts";
import { upload } from "./tensors.ts";

const set = "unet_2d_condition";
const { cases } = JSON.parse(await Deno.readTextFile(fixture(`${set}/meta.json`))) as {
  cases: { config: Record<string, unknown>; t: number }[];
};
const expected = await readTensors(fixture(`${set}/expected.safetensors`));

/** Results of diffusers for the parts of `loadBase`'s model: maps of attention, edits, residuals. */
export const parts: ReadonlyMap<string, HostTensor> = await readTensors(fixture(`${set}/parts.safetensors`));

/** The smallest conditioned UNet of the fixtures, in f32 unless told otherwise. */
export function loadBase(options: LoadOptions = {}): Promise<UNet2DConditionModel> {
  return loadCase(UNet2DConditionModel, set, { weights: "base", config: cases[0]!.config }, options);
}

/** Its arguments in diffusers. */
export function baseInputs(): [sample: Tensor, t: number, prompts: Tensor] {
  return [upload(expected.get("base/sample")!), cases[0]!.t, upload(expected.get("base/prompts")!)];
}
