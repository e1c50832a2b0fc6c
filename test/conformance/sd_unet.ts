import { existsSync } from "node:fs";
import { UNet2DConditionModel, type UNet2DConditionOptions } from "../../src/models/mod.ts";
import { type HostTensor, readTensors } from "../support/arrays.ts";
import { readJson } from "./json.ts";
import { loading } from "./precision.ts";
import { upload } from "../support/tensors.ts";
import { attempt, compareTensor, type Verdict } from "./verdict.ts";

const MODULE = { rel: 1e-4 }; // one run of a network in f32 on a GPU

type Tensors = Map<string, HostTensor>;
type Verdicts = AsyncGenerator<Verdict, void, void>;

/** The UNet of one model, and the same from weights in f16 where the set has them. */
export async function* unet(folder: string, model: string): Verdicts {
  const tensors = await readTensors(`${folder}/expected/unet.safetensors`);
  yield* forwards(folder, model, tensors);
  if (existsSync(`${folder}/unet_fp16`)) yield* halves(folder, model, tensors);
}

/** One run for each timestep, and one at a size that does not halve evenly. */
async function* forwards(folder: string, model: string, tensors: Tensors): Verdicts {
  using unet = await UNet2DConditionModel.fromPretrained(`${folder}/pipeline`, {
    ...loading(),
    subfolder: "unet",
  });
  const meta = await readJson<{ unet?: { timesteps: number[] } }>(`${folder}/expected/meta.json`);
  const { sample, prompts, conditions } = inputsOf(tensors);
  for (const [name, want] of tensors) {
    const id = `${model}/unet/${name}`;
    const [, t] = /^out_t([\d.]+)$/.exec(name) ?? [];
    if (t !== undefined) {
      const run = () => unet.forward(sample, Number(t), prompts, conditions).sample;
      yield await attempt(id, () => compareTensor(id, run(), want, MODULE));
    } else if (name === "out_odd") {
      const odd = upload(tensors.get("sample_odd")!);
      const [first] = meta.unet!.timesteps as [number]; // as told, which need not be the smallest
      const run = () => unet.forward(odd, first, prompts.slice(0, 1, 2), conditions).sample;
      yield await attempt(id, () => compareTensor(id, run(), want, MODULE));
    }
  }
}

/** Weights in f16, work in f32. */
async function* halves(folder: string, model: string, tensors: Tensors): Verdicts {
  using unet = await UNet2DConditionModel.fromPretrained(folder, {
    ...loading(),
    subfolder: "unet_fp16",
    variant: "fp16",
  });
  const { sample, prompts, conditions } = inputsOf(tensors);
  for (const [name, want] of tensors) {
    const [, t] = /^out_fp16weights_t([\d.]+)$/.exec(name) ?? [];
    if (t === undefined) continue;
    const id = `${model}/unet_fp16/${name}`;
    const run = () => unet.forward(sample, Number(t), prompts, conditions).sample;
    yield await attempt(id, () => compareTensor(id, run(), want, MODULE));
  }
}

/** The parts of the UNet, by diffusers' paths. */
export async function* unetParts(folder: string, model: string): Verdicts {
  const tensors = await readTensors(`${folder}/expected/unet.safetensors`);
  const meta = await readJson<{ unet: { intermediates_at: number } }>(`${folder}/expected/meta.json`);
  const { sample, prompts, conditions } = inputsOf(tensors);
  using unet = await UNet2DConditionModel.fromPretrained(`${folder}/pipeline`, {
    ...loading(),
    subfolder: "unet",
  });
  const wanted = await readTensors(`${folder}/expected/unet_intermediates.safetensors`);
  const { taps } = unet.forward(sample, meta.unet.intermediates_at, prompts, {
    ...conditions,
    taps: unet.paths.filter((path) => wanted.has(path)),
  });
  for (const [path, want] of wanted) {
    const [id, got] = [`${model}/unet_intermediates/${path}`, taps[path]];
    if (got) yield await attempt(id, () => compareTensor(id, got, want, MODULE));
    else yield { id, status: "failed", note: "no part of this name" };
  }
}

/** What the model was called with. */
export function inputsOf(tensors: Tensors) {
  const prompts = upload(tensors.get("encoder_hidden_states")!);
  const [textEmbeds, timeIds] = [tensors.get("text_embeds"), tensors.get("time_ids")];
  const conditions: UNet2DConditionOptions = {};
  if (textEmbeds && timeIds) {
    conditions.addedCond = { textEmbeds: upload(textEmbeds), timeIds: rows(timeIds) };
  }
  return { sample: upload(tensors.get("sample")!), prompts, conditions };
}

function rows({ shape: [count, width], data }: HostTensor): number[][] {
  return Array.from({ length: count! }, (_, i) => [...data.subarray(i * width!, (i + 1) * width!)]);
}
