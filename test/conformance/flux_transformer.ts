import { existsSync } from "node:fs";
import { FluxTransformer2DModel, type FluxTransformer2DOptions } from "../../src/models/mod.ts";
import { fluxPosEmbed } from "../../src/models/flux_transformer_2d/pos_embed.ts";
import { cat, type Tensor } from "../../src/tensor/mod.ts";
import { type HostTensor, readTensors } from "../support/arrays.ts";
import { loading } from "./precision.ts";
import { upload } from "../support/tensors.ts";
import { attempt, compare, compareTensor, type Verdict } from "./verdict.ts";

const MODULE = { rel: 1e-4 }; // one run of a network in f32 on a GPU

type Tensors = Map<string, HostTensor>;
type Verdicts = AsyncGenerator<Verdict, void, void>;

/** The folders of transformers, and what each made of the same inputs. */
const OUTPUTS = [
  ["pipeline/transformer", "out"],
  ["transformer_bf16", "out_bf16weights_fp32math"],
  ["transformer_schnell", "out_schnell"],
] as const;

/** Flux's transformer, the same from weights in bf16, one without guidance, and the parts of the first. */
export async function* fluxTransformer(folder: string, model: string): Verdicts {
  const tensors = await readTensors(`${folder}/expected/transformer.safetensors`);
  for (const [path, output] of OUTPUTS) {
    const want = tensors.get(output);
    if (want && existsSync(`${folder}/${path}`)) {
      yield* forwards(`${folder}/${path}`, model, output, want, tensors);
    }
  }
  yield* parts(`${folder}/pipeline/transformer`, model, tensors);
}

/** One run told all it needs, and one a row with what `condition` computed ahead. */
async function* forwards(
  folder: string,
  model: string,
  output: string,
  want: HostTensor,
  tensors: Tensors,
): Verdicts {
  using transformer = await FluxTransformer2DModel.fromPretrained(folder, loading());
  const { hiddenStates, tokens, conditions, timestep } = inputsOf(
    tensors,
    transformer.config.guidance_embeds,
  );
  const id = `${model}/transformer/${output}`;
  const inline = () => transformer.forward(hiddenStates, { ...tokens, ...conditions, timestep }).sample;
  yield await attempt(id, () => compareTensor(id, inline(), want, MODULE));

  const ahead = timestep.map((t, i) => { // in a loop all rows are at the same timestep; here they are not
    const row = (x: Tensor) => x.slice(0, i, i + 1);
    const { pooledProjections, guidance } = conditions;
    const told = { pooledProjections: row(pooledProjections), guidance: guidance?.[i] };
    const modulation = transformer.condition([t], told).at(0);
    const encoderHiddenStates = row(tokens.encoderHiddenStates);
    return transformer.forward(row(hiddenStates), { ...tokens, encoderHiddenStates, modulation }).sample;
  });
  const name = `${id}, told ahead`;
  yield await attempt(name, () => compareTensor(name, cat(ahead), want, MODULE));
}

const TAP = "tap.";
const TABLES: Record<string, "cos" | "sin"> = { "pos_embed.0": "cos", "pos_embed.1": "sin" };

/** The parts of the transformer, by diffusers' paths; those of a part with several results are numbered. */
async function* parts(folder: string, model: string, tensors: Tensors): Verdicts {
  using transformer = await FluxTransformer2DModel.fromPretrained(folder, loading());
  const { hiddenStates, tokens, conditions, timestep } = inputsOf(
    tensors,
    transformer.config.guidance_embeds,
  );
  const call = { ...tokens, ...conditions, timestep };
  const { taps } = transformer.forward(hiddenStates, {
    ...call,
    taps: transformer.paths.filter((path) => tensors.has(TAP + path)),
  });
  const tables = fluxPosEmbed([...tokens.txtIds, ...tokens.imgIds], transformer.config.axes_dims_rope);
  for (const [name, want] of tensors) {
    if (!name.startsWith(TAP)) continue;
    const path = name.slice(TAP.length);
    const [id, got] = [`${model}/transformer/${name}`, taps[path]];
    // diffusers repeats each angle for both values of a pair.
    if (path in TABLES) {
      yield compare(id, tables[TABLES[path]!], want.data.filter((_, i) => i % 2 === 0), { abs: 1e-6 });
    } else if (got) yield await attempt(id, () => compareTensor(id, got, want, MODULE));
    else yield { id, status: "failed", note: "no part of this name" };
  }
}

/** What the models were called with. */
export function inputsOf(tensors: Tensors, guided: boolean) {
  const numbers = (name: string) => [...tensors.get(name)!.data];
  const tokens: Pick<FluxTransformer2DOptions, "encoderHiddenStates" | "imgIds" | "txtIds"> = {
    encoderHiddenStates: upload(tensors.get("encoder_hidden_states")!),
    imgIds: rows(tensors.get("img_ids")!),
    txtIds: rows(tensors.get("txt_ids")!),
  };
  const conditions = {
    pooledProjections: upload(tensors.get("pooled_projections")!),
    guidance: guided ? numbers("guidance") : undefined,
  };
  return {
    hiddenStates: upload(tensors.get("hidden_states")!),
    tokens,
    conditions,
    timestep: numbers("timestep"),
  };
}

function rows({ shape, data }: HostTensor): number[][] {
  const [count, width] = shape.slice(-2) as [number, number];
  return Array.from({ length: count }, (_, i) => [...data.subarray(i * width, (i + 1) * width)]);
}
