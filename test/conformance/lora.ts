import { existsSync } from "node:fs";
import {
  CLIPTextModel,
  Flux2Transformer2DModel,
  FluxTransformer2DModel,
  loadLora,
  type LoraModels,
  type Model,
  UNet2DConditionModel,
  ZImageTransformer2DModel,
} from "../../src/models/mod.ts";
import type { Tensor } from "../../src/tensor/mod.ts";
import { type HostTensor, readTensors } from "../support/arrays.ts";
import { callOf } from "./flux2_transformer.ts";
import { inputsOf as fluxInputs } from "./flux_transformer.ts";
import { readJson } from "./json.ts";
import { loading } from "./precision.ts";
import { inputsOf as unetInputs } from "./sd_unet.ts";
import { attempt, compare, compareTensor, EXACT, type Verdict } from "./verdict.ts";
import { inputsOf as zImageInputs } from "./zimage_transformer.ts";

const MODULE = { rel: 1e-4 }; // one run of a network in f32 on a GPU

type Verdicts = AsyncGenerator<Verdict, void, void>;

/** The outputs of models by the names that a set has for them, without its scales. */
type Outputs = Readonly<Record<string, () => Tensor>>;

/** Files of expected values that are judged here. */
const FILE = /^lora_(\w+)\.safetensors$/;

/** Whether a file of expected values is of a LoRA. */
export function isLoraFile(file: string): boolean {
  return FILE.test(file);
}

/** The LoRAs of a Stable Diffusion, on its UNet and text encoder. */
export async function* lorasOfSD(folder: string, model: string): Verdicts {
  if (!existsSync(`${folder}/lora`)) return;
  const from = (subfolder: string) => ({ ...loading(), subfolder });
  using unet = await UNet2DConditionModel.fromPretrained(`${folder}/pipeline`, from("unet"));
  using textEncoder = await CLIPTextModel.fromPretrained(`${folder}/pipeline`, from("text_encoder"));
  const inputs = await readTensors(`${folder}/expected/unet.safetensors`);
  const { input_ids } = Object.fromEntries(await readTensors(`${folder}/expected/text_encoder.safetensors`));
  const { lora_note } = await readJson<{ lora_note: string }>(`${folder}/expected/meta.json`);
  const [, timestep] = /unet\(sample, (\d+)/.exec(lora_note)!;
  const { sample, prompts, conditions } = unetInputs(inputs);
  const ids = [...input_ids!.data.subarray(0, input_ids!.shape[1])];
  yield* loras(folder, model, { unet, textEncoder }, {
    unet_out: () => unet.forward(sample, Number(timestep), prompts, conditions).sample,
    te_last_hidden: () => textEncoder.forward([ids]).lastHiddenState,
  });
}

/** The LoRAs of a Flux, on its transformer, told all at once and ahead. */
export async function* lorasOfFlux(folder: string, model: string): Verdicts {
  if (!existsSync(`${folder}/lora`)) return;
  using transformer = await FluxTransformer2DModel.fromPretrained(
    `${folder}/pipeline/transformer`,
    loading(),
  );
  const tensors = await readTensors(`${folder}/expected/transformer.safetensors`);
  const { hiddenStates, tokens, conditions, timestep } = fluxInputs(
    tensors,
    transformer.config.guidance_embeds,
  );
  yield* loras(folder, model, { transformer }, {
    out: () => transformer.forward(hiddenStates, { ...tokens, ...conditions, timestep }).sample,
  });
}

/** The LoRAs of a FLUX.2, on its transformer. */
export async function* lorasOfFlux2(folder: string, model: string): Verdicts {
  if (!existsSync(`${folder}/lora`)) return;
  const path = `${folder}/pipeline/transformer`;
  using transformer = await Flux2Transformer2DModel.fromPretrained(path, loading());
  const { hiddenStates, options } = callOf(await readTensors(`${folder}/expected/transformer.safetensors`));
  yield* loras(folder, model, { transformer }, {
    out: () => transformer.forward(hiddenStates, options).sample,
  });
}

/** The LoRAs of a Z-Image, on its transformer. */
export async function* lorasOfZImage(folder: string, model: string): Verdicts {
  if (!existsSync(`${folder}/lora`)) return;
  const path = `${folder}/pipeline/transformer`;
  using transformer = await ZImageTransformer2DModel.fromPretrained(path, loading());
  const tensors = await readTensors(`${folder}/expected/transformer.safetensors`);
  const rows = [...tensors.get("batch/t")!.data.keys()];
  const { x, t, capFeats, capLengths } = zImageInputs(tensors, "batch", rows);
  yield* loras(folder, model, { transformer }, {
    out: () => transformer.forward(x.unsqueeze(2), t, capFeats, { capLengths }).sample,
  });
}

/** Every file alone at every scale, the first two together, and what is left when all are gone. */
async function* loras(folder: string, model: string, models: LoraModels, outputs: Outputs): Verdicts {
  const names = [...Deno.readDirSync(`${folder}/expected`)].flatMap(({ name }) => FILE.exec(name)?.[1] ?? []);
  const all = Object.values(models) as Model[];
  const before = await dataOf(outputs);
  for (const name of names.sort()) {
    const id = `${model}/lora_${name}`;
    const want = await readTensors(`${folder}/expected/lora_${name}.safetensors`);
    yield await attempt(id, async () => {
      const { format, matched } = await loadLora(`${folder}/lora/${name}.safetensors`, models, {
        adapterName: name,
      });
      return { id, status: "passed", note: `${format}, ${matched.length} layers` };
    });
    for (const [output, expected] of want) yield await atScale(`${id}/${output}`, name, output, expected);
    for (const { adapters } of all) await adapters.remove();
    yield await unchanged(`${id} removed`, before);
  }
  if (names.length > 1) yield* together(names.slice(0, 2));

  async function atScale(id: string, name: string, output: string, want: HostTensor): Promise<Verdict> {
    const [, base, scale] = /^(.*)_scale([\d.]+)$/.exec(output) ?? [];
    return await attempt(id, async () => {
      for (const { adapters } of all) adapters.set({ [name]: Number(scale) });
      return await compareTensor(id, outputs[base!]!(), want, MODULE);
    });
  }

  /** With both hung up, each alone is what it was, and neither is the model itself. */
  async function* together(pair: string[]): Verdicts {
    for (const name of pair) {
      await loadLora(`${folder}/lora/${name}.safetensors`, models, { adapterName: name });
    }
    for (const name of pair) {
      for (const [output, want] of await readTensors(`${folder}/expected/lora_${name}.safetensors`)) {
        yield await atScale(`${model}/lora_${pair.join("+")}/${name}/${output}`, name, output, want);
      }
    }
    for (const { adapters } of all) adapters.set({});
    yield await unchanged(`${model}/lora_${pair.join("+")} at 0`, before);
    for (const { adapters } of all) await adapters.remove();
    yield await unchanged(`${model}/lora_${pair.join("+")} removed`, before);
  }

  async function unchanged(id: string, before: ArrayLike<number>): Promise<Verdict> {
    return await attempt(id, async () => compare(id, await dataOf(outputs), before, EXACT));
  }
}

/** All values of all outputs. */
async function dataOf(outputs: Outputs): Promise<number[]> {
  const values: number[] = [];
  for (const output of Object.values(outputs)) values.push(...await output().data());
  return values;
}
