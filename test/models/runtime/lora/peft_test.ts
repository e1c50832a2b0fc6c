import assert from "node:assert/strict";
import { loadLora, UNet2DConditionModel } from "../../../../src/models/mod.ts";
import { readTensors } from "../../../support/arrays.ts";
import { assertRelativelyClose } from "../../../support/close.ts";
import "../../../support/device.ts";
import { TestFolder } from "../../../support/files.ts";
import { fixture } from "../../../support/fixtures.ts";
import { upload } from "../../../support/tensors.ts";

const bound = 1e-4; // of the largest value, f32

const folder = fixture("loras");
const stored = await readTensors(`${folder}/runs.safetensors`);

let unet: UNet2DConditionModel;
Deno.test.beforeAll(async () => {
  unet = await UNet2DConditionModel.fromPretrained(fixture("controlnet/unet"), { dtype: "f32" });
});
Deno.test.afterAll(() => unet[Symbol.dispose]());

const predict = () =>
  unet.forward(upload(stored.get("latents")!), 500, upload(stored.get("prompt")!)).sample.data();

const cases = {
  patterns: { kinds: ["LoRA"], ranks: [1, 2, 3], alphas: [1, 3, 5] },
  saved: { kinds: ["DoRA", "whole weight"], ranks: [1], alphas: [8] },
  biases: { kinds: ["LoRA", "difference", "whole weight"], ranks: [1], alphas: [2] },
  loha: { kinds: ["LoHa"], ranks: [1, 2], alphas: [1, 3] },
};

for (const [name, wanted] of Object.entries(cases)) {
  Deno.test(`a folder of peft is what peft makes of it: ${name}`, async () => {
    const plain = await predict();
    const told: string[] = [];
    const report = await loadLora(`${folder}/peft_${name}`, { unet }, {
      onNotice: (line) => told.push(line),
    });
    const { kinds, ranks, alphas, unmatched, alphaSources } = report;
    assert.deepEqual([told, unmatched, alphaSources], [[], [], ["metadata"]]);
    assert.deepEqual([[...kinds].sort(), ranks, alphas], [wanted.kinds.sort(), wanted.ranks, wanted.alphas]);
    assertRelativelyClose(await predict(), stored.get(`peft/${name}`)!.data, bound, name);
    await unet.adapters.remove();
    assert.deepEqual(await predict(), plain);
  });
}

Deno.test("a file of peft without its config is told", async () => {
  using alone = new TestFolder();
  const path = alone.write(
    "adapter_model.safetensors",
    Deno.readFileSync(`${folder}/peft_patterns/adapter_model.safetensors`),
  );
  const told: string[] = [];
  const { alphaSources } = await loadLora(path, { unet }, { onNotice: (line) => told.push(line) });
  await unet.adapters.remove();
  assert.deepEqual(alphaSources, ["rank"]);
  assert.deepEqual(told, [
    `${path}: alphas are taken for the ranks, as there is no adapter_config.json beside it`,
  ]);
});
