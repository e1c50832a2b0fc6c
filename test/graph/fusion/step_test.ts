import assert from "node:assert/strict";
import { currentDevice } from "../../../src/gpu/device.ts";
import { stepsOf } from "../../../src/graph/run/layout.ts";
import { attention, conv2d, groupNorm, layerNorm, linear, silu } from "../../../src/ops/mod.ts";
import { recordKernel } from "../../../src/tensor/record.ts";
import { type Tensor, zeros } from "../../../src/tensor/mod.ts";
import "../../support/device.ts";

/** The extensions that the shaders of a value's dispatches enable. */
function enabledBy({ node }: Tensor): Set<string> {
  const steps = stepsOf(currentDevice(), [node]);
  const texts = steps.map((step) => step.pipeline.source().map(({ text }) => text).join("\n"));
  return new Set(texts.flatMap((text) => [...text.matchAll(/^enable (\w+);/gm)].map(([, name]) => name!)));
}

Deno.test("shaders enable f16 only where a tensor is f16: adapters without it run all else", () => {
  const network = (dtype: "f32" | "f16") => {
    const x = zeros([1, 4, 3, 3], { dtype });
    const weight = zeros([8, 4, 3, 3], { dtype });
    const h = silu(groupNorm(conv2d(x, { weight }, { padding: 1 }), {}, { groups: 2 }));
    const rows = layerNorm(linear(h.reshape([8, 9]), { weight: zeros([5, 9], { dtype }) }), null);
    return attention(rows.reshape([1, 1, 8, 5]), rows.reshape([1, 1, 8, 5]), rows.reshape([1, 1, 8, 5]));
  };
  assert.ok(!enabledBy(network("f32")).has("f16"));
  assert.ok(!enabledBy(zeros([1, 9]).quantile(0.5)).has("f16"));
  assert.ok(enabledBy(network("f16")).has("f16"));
});

Deno.test("a setting that no line of a kernel's text has is refused by name", async () => {
  const y = recordKernel("doubled", {
    inputs: [zeros([4])],
    shape: [4],
    dtype: "f32",
    code: [{ name: "doubled.wgsl", text: "const ROWS: u32 = 1;\nstruct Params { n: u32 }" }],
    set: { ROWS: 2, COLUMNS: 3 },
    params: { n: 4 },
    axes: [1, 1, 1, 4],
    workgroups: 1,
  });
  await assert.rejects(y.data(), {
    message: 'Cannot set "COLUMNS" of doubled: expected a line `alias COLUMNS = …;` or ' +
      "`const COLUMNS: type = …;` in doubled.wgsl, got none",
  });
});
