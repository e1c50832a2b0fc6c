import assert from "node:assert/strict";
import {
  CLIPTextModel,
  FluxTransformer2DModel,
  loadLora,
  type LoadReport,
} from "../../../../src/models/mod.ts";
import { inputsOf } from "../../../conformance/flux_transformer.ts";
import "../../../support/device.ts";
import { TestFolder } from "../../../support/files.ts";
import { type HostTensor, readTensors } from "../../../support/arrays.ts";
import { assertRelativelyClose } from "../../../support/close.ts";
import { Dice } from "../../../support/dice.ts";
import { fixture } from "../../../support/fixtures.ts";
import { type HostArray, merged, randomPair, tensorFile } from "../../../support/lora_files.ts";

const bound = 1e-4; // one run of a network in f32 on a GPU

type Inputs = ReturnType<typeof inputsOf>;
type Tensors = Record<string, HostArray>;

let transformer: FluxTransformer2DModel;
let inputs: Inputs;
Deno.test.beforeAll(async () => {
  transformer = await load(fixture("flux/pipeline/transformer"));
  inputs = inputsOf(await readTensors(fixture("flux/expected/transformer.safetensors")), true);
});
Deno.test.afterAll(() => {
  transformer[Symbol.dispose]();
});

function load(folder: string): Promise<FluxTransformer2DModel> {
  return FluxTransformer2DModel.fromPretrained(folder, { dtype: "f32", onNotice: () => {} });
}

/** What the model makes of the fixtures' inputs, told all at once. */
function run(model: FluxTransformer2DModel): Promise<ArrayLike<number>> {
  const { hiddenStates, tokens, conditions, timestep } = inputs;
  return model.forward(hiddenStates, { ...tokens, ...conditions, timestep }).sample.data();
}

/** Loads tensors as a LoRA, runs, and takes it off again. */
async function runWith(
  tensors: Tensors,
  { metadata, scale }: { metadata?: Record<string, string>; scale?: number } = {},
): Promise<{ report: LoadReport; out: ArrayLike<number> }> {
  using folder = new TestFolder();
  const path = folder.write("lora.safetensors", tensorFile(tensors, metadata));
  const onNotice = (line: string) => assert.fail(line);
  const report = await loadLora(path, { transformer }, { scale, onNotice });
  const out = await run(transformer);
  await transformer.adapters.remove();
  return { report, out };
}

async function lora(name: string): Promise<Tensors> {
  return Object.fromEntries(await readTensors(fixture(`flux/lora/${name}.safetensors`)));
}

async function expected(name: string, scale = "1.0"): Promise<HostTensor> {
  return (await readTensors(fixture(`flux/expected/lora_${name}.safetensors`))).get(`out_scale${scale}`)!;
}

for (const name of ["kohya", "diffusers", "xlabs"]) {
  for (const scale of ["0.7", "1.0"]) {
    Deno.test(`FLUX with the ${name} LoRA at ${scale} follows diffusers`, async () => {
      const { report, out } = await runWith(await lora(name), { scale: Number(scale) });
      assert.deepEqual(report.unmatched, []);
      assert.deepEqual(report.ranks, [3]);
      assertRelativelyClose(out, (await expected(name, scale)).data, bound, "out");
    });
  }
}

/** Tensors under other names. */
function renamed(tensors: Tensors, rename: (key: string) => string): Tensors {
  return Object.fromEntries(Object.entries(tensors).map(([key, value]) => [rename(key), value]));
}

/** kohya's underscores back to the dots of Black Forest Labs' names. */
function dotted(key: string): string {
  return key.replace(/^lora_unet_/, "").replace(/^(double|single)_blocks_(\d+)_/, "$1_blocks.$2.")
    .replace(/(img|txt)_(attn|mlp|mod)_/, "$1_$2.").replace("modulation_lin", "modulation.lin");
}

const FROM_KOHYA: [format: string, rename: (key: string) => string][] = [
  ["ComfyUI", (key) => `diffusion_model.${dotted(key)}`],
  [
    "fal",
    (key) => `base_model.model.${dotted(key)}`.replace("lora_down", "lora_A").replace("lora_up", "lora_B"),
  ],
  ["BFL", (key) => dotted(key).replace("lora_down", "lora_A").replace("lora_up", "lora_B")],
];

for (const [format, rename] of FROM_KOHYA) {
  Deno.test(`a LoRA under ${format}'s names is kohya's under its own`, async () => {
    const { report, out } = await runWith(renamed(await lora("kohya"), rename));
    assert.equal(report.format, format);
    assertRelativelyClose(out, (await expected("kohya")).data, bound, "out");
  });
}

const FROM_DIFFUSERS: [format: string, rename: (key: string) => string][] = [
  ["peft", (key) => key.replace("transformer.", "")],
  ["peft", (key) => key.replace("lora_A.", "lora_A.default.").replace("lora_B.", "lora_B.default.")],
  ["peft", (key) => key.replace("transformer.", "base_model.model.")],
  ["ComfyUI", (key) => key.replace("transformer.", "diffusion_model.")],
  [
    "OneTrainer",
    (key) => {
      const [, layer, half] = /^transformer\.(.*)\.lora_([AB])\.weight$/.exec(key)!;
      return `lora_transformer_${layer!.replaceAll(".", "_")}.lora_${half === "A" ? "down" : "up"}.weight`;
    },
  ],
  [
    "diffusers",
    (key) => {
      const [, layer, half] = /^transformer\.(.*)\.lora_([AB])\.weight$/.exec(key)!;
      const end = half === "A" ? "down" : "up";
      const [, front, name] = /^(.*\.attn)\.(?:(to_[qkv])|to_out\.0)$/.exec(layer!) ?? [];
      if (!front) return `transformer.${layer}.lora.${end}.weight`;
      return `transformer.${front}.processor.${name ?? "to_out"}_lora.${end}.weight`;
    },
  ],
];

for (const [i, [format, rename]] of FROM_DIFFUSERS.entries()) {
  Deno.test(`a LoRA of diffusers under ${format}'s names is the same one (${i + 1})`, async () => {
    const { report, out } = await runWith(renamed(await lora("diffusers"), rename));
    assert.equal(report.format, format);
    assertRelativelyClose(out, (await expected("diffusers")).data, bound, "out");
  });
}

Deno.test("all that blocks are told is told by the LoRA too, also where it is computed before the loop", async () => {
  using folder = new TestFolder();
  const path = folder.write("lora.safetensors", tensorFile(await lora("kohya")));
  await loadLora(path, { transformer });
  const { hiddenStates, tokens, conditions } = inputs;
  const at = [0.25, 0.5];
  const ahead = transformer.condition(at, conditions);
  for (const [step, t] of at.entries()) {
    const timestep = inputs.timestep.map(() => t);
    const inline = transformer.forward(hiddenStates, { ...tokens, ...conditions, timestep }).sample;
    const told = transformer.forward(hiddenStates, { ...tokens, modulation: ahead.at(step) }).sample;
    assertRelativelyClose(await told.data(), await inline.data(), 1e-5, `step ${step}`);
  }
  await transformer.adapters.remove();
});

/**
 * Black Forest Labs' names of the layers outside the blocks; of the last one the halves of rows are swapped.
 */
const OUTSIDE: [name: string, layer: string][] = [
  ["img_in", "x_embedder"],
  ["txt_in", "context_embedder"],
  ["time_in_in_layer", "time_text_embed.timestep_embedder.linear_1"],
  ["time_in_out_layer", "time_text_embed.timestep_embedder.linear_2"],
  ["vector_in_in_layer", "time_text_embed.text_embedder.linear_1"],
  ["vector_in_out_layer", "time_text_embed.text_embedder.linear_2"],
  ["guidance_in_in_layer", "time_text_embed.guidance_embedder.linear_1"],
  ["guidance_in_out_layer", "time_text_embed.guidance_embedder.linear_2"],
  ["final_layer_linear", "proj_out"],
  ["final_layer_adaLN_modulation_1", "norm_out.linear"],
];

Deno.test("a kohya LoRA on all layers of a FLUX is as one that was added to the weights", async () => {
  const folder = fixture("flux/transformer_schnell");
  const file = "diffusion_pytorch_model.safetensors";
  const weights: Tensors = Object.fromEntries(await readTensors(`${folder}/${file}`));
  const dice = new Dice(11);
  const tensors: Tensors = {};
  for (const [name, layer] of OUTSIDE) {
    const weight = weights[`${layer}.weight`];
    if (!weight) continue; // schnell has no guidance
    const pair = randomPair(weight.shape, 4, dice);
    tensors[`lora_unet_${name}.lora_down.weight`] = pair.down;
    tensors[`lora_unet_${name}.lora_up.weight`] = pair.up;
    tensors[`lora_unet_${name}.alpha`] = { shape: [1], data: [2] };
    const { shape: [rows, rank], data } = pair.up;
    const half = rows! * rank! / 2;
    const turned = Array.from(data, (_, i) => data[(i + half) % (2 * half)]!);
    const up = layer === "norm_out.linear" ? { shape: pair.up.shape, data: turned } : pair.up;
    weights[`${layer}.weight`] = merged(weight, { ...pair, up }, 0.5);
  }
  assert.equal(Object.keys(tensors).length, 3 * 8);
  using place = new TestFolder();
  place.write("config.json", await Deno.readTextFile(`${folder}/config.json`));
  place.write(file, tensorFile(weights));
  using want = await load(place.path);
  using schnell = await load(folder);
  const path = place.write("lora.safetensors", tensorFile(tensors));
  const { matched } = await loadLora(path, { transformer: schnell }, {
    onNotice: (line) => assert.fail(line),
  });
  assert.equal(matched.length, 8);
  const { hiddenStates, tokens, conditions: { pooledProjections }, timestep } = inputs;
  const out = (model: FluxTransformer2DModel) =>
    model.forward(hiddenStates, { ...tokens, pooledProjections, timestep }).sample.data();
  assertRelativelyClose(await out(schnell), await out(want), bound, "out");
});

Deno.test("a ComfyUI file brings its text encoder's part to FLUX's CLIP", async () => {
  using textEncoder = await CLIPTextModel.fromPretrained(fixture("flux/pipeline/text_encoder"), {
    dtype: "f32",
    onNotice: () => {},
  });
  const layer = "text_model.encoder.layers.1.mlp.fc1";
  const [shape] = [textEncoder.adapters.layers.get("encoder.layers.1.mlp.fc1")!];
  const { down, up } = randomPair(shape, 2, new Dice(3));
  const name = `text_encoders.clip_l.transformer.${layer}`;
  using folder = new TestFolder();
  const path = folder.write(
    "lora.safetensors",
    tensorFile({ [`${name}.lora_down.weight`]: down, [`${name}.lora_up.weight`]: up }),
  );
  const ids = [[5, 320, 7]];
  const before = await textEncoder.forward(ids).lastHiddenState.data();
  const { matched } = await loadLora(path, { transformer, textEncoder });
  assert.deepEqual(matched, ["text_encoder.encoder.layers.1.mlp.fc1"]);
  assert.notDeepEqual(await textEncoder.forward(ids).lastHiddenState.data(), before);
  await textEncoder.adapters.remove();
  assert.deepEqual(await textEncoder.forward(ids).lastHiddenState.data(), before);
});
