import assert from "node:assert/strict";
import { streamOf } from "../../../src/graph/run/stream.ts";
import { randn } from "../../../src/mod.ts";
import { ControlNetModel, UNet2DConditionModel } from "../../../src/models/mod.ts";
import { readTensors } from "../../support/arrays.ts";
import { fixture } from "../../support/fixtures.ts";
import { assertTensor, upload } from "../../support/tensors.ts";
import { device } from "../../support/device.ts";

const bound = 1e-5; // f32
const stored = await readTensors(fixture("controlnet/models.safetensors"));
const input = (name: string) => upload(stored.get(name)!);
const open = (name: string) =>
  ControlNetModel.fromPretrained(fixture(`controlnet/${name}`), { dtype: "f32" });
const timeIds = [[24, 32, 0, 0, 24, 32], [48, 64, 1, 2, 24, 32]];

const cases: [name: string, net: string, options: object][] = [
  ["base", "controlnet", {}],
  ["scaled", "controlnet", { conditioningScale: 0.4 }],
  ["guess", "controlnet", { guessMode: true }],
  ["guess", "controlnet", { decay: 10 ** (-1 / 4) }], // the same factors of its 5 residuals, from 0.1 to 1
  ["bgr", "controlnet_1", {}],
  ["pooled", "controlnet_pooled", { guessMode: true, conditioningScale: 1.5 }],
  ["xl", "controlnet_xl", {}],
];

for (const [name, net, options] of cases) {
  Deno.test(`ControlNetModel follows diffusers: ${name} ${JSON.stringify(options)}`, async () => {
    using model = await open(net);
    const addedCond = name === "xl" ? { textEmbeds: input("pooled"), timeIds } : undefined;
    const { downBlockResSamples, midBlockResSample } = model.forward(
      input("sample"),
      [801, 5],
      input("states"),
      input("cond"),
      { ...options, addedCond },
    );
    const residuals = [...downBlockResSamples, midBlockResSample];
    assert.equal(stored.has(`${name}/${residuals.length}`), false);
    for (const [i, residual] of residuals.entries()) {
      await assertTensor(residual, stored.get(`${name}/${i}`)!, bound, `residual ${i}`);
    }
  });
}

for (const [name, net] of [["base", "controlnet"], ["pooled", "controlnet_pooled"]] as const) {
  Deno.test(`UNet2DConditionModel adds residuals as diffusers does: ${name}`, async () => {
    using model = await open(net);
    using unet = await UNet2DConditionModel.fromPretrained(fixture("controlnet/unet"), { dtype: "f32" });
    const options = name === "pooled" ? { guessMode: true, conditioningScale: 1.5 } : {};
    const [sample, states] = [input("sample"), input("states")];
    const control = model.forward(sample, [801, 5], states, input("cond"), options);
    const { sample: predicted } = unet.forward(sample, [801, 5], states, {
      downBlockAdditionalResiduals: control.downBlockResSamples,
      midBlockAdditionalResidual: control.midBlockResSample,
    });
    await assertTensor(predicted, stored.get(`unet_${name}`)!, 5e-5, "sample");
  });
}

Deno.test("ControlNetModel looks at a picture once, and takes other factors without a new trace", async () => {
  using model = await open("controlnet");
  const [sample, states, cond] = [input("sample"), input("states"), input("cond")];
  const work = async (t: number, conditioningScale: number) => {
    await model.forward(sample, t, states, cond, { conditioningScale }).midBlockResSample.data();
    return streamOf(device).statistics.dispatches;
  };
  const first = await work(801, 1);
  await work(601, 1); // finds what stays
  const traces = device.pipelines.statistics.count;
  assert.ok(await work(401, 0.5) < first - 3);
  assert.ok(await work(201, 0.7) < first - 3);
  assert.equal(device.pipelines.statistics.count, traces);
});

Deno.test("ControlNetModel refuses what does not fit", async () => {
  using model = await open("controlnet");
  const [sample, states] = [input("sample"), input("states")];
  const call = (cond: Parameters<typeof model.forward>[3], options = {}) => () =>
    model.forward(sample, 1, states, cond, options);
  assert.throws(
    call(randn([1, 3, 12, 16])),
    /Cannot use controlnetCond: expected shape \[1 or B, 3, 12, 20\], got \[1, 3, 12, 16\]/,
  );
  assert.throws(call(randn([3, 3, 12, 20])), /expected one picture, or 2 as there are rows in the sample/);
  assert.throws(call(randn([1, 3, 12, 20]), { conditioningScale: NaN }), /conditioningScale NaN/);
  assert.throws(call(randn([1, 3, 12, 20]), { scale: 1 }), /Cannot control with scale: no such option/);
  await assert.rejects(
    ControlNetModel.fromPretrained(fixture("controlnet/unet"), { dtype: "f32" }),
    /ControlNetModel/,
  );
});
