import assert from "node:assert/strict";
import { FLUX2_NAMES } from "../../../../src/io/names/flux2.ts";
import { Flux2Transformer2DModel, loadLora } from "../../../../src/models/mod.ts";
import { callOf } from "../../../conformance/flux2_transformer.ts";
import { readTensors } from "../../../support/arrays.ts";
import { assertRelativelyClose } from "../../../support/close.ts";
import "../../../support/device.ts";
import { Dice } from "../../../support/dice.ts";
import { TestFolder } from "../../../support/files.ts";
import { fixture } from "../../../support/fixtures.ts";
import {
  type HostArray,
  type HostPair,
  merged,
  randomPair,
  tensorFile,
} from "../../../support/lora_files.ts";

const bound = 1e-4; // one run of a network in f32 on a GPU
const RANK = 4;
const ALPHA = 2;

type Tensors = Record<string, HostArray>;

const model = fixture("flux2/transformer_dev");
const weightsFile = "diffusion_pytorch_model.safetensors";
const load = (folder: string) =>
  Flux2Transformer2DModel.fromPretrained(folder, { dtype: "f32", onNotice: () => {} });

/** Random pairs for all layers that LoRAs change, under Black Forest Labs' names, and the weights with them merged in. */
async function pairsAndWeights(): Promise<{ pairs: Map<string, HostPair>; weights: Tensors }> {
  const weights: Tensors = Object.fromEntries(await readTensors(`${model}/${weightsFile}`));
  const dice = new Dice(12);
  const pairs = new Map<string, HostPair>();
  for (const [name, members] of Object.entries(FLUX2_NAMES)) {
    const layers = members.map((member) => `${member.replace(".N.", ".0.")}.weight`);
    const shapes = layers.map((layer) => weights[layer]!.shape);
    if (shapes[0]!.length < 2) continue; // norms
    const rows = shapes.reduce((sum, [N]) => sum + N!, 0);
    const pair = randomPair([rows, shapes[0]![1]!], RANK, dice);
    pairs.set(name.replace(".N.", ".0."), pair);
    const { shape, data } = pair.up;
    const half = rows * RANK / 2;
    const turned = Array.from(data, (_, i) => data[(i + half) % (2 * half)]!);
    const up = layers[0] === "norm_out.linear.weight" ? { shape, data: turned } : pair.up;
    let first = 0;
    layers.forEach((layer, i) => {
      weights[layer] = merged(weights[layer]!, { ...pair, up }, ALPHA / RANK, first);
      first += shapes[i]![0]!;
    });
  }
  return { pairs, weights };
}

const { pairs, weights } = await pairsAndWeights();

/** The names that programs give the matrices of a layer. */
const SPELLINGS: Record<string, (name: string) => { front: string; down: string; up: string }> = {
  "diffusion_model, which diffusers refuses with alpha": (name) => ({
    front: `diffusion_model.${name}`,
    down: "lora_A.weight",
    up: "lora_B.weight",
  }),
  "diffusion_model with lora_down, of which diffusers loads nothing": (name) => ({
    front: `diffusion_model.${name}`,
    down: "lora_down.weight",
    up: "lora_up.weight",
  }),
  "kohya": (name) => ({
    front: `lora_unet_${name.replaceAll(".", "_")}`,
    down: "lora_down.weight",
    up: "lora_up.weight",
  }),
  "peft's wrapper": (name) => ({
    front: `base_model.model.${name}`,
    down: "lora_A.weight",
    up: "lora_B.weight",
  }),
};

for (const [what, spell] of Object.entries(SPELLINGS)) {
  Deno.test(`a LoRA on all layers of a FLUX.2 is as one that was added to the weights: ${what}`, async () => {
    const tensors: Tensors = {};
    for (const [name, pair] of pairs) {
      const { front, down, up } = spell(name);
      tensors[`${front}.${down}`] = pair.down;
      tensors[`${front}.${up}`] = pair.up;
      tensors[`${front}.alpha`] = { shape: [], data: [ALPHA] };
    }
    using place = new TestFolder();
    place.write("config.json", await Deno.readTextFile(`${model}/config.json`));
    place.write(weightsFile, tensorFile(weights));
    using want = await load(place.path);
    using transformer = await load(model);
    const path = place.write("lora.safetensors", tensorFile(tensors));
    const { matched } = await loadLora(path, { transformer }, { onNotice: (line) => assert.fail(line) });
    assert.equal(matched.length, 25); // 21 names, of which two are three layers each

    const expected = await readTensors(fixture("flux2/expected/transformer.safetensors"));
    const { hiddenStates, options } = callOf(expected);
    const out = (model: Flux2Transformer2DModel) =>
      model.forward(hiddenStates, { ...options, guidance: 4 }).sample.data();
    const plain = await out(transformer);
    assertRelativelyClose(plain, await out(want), bound, "out");
    await transformer.adapters.bake();
    assertRelativelyClose(await out(transformer), plain, bound, "baked");
  });
}

Deno.test("a LoRA of FLUX.1 is not taken for one of FLUX.2", async () => {
  using transformer = await load(model);
  await assert.rejects(
    loadLora(fixture("flux/lora/kohya.safetensors"), { transformer }, { onNotice: () => {} }),
    {
      message: /^Cannot load .*kohya.safetensors: /,
    },
  );
});
