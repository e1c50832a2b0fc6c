import { cp } from "node:fs/promises";
import { join } from "node:path";
import { clipTextParameters } from "../../bench/text_parameters.ts";
import { writeSafetensors } from "../../bench/safetensors.ts";
import { emoji } from "./emoji.ts";
import { fixture } from "./fixtures.ts";

/** Makes a pipeline's folder of other folders. */
export async function pipelineFolder(
  path: string,
  className: string,
  parts: Readonly<Record<string, readonly [library: string, className: string, folder: string]>>,
): Promise<void> {
  await Deno.mkdir(path);
  const index: Record<string, unknown> = { _class_name: className };
  for (const [name, [library, type, folder]] of Object.entries(parts)) {
    await cp(folder, join(path, name), { recursive: true });
    index[name] = [library, type];
  }
  await Deno.writeTextFile(join(path, "model_index.json"), JSON.stringify(index));
}

/** FLUX.1 of test/fixtures as a pipeline of another class, with its transformer. */
export async function fluxFolder(path: string, className: string, transformer = "flux/pipeline/transformer") {
  const part = (library: string, type: string, name: string) =>
    [library, type, fixture(`flux/pipeline/${name}`)] as const;
  await pipelineFolder(path, className, {
    scheduler: part("diffusers", "FlowMatchEulerDiscreteScheduler", "scheduler"),
    text_encoder: part("transformers", "CLIPTextModel", "text_encoder"),
    text_encoder_2: part("transformers", "T5EncoderModel", "text_encoder_2"),
    tokenizer: part("transformers", "CLIPTokenizer", "tokenizer"),
    tokenizer_2: part("transformers", "T5TokenizerFast", "tokenizer_2"),
    transformer: ["diffusers", "FluxTransformer2DModel", fixture(transformer)],
    vae: part("diffusers", "AutoencoderKL", "vae"),
  });
}

/** The width of the embeddings of `controlledFolder`. */
export const CONTROLLED_WIDTH = 12;

/** Stable Diffusion for the ControlNets and adapters of test/fixtures, with a text encoder of its own and a scheduler of few steps. */
export async function controlledFolder(path: string): Promise<void> {
  await pipelineFolder(path, "StableDiffusionPipeline", {
    scheduler: ["diffusers", "PNDMScheduler", join(emoji, "scheduler")],
    tokenizer: ["transformers", "CLIPTokenizer", join(emoji, "tokenizer")],
    text_encoder: ["transformers", "CLIPTextModel", join(emoji, "text_encoder")],
    unet: ["diffusers", "UNet2DConditionModel", fixture("controlnet/unet")],
    vae: ["diffusers", "AutoencoderKL", fixture("controlnet/vae")],
  });
  const folder = join(path, "text_encoder");
  const config = JSON.parse(await Deno.readTextFile(join(folder, "config.json")));
  const small = {
    ...config,
    hidden_size: CONTROLLED_WIDTH,
    projection_dim: CONTROLLED_WIDTH,
    intermediate_size: 24,
    num_attention_heads: 2,
    num_hidden_layers: 1,
  };
  for (const { name } of [...Deno.readDirSync(folder)]) await Deno.remove(join(folder, name));
  await Deno.writeTextFile(join(folder, "config.json"), JSON.stringify(small));
  let seed = 1;
  const values = (count: number) =>
    Float32Array.from({ length: count }, () => (seed = seed * 48271 % 0x7fffffff) / 0x7fffffff - 0.5);
  await writeSafetensors(join(folder, "model.safetensors"), [...clipTextParameters(small)], values);
}
