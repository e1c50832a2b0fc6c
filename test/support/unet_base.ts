import { type LoadOptions, UNet2DConditionModel } from "../../src/models/mod.ts";
import { type Tensor, tensor } from "../../src/tensor/mod.ts";
import { type HostTensor, readTensors } from "./arrays.ts";
import { fixture } from "./fixtures.ts";

const set = "unet_2d_condition";
const { cases } = JSON.parse(await Deno.readTextFile(fixture(`${set}/meta.json`))) as {
  cases: { config: Record<string, unknown>; t: number }[];
};
const expected = await readTensors(fixture(`${set}/expected.safetensors`));

/** What diffusers makes of the parts of `loadBase`'s model: maps of attention, edits, residuals. */
export const parts: ReadonlyMap<string, HostTensor> = await readTensors(fixture(`${set}/parts.safetensors`));

/** The smallest conditioned UNet of the fixtures, in f32 unless told otherwise. */
export async function loadBase(options: LoadOptions = {}): Promise<UNet2DConditionModel> {
  const folder = await Deno.makeTempDir();
  globalThis.addEventListener("unload", () => Deno.removeSync(folder, { recursive: true })); // weights may come again
  await Deno.writeTextFile(`${folder}/config.json`, JSON.stringify(cases[0]!.config));
  const file = `${folder}/diffusion_pytorch_model.safetensors`;
  await Deno.copyFile(fixture(`${set}/weights/base.safetensors`), file);
  return await UNet2DConditionModel.fromPretrained(folder, { dtype: "f32", ...options });
}

/** What diffusers called it with. */
export function baseInputs(): [sample: Tensor, t: number, prompts: Tensor] {
  return [upload(expected.get("base/sample")!), cases[0]!.t, upload(expected.get("base/prompts")!)];
}

/** A tensor of a fixture on the GPU. */
export function upload({ data, shape }: HostTensor): Tensor {
  return tensor(Float32Array.from(data), shape);
}
