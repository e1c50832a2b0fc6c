import { CLIPTextModel, CLIPTextModelWithProjection } from "../../src/models/mod.ts";
import { CLIPTokenizer } from "../../src/tokenizers/mod.ts";
import { type HostTensor, readTensors } from "../support/arrays.ts";
import { readJson } from "./json.ts";
import { loading } from "./precision.ts";
import { attempt, compare, compareTensor, EXACT, type Verdict } from "./verdict.ts";

type Verdicts = AsyncGenerator<Verdict, void, void>;

const MODULE = { rel: 1e-4 }; // one run of a network in f32 on a GPU

/** The first text encoder of a model, and its tokenizer. */
export function text(folder: string, model: string): Verdicts {
  return encoder(folder, model, "");
}

/** The second one. */
export function text2(folder: string, model: string): Verdicts {
  return encoder(folder, model, "_2");
}

async function* encoder(folder: string, model: string, number: string): Verdicts {
  const component = `text_encoder${number}`;
  const id = `${model}/${component}`;
  const path = `${folder}/pipeline/${component}`;
  const config = await readJson<{ architectures: string[] }>(`${path}/config.json`);
  const tensors = await readTensors(`${folder}/expected/${component}.safetensors`);
  const ids = tensors.get("input_ids")!;
  yield* prompts(folder, id, number, ids);

  const projects = config.architectures[0] === "CLIPTextModelWithProjection";
  using loaded = await (projects ? CLIPTextModelWithProjection : CLIPTextModel).fromPretrained(
    path,
    loading(),
  );
  const { hiddenStates, taps: _, ...output } = loaded.forward(rows(ids));
  const got = new Map([
    ["last_hidden_state", output.lastHiddenState],
    ["pooler_output", output.pooledOutput],
    ...Object.entries(output).filter(([name]) => name === "textEmbeds").map(([, x]) =>
      ["text_embeds", x] as const
    ),
    ...hiddenStates.map((state, i) => [`hidden_states.${i}`, state] as const),
  ]);
  for (const [name, want] of tensors) {
    const result = got.get(name);
    if (result) {
      yield await attempt(`${id}/${name}`, () => compareTensor(`${id}/${name}`, result, want, MODULE));
    } else if (name !== "input_ids") {
      yield { id: `${id}/${name}`, status: "failed", note: "no result of this name" };
    }
  }
}

/** The ids of the prompts, where the set says which those are. */
async function* prompts(folder: string, id: string, number: string, ids: HostTensor): Verdicts {
  const { prompts } = await readJson<{ prompts?: string[] }>(`${folder}/expected/meta.json`);
  if (!prompts) return;
  yield await attempt(`${id}/input_ids`, async () => {
    const tokenizer = await CLIPTokenizer.fromPretrained(`${folder}/pipeline`, {
      subfolder: `tokenizer${number}`,
    });
    return compare(`${id}/input_ids`, tokenizer.encode(prompts).inputIds.flat(), ids.data, EXACT);
  });
}

function rows({ data, shape: [B, N] }: HostTensor): number[][] {
  return Array.from({ length: B! }, (_, b) => [...data.subarray(b * N!, (b + 1) * N!)]);
}
