import assert from "node:assert/strict";
import { blockWeights, type Model } from "../../../../src/models/mod.ts";
import { byPath, LayerNames, scaleOf } from "../../../../src/models/runtime/lora/adapter_scale.ts";
import { readBlockWeights } from "../../../../src/models/runtime/lora/block_weights.ts";
import type { AdapterScale } from "../../../../src/models/mod.ts";
import { fixture } from "../../../support/fixtures.ts";

interface List {
  weights: number[];
  /** The ratio of the text encoder, and of T5. */
  encoder: number;
  encoder2?: number;
  /** By layer, as the extension computes them. */
  factors: Record<string, number>;
}

const { lists, presets } = JSON.parse(Deno.readTextFileSync(fixture("loras/block_weights.json"))) as {
  lists: List[];
  presets: Record<string, string>;
};

/** As much of a model as block weights see. */
const modelOf = (layers: readonly string[]) =>
  ({
    adapters: { targets: { tensors: new Map(layers.map((layer) => [`${layer}.weight`, [1]])) } },
  }) as unknown as Model;

/** The scale of each layer. */
function scalesOf(scale: AdapterScale | undefined, layers: readonly string[]): Record<string, number> {
  const paths = byPath("style", scale!, new LayerNames(layers.map((layer) => `${layer}.weight`)));
  return Object.fromEntries(layers.map((layer) => [layer, scaleOf(paths, layer)]));
}

const flux = [
  ...Array.from({ length: 19 }, (_, i) => `transformer_blocks.${i}.attn.to_q`),
  ...Array.from({ length: 38 }, (_, i) => `single_transformer_blocks.${i}.proj_out`),
];
const encoders = { textEncoder: modelOf([]), textEncoder2: modelOf([]) };

for (const { weights, encoder, encoder2, factors } of lists) {
  Deno.test(`${weights.length} block weights are those of the extension LoRA Block Weight in every layer`, () => {
    const layers = [...new Set([...weights.length === 61 ? flux : [], ...Object.keys(factors)])];
    const own = weights.length === 61 ? { transformer: modelOf(layers) } : { unet: modelOf(layers) };
    for (const given of [weights, weights.join(", ")]) {
      const scales = blockWeights(given, { ...own, ...encoders });
      const got = scalesOf(scales.unet ?? scales.transformer, layers);
      for (const [layer, factor] of Object.entries(factors)) assert.equal(got[layer], factor, layer);
      assert.deepEqual([scales.textEncoder, scales.textEncoder2], [encoder, encoder2 ?? encoder]);
    }
  });
}

Deno.test("named lists are the extension's", () => {
  for (const [name, list] of Object.entries(presets)) {
    assert.deepEqual(readBlockWeights(name), list.split(",").map(Number), name);
  }
  assert.equal(Object.keys(presets).length, 9);
});

Deno.test("block weights are multiplied by a scale, which the rest of the model has too", () => {
  const layers = [
    ...[
      "down_blocks.1.attentions.0.proj_in",
      "down_blocks.0.resnets.0.conv1",
      "conv_out",
      "time_embedding.linear_1",
    ],
    ...["down_blocks.0.resnets.1.conv1", "up_blocks.0.resnets.2.conv1"], // by which the layers of a level are counted
  ];
  const unet = modelOf(layers);
  const scales = (list: string) => Object.values(scalesOf(blockWeights(list, { unet }, 0.5).unet, layers));
  assert.deepEqual(scales("INALL"), [0.5, 0.5, 0.5, 0.5, 0.5, 0]);
  assert.deepEqual(scales("NONE"), [0, 0, 0.5, 0.5, 0, 0]);
  assert.deepEqual(Object.keys(blockWeights("ALL", { unet })), ["unet"]); // there is no text encoder
});

Deno.test("the blocks of FLUX alone may have weights", () => {
  const layers = [...flux, "x_embedder", "proj_out"];
  const weights = Array.from({ length: 57 }, (_, i) => i);
  const { transformer, ...rest } = blockWeights(weights, { transformer: modelOf(layers), ...encoders });
  assert.deepEqual(Object.values(scalesOf(transformer, layers)), [...weights, 1, 1]);
  assert.deepEqual(rest, { textEncoder: 1, textEncoder2: 1 });
});

const unet = modelOf(["conv_in"]);
const wrong: [() => unknown, RegExp][] = [
  [
    () => blockWeights([1, 2], { unet }),
    /^RangeError: Cannot use 2 block weights for a UNet: expected 12, 17, 20 or 26$/,
  ],
  [
    () => blockWeights("ALL", { transformer: modelOf(flux) }),
    /17 block weights for this FLUX: expected 57 or 61; lists by name, such as OUTALL, are for UNets$/,
  ],
  [() => blockWeights("ALL", { transformer: modelOf(["layers.0.attn"]) }), /expected a UNet or FLUX/],
  [() => blockWeights("ALL", {}), /expected a UNet or a transformer, got none$/],
  [
    () => blockWeights("1,2,R", { unet }),
    /^TypeError: Cannot read block weights "1,2,R": expected numbers with commas/,
  ],
  [() => blockWeights("constructor", { unet }), /^TypeError: Cannot read block weights "constructor"/],
  [() => blockWeights("1,,2", { unet }), /^TypeError: Cannot read block weights/],
];
for (const [act, message] of wrong) {
  Deno.test(`block weights that do not fit are refused: ${message.source.slice(0, 60)}`, () => {
    assert.throws(act, message);
  });
}
