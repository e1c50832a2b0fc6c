import assert from "node:assert/strict";
import {
  type AdapterScale,
  byPath,
  LayerNames,
  scaleOf,
} from "../../../../src/models/runtime/lora/adapter_scale.ts";
import { fixture } from "../../../support/fixtures.ts";

interface Case {
  name: string;
  scales: AdapterScale;
  /** By layer, as diffusers sets them. */
  factors: Record<string, number>;
}

const cases = JSON.parse(Deno.readTextFileSync(fixture("loras/scales.json"))) as Case[];
const namesOf = (factors: Case["factors"]) =>
  new LayerNames(Object.keys(factors).map((layer) => `${layer}.weight`));

for (const { name, scales, factors } of cases) {
  Deno.test(`nested scales are those of diffusers' set_adapters in every layer: ${name}`, () => {
    const paths = byPath("style", scales, namesOf(factors));
    const got = Object.fromEntries(Object.keys(factors).map((layer) => [layer, scaleOf(paths, layer)]));
    assert.deepEqual(got, factors);
    assert.ok(new Set(Object.values(factors)).size > 3);
  });
}

Deno.test("nested scales may stand beside paths, of which the longest counts", () => {
  const names = namesOf(cases[0]!.factors);
  const paths = byPath("style", { down: 0.5, "down_blocks.0.attentions.1": 0.25, mid_block: 2 }, names);
  const of = (layer: string) => scaleOf(paths, layer);
  assert.deepEqual(
    ["down_blocks.0.attentions.0.a", "down_blocks.0.attentions.1.a", "mid_block.resnets.0", "conv_in"].map(
      of,
    ),
    [0.5, 0.25, 2, 1],
  );
});

const wrong: [AdapterScale, RegExp][] = [
  [
    { up: { block_0: 1 } },
    /^Error: Cannot set adapter "style" in "up.block_0": expected a block with attention, one of block_1, block_2, block_3$/,
  ],
  [
    { up: { block_1: [1, 2] } },
    /^RangeError: Cannot set adapter "style" in "up.block_1": expected 3 scales, one for each attention, got 2$/,
  ],
  [{ mid: [1, 2] as unknown as [number] }, /in "mid": expected 1 scales?, one for each attention, got 2$/],
  [{ down: NaN }, /expected a finite number$/],
  [{ down: { block_0: [1, Infinity] } }, /expected a finite number$/],
  [{ "down_block": 1 }, /the model has no layer whose name begins so; nearest is "down_blocks"$/],
  [{ "down_blocks.0.att": 1 }, /the model has no layer whose name begins so/],
];
for (const [scale, message] of wrong) {
  Deno.test(`scales that a model cannot have are refused: ${JSON.stringify(scale)}`, () => {
    assert.throws(() => byPath("style", scale, namesOf(cases[0]!.factors)), message);
  });
}

Deno.test("a model without a way refuses scales for it", () => {
  assert.throws(
    () => byPath("style", { down: 1 }, new LayerNames(["transformer_blocks.0.attn.to_q.weight"])),
    {
      message:
        'Cannot set adapter "style" in "down": the model has no layer whose name begins so; nearest is "transformer_blocks"',
    },
  );
});
