import { readJson } from "../conformance/json.ts";
import { TestFolder } from "./files.ts";
import { fixture } from "./fixtures.ts";
import { type RawTensor, readRaw, safetensorsOf } from "./raw_tensors.ts";

/** What runs.json says of a run of diffusers, with the names of Python. */
export interface FluxControlledRun {
  readonly pipeline:
    | "FluxControlNetPipeline"
    | "FluxControlNetImg2ImgPipeline"
    | "FluxControlNetInpaintPipeline";
  /** Names of ControlNets: one, or a list of them. */
  readonly nets: string | readonly string[];
  readonly seed: number;
  readonly args: Record<string, unknown>;
  /** Names of pictures by arguments. */
  readonly pictures: Record<string, string | readonly string[]>;
}

/** Configs of ControlNets, keys that they take from the transformer, blocks of the deeper transformer, and runs. */
export const controlled = await readJson<{
  nets: Record<string, Record<string, unknown>>;
  own: readonly string[];
  deep: Record<string, readonly number[]>;
  runs: Record<string, FluxControlledRun>;
}>(fixture("flux_controlnet/runs.json"));

const SHARDS = [1, 2, 3];

/** Weights of the tiny transformer. */
async function transformerWeights(): Promise<Map<string, RawTensor>> {
  const path = (shard: number) =>
    fixture(`flux/pipeline/transformer/diffusion_pytorch_model-0000${shard}-of-00003.safetensors`);
  const shards = await Promise.all(SHARDS.map((shard) => readRaw(path(shard))));
  return new Map(shards.flatMap((shard) => [...shard]));
}

/** The folder of a ControlNet, as on the hub. */
export async function fluxControlNetFolder(name: string): Promise<TestFolder> {
  const config = controlled.nets[name]!;
  const own = [...await transformerWeights()].filter(([key]) =>
    controlled.own.some((start) => key.startsWith(start))
  );
  const all = new Map([...own, ...await readRaw(fixture("flux_controlnet/nets.safetensors"))]);
  const unread = [
    config["num_mode"] === undefined && "controlnet_mode_embedder",
    config["conditioning_embedding_channels"] === undefined && "input_hint_block",
    !config["guidance_embeds"] && "time_text_embed.guidance_embedder",
    `(transformer|controlnet)_blocks.${config["num_layers"]}`,
    config["num_single_layers"] === 0 && "(single_transformer|controlnet_single)_blocks",
  ].filter((start) => start !== false);
  const mark = new RegExp(`^(${unread.join("|")})\\.`);
  const weights = new Map([...all].filter(([key]) => !mark.test(key)));
  return folderOf({ _class_name: "FluxControlNetModel", ...config }, weights);
}

/** The folder of the tiny transformer with blocks in the order of `deep`. */
export async function deepTransformerFolder(): Promise<TestFolder> {
  const all = await transformerWeights();
  const weights = new Map([...all].filter(([key]) => !/^(single_)?transformer_blocks\./.test(key)));
  for (const [list, blocks] of Object.entries(controlled.deep)) {
    for (const [i, block] of blocks.entries()) {
      for (const [key, tensor] of all) {
        const start = `${list}.${block}.`;
        if (key.startsWith(start)) weights.set(`${list}.${i}.${key.slice(start.length)}`, tensor);
      }
    }
  }
  const config = await readJson<object>(fixture("flux/pipeline/transformer/config.json"));
  const { transformer_blocks, single_transformer_blocks } = controlled.deep;
  const counts = {
    num_layers: transformer_blocks!.length,
    num_single_layers: single_transformer_blocks!.length,
  };
  return folderOf({ ...config, ...counts }, weights);
}

function folderOf(config: object, weights: Map<string, RawTensor>): TestFolder {
  const folder = new TestFolder();
  folder.write("diffusion_pytorch_model.safetensors", safetensorsOf(weights));
  folder.write("config.json", JSON.stringify(config));
  return folder;
}
