import { UNet2DConditionModel } from "../../src/models/mod.ts";
import type { LoadOptions } from "../../src/models/runtime/load.ts";
import { type Tensor, tensor } from "../../src/tensor/mod.ts";
import { type HostTensor, readTensors } from "./arrays.ts";
import { Dice } from "./dice.ts";
import { TestFolder } from "./files.ts";
import { fixture } from "./fixtures.ts";
import { type HostArray, type HostPair, merged, randomPair, tensorFile } from "./lora_files.ts";

const set = "unet_2d_condition";
const { cases } = JSON.parse(await Deno.readTextFile(fixture(`${set}/meta.json`))) as {
  cases: { name: string; t: number; weights: string; config: object; time_ids: number[][] | null }[];
};
const folders = new TestFolder();
globalThis.addEventListener("unload", () => folders[Symbol.dispose]());
let models = 0;
const expected = await readTensors(fixture(`${set}/expected.safetensors`));

/**
 * A tiny UNet of test/fixtures, and LoRAs for it whose result is known by adding them to its weights in f64.
 */
export class LoraUNet {
  readonly #example: typeof cases[number];
  /** Its weights, by key. */
  readonly weights: ReadonlyMap<string, HostTensor>;

  private constructor(example: typeof cases[number], weights: ReadonlyMap<string, HostTensor>) {
    this.#example = example;
    this.weights = weights;
  }

  /** The UNet of a case. */
  static async of(name: string): Promise<LoraUNet> {
    const example = cases.find((example) => example.name === name)!;
    return new LoraUNet(example, await readTensors(fixture(`${set}/weights/${example.weights}.safetensors`)));
  }

  /** Dense layers and convolutions whose names fit. */
  layers(pattern = /./): string[] {
    return [...this.weights].filter(([key, { shape }]) => key.endsWith(".weight") && shape.length > 1)
      .map(([key]) => key.slice(0, -".weight".length)).filter((layer) => pattern.test(layer));
  }

  /** A random pair for each of these layers. */
  pairs(layers: readonly string[], rank: number, seed: number): Map<string, HostPair> {
    const dice = new Dice(seed);
    return new Map(layers.map((layer) => [layer, randomPair(this.#weight(layer).shape, rank, dice)]));
  }

  /** The model, with pairs added to its weights. */
  async load(
    options: LoadOptions = {},
    ...adapters: readonly { pairs: ReadonlyMap<string, HostPair>; factor: number }[]
  ): Promise<UNet2DConditionModel> {
    const tensors: Record<string, HostArray> = Object.fromEntries(this.weights);
    for (const { pairs, factor } of adapters) {
      for (const [layer, pair] of pairs) {
        tensors[`${layer}.weight`] = merged(tensors[`${layer}.weight`]!, pair, factor);
      }
    }
    return await this.with(tensors, options);
  }

  /** The model with these weights, which may be read again from its files. */
  async with(
    tensors: Readonly<Record<string, HostArray>>,
    options: LoadOptions = {},
  ): Promise<UNet2DConditionModel> {
    const folder = `${folders.path}/${models++}`;
    await Deno.mkdir(folder);
    await Deno.writeTextFile(`${folder}/config.json`, JSON.stringify(this.#example.config));
    await Deno.writeFile(`${folder}/diffusion_pytorch_model.safetensors`, tensorFile(tensors));
    return await UNet2DConditionModel.fromPretrained(folder, { dtype: "f32", ...options });
  }

  /** What the model makes of the case's inputs. */
  run(unet: UNet2DConditionModel): Tensor {
    const { name, t, time_ids } = this.#example;
    const input = (array: string) => {
      const stored = expected.get(`${name}/${array}`);
      return stored && (this.#uploads[array] ??= tensor(Float32Array.from(stored.data), stored.shape));
    };
    const textEmbeds = input("text_embeds");
    const addedCond = textEmbeds && time_ids ? { textEmbeds, timeIds: time_ids } : undefined;
    return unet.forward(input("sample")!, t, input("prompts")!, { addedCond }).sample;
  }
  readonly #uploads: Record<string, Tensor> = {};

  #weight(layer: string): HostTensor {
    return this.weights.get(`${layer}.weight`)!;
  }
}
