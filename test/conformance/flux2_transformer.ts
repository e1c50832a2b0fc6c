import { existsSync } from "node:fs";
import { Flux2Transformer2DModel, type Flux2Transformer2DOptions } from "../../src/models/mod.ts";
import { features } from "../../src/models/flux_transformer_2d/inputs.ts";
import { fluxPosEmbed } from "../../src/models/flux_transformer_2d/pos_embed.ts";
import { cat, type Tensor } from "../../src/tensor/mod.ts";
import { type HostTensor, readTensors } from "../support/arrays.ts";
import { upload } from "../support/tensors.ts";
import { loading } from "./precision.ts";
import { attempt, compare, compareTensor, type Verdict } from "./verdict.ts";

const MODULE = { rel: 1e-4 }; // one run of a network in f32 on a GPU

type Tensors = Map<string, HostTensor>;
type Verdicts = AsyncGenerator<Verdict, void, void>;

/** A call of a model: its latents and the rest. */
interface Call {
  readonly hiddenStates: Tensor;
  readonly options: Flux2Transformer2DOptions;
}

/** The folders of transformers, and what each made of the same inputs, of which some change the call. */
const OUTPUTS:
  readonly (readonly [folder: string, output: string, change: (call: Call, t: Tensors) => Call])[] = [
    ["pipeline/transformer", "out", (call) => call],
    ["pipeline/transformer", "out_with_reference_tokens", withReferences],
    ["transformer_bf16", "out_bf16weights_fp32math", (call) => call],
    ["transformer_dev", "out_dev", withGuidance],
    ["transformer_dev", "out_dev_guidance_none", (call) => call],
  ];

const DEV_TAPS = "transformer_dev_taps.safetensors";

/** True for a file of expected values of the transformer's parts. */
export function isTapFile(file: string): boolean {
  return file === DEV_TAPS;
}

/** Flux.2's transformers: without guidance and with it, from weights in bf16, with references, and their parts. */
export async function* flux2Transformer(folder: string, model: string): Verdicts {
  const tensors = await readTensors(`${folder}/expected/transformer.safetensors`);
  for (const [path, output, change] of OUTPUTS) {
    const want = tensors.get(output);
    if (!want || !existsSync(`${folder}/${path}`)) continue;
    using transformer = await Flux2Transformer2DModel.fromPretrained(`${folder}/${path}`, loading());
    const { hiddenStates, options } = change(callOf(tensors), tensors);
    const id = `${model}/transformer/${output}`;
    const run = () => transformer.forward(hiddenStates, options).sample;
    yield await attempt(id, () => compareTensor(id, run(), want, MODULE));
  }
  const parts = new Map([...tensors].flatMap(([name, want]) => {
    const [, path] = /^tap\.(.+)$/.exec(name) ?? [];
    return path ? [[path, want]] : [];
  }));
  yield* taps(`${folder}/pipeline/transformer`, `${model}/transformer/tap`, callOf(tensors), parts);
  if (!existsSync(`${folder}/expected/${DEV_TAPS}`)) return;
  const ofDev = await readTensors(`${folder}/expected/${DEV_TAPS}`);
  const guided = withGuidance(callOf(tensors), tensors);
  yield* taps(`${folder}/transformer_dev`, `${model}/transformer_dev/tap`, guided, ofDev);
}

/** Parts of a transformer, by diffusers' paths; results of a part with several are numbered. */
async function* taps(folder: string, id: string, { hiddenStates, options }: Call, parts: Tensors): Verdicts {
  using transformer = await Flux2Transformer2DModel.fromPretrained(folder, loading());
  const { config } = transformer;
  transformer.forward(hiddenStates, options); // names the parts
  const wanted = transformer.paths.filter((path) => parts.has(path));
  const { taps } = transformer.forward(hiddenStates, { ...options, taps: wanted });
  const angles = (ids: Flux2Transformer2DOptions["imgIds"]) =>
    fluxPosEmbed(ids, config.axes_dims_rope, config.rope_theta);
  const [img, txt] = [angles(options.imgIds), angles(options.txtIds)];
  const tables: Record<string, Float32Array> = { // of two calls
    "pos_embed.0": img.cos,
    "pos_embed.1": img.sin,
    "pos_embed@1.0": txt.cos,
    "pos_embed@1.1": txt.sin,
  };
  const numbers: Record<string, unknown> = {
    "time_guidance_embed.time_proj": options.timestep,
    "time_guidance_embed.time_proj@1": options.guidance,
  };
  for (const [path, want] of parts) {
    const [name, got] = [`${id}.${path}`, taps[path]];
    // diffusers repeats each angle for both values of a pair.
    if (path in tables) {
      yield compare(name, tables[path]!, want.data.filter((_, i) => i % 2 === 0), { abs: 1e-6 });
    } else if (path in numbers) {
      const made = features(numbers[path] as number[], config.timestep_guidance_channels);
      yield await attempt(name, () => compareTensor(name, made, want, MODULE));
    } else if (got) yield await attempt(name, () => compareTensor(name, got, want, MODULE));
    else yield { id: name, status: "failed", note: "no part of this name" };
  }
}

/** What the models were called with. */
export function callOf(tensors: Tensors): Call {
  return {
    hiddenStates: upload(tensors.get("hidden_states")!),
    options: {
      encoderHiddenStates: upload(tensors.get("encoder_hidden_states")!),
      imgIds: rows(tensors.get("img_ids")!),
      txtIds: rows(tensors.get("txt_ids")!),
      timestep: [...tensors.get("timestep")!.data],
    },
  };
}

function withGuidance({ hiddenStates, options }: Call, tensors: Tensors): Call {
  return { hiddenStates, options: { ...options, guidance: [...tensors.get("guidance")!.data] } };
}

function withReferences({ hiddenStates, options }: Call, tensors: Tensors): Call {
  const imgIds = [...options.imgIds, ...rows(tensors.get("ref_img_ids")!)];
  return {
    hiddenStates: cat([hiddenStates, upload(tensors.get("ref_tokens")!)], 1),
    options: { ...options, imgIds },
  };
}

function rows({ shape, data }: HostTensor): number[][] {
  const [count, width] = shape.slice(-2) as [number, number];
  return Array.from({ length: count }, (_, i) => [...data.subarray(i * width, (i + 1) * width)]);
}
