import assert from "node:assert/strict";
import { randn, zeros } from "../../../src/mod.ts";
import { ControlNetModel, T2IAdapter } from "../../../src/models/mod.ts";
import { readTensors } from "../../support/arrays.ts";
import { fixture } from "../../support/fixtures.ts";
import { adapted, adapterFolder, openAdapter } from "../../support/t2i_adapter.ts";
import { assertTensor, onHost, upload } from "../../support/tensors.ts";
import "../../support/device.ts";

const stored = await readTensors(fixture("t2i_adapter/expected.safetensors"));

for (const name of Object.keys(adapted.configs)) {
  Deno.test(`T2IAdapter gives the features that diffusers gives, at odd sides too: ${name}`, async () => {
    using adapter = await openAdapter(name);
    const { features } = adapter.forward(upload(stored.get("x")!).slice(1, 0, adapter.config.in_channels));
    assert.equal(stored.has(`${name}/${features.length}`), false);
    for (const [i, feature] of features.entries()) {
      await assertTensor(feature, stored.get(`${name}/${i}`)!, 1e-5, `feature ${i}`);
    }
  });
}

Deno.test("T2IAdapter gives parts by diffusers' paths", async () => {
  using adapter = await openAdapter("full");
  const { features, taps } = adapter.forward(randn([2, 3, 8, 8]), {
    taps: ["adapter.body.1", "adapter.body.1.in_conv"],
  });
  await assertTensor(taps["adapter.body.1"], await onHost(features[1]!), 0, "tap");
  assert.deepEqual(taps["adapter.body.1.in_conv"].shape, [2, 8, 2, 2]);
});

Deno.test("T2IAdapter refuses what does not fit", async () => {
  using adapter = await openAdapter("full");
  assert.throws(() => adapter.forward(zeros([1, 1, 8, 8])), {
    message: "Cannot look at a picture: expected shape [B, 3, H, W], got [1, 1, 8, 8]",
  });
  assert.throws(() => adapter.forward(zeros([1, 3, 8, 7])), {
    message: "Cannot look at a picture: expected sides as multiples of 2, got [1, 3, 8, 7]",
  });
  await assert.rejects(
    T2IAdapter.fromPretrained(fixture("controlnet/controlnet"), { dtype: "f32" }),
    /Cannot load T2IAdapter: expected its config in [^\n]*, got that of "ControlNetModel"; it is another model/,
  );
  using folder = await adapterFolder("full");
  await assert.rejects(
    ControlNetModel.fromPretrained(folder.path, { dtype: "f32" }),
    /Cannot load ControlNetModel: expected its config in [^\n]*, got that of "T2IAdapter"; it is another model/,
  );
  using odd = await adapterFolder("xl", { channels: [4, 8, 12, 16] });
  await assert.rejects(
    T2IAdapter.fromPretrained(odd.path, { dtype: "f32" }),
    /expected channels to be numbers that are the same from the third on, as in full_adapter_xl/,
  );
});
