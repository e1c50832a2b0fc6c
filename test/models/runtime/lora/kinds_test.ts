import assert from "node:assert/strict";
import { loadLora } from "../../../../src/models/mod.ts";
import { difference, type HostTensor, readTensors } from "../../../support/arrays.ts";
import { assertRelativelyClose } from "../../../support/close.ts";
import "../../../support/device.ts";
import { fixture } from "../../../support/fixtures.ts";
import { LoraUNet } from "../../../support/lora_unet.ts";

const bound = 1e-4; // one run of a network in f32 on a GPU

let small: LoraUNet;
/** Weights that the tools themselves merged, by adapter, scale and key. */
let merged: ReadonlyMap<string, HostTensor>;
Deno.test.beforeAll(async () => {
  small = await LoraUNet.of("base");
  merged = await readTensors(fixture("adapters/merged.safetensors"));
});

/** The weights of the model, those of an adapter in their places. */
function weightsWith(adapter: string, scale: number): Record<string, HostTensor> {
  const front = `${adapter}/${scale}/`;
  const own = [...merged].filter(([name]) => name.startsWith(front));
  assert.ok(own.length > 0);
  return Object.fromEntries([
    ...small.weights,
    ...own.map(([name, value]) => [name.slice(front.length), value]),
  ]);
}

const CASES: [adapter: string, kind: string, scales: number[], format?: string][] = [
  ["loha", "LoHa", [1, 0.5]],
  ["loha_tucker", "LoHa", [1], "LyCORIS"],
  ["locon_tucker", "LoCon", [1, -0.7]],
  ["lokr", "LoKr", [1, 0.5]],
  ["lokr_both", "LoKr", [1], "LyCORIS"],
  ["lokr_tucker", "LoKr", [1]],
  ["lokr_full", "LoKr", [1]],
  ["dora", "DoRA", [1]],
  ["dora_inputs", "DoRA", [1]],
  ["dora_loha", "DoRA", [1]],
  ["dora_lokr", "DoRA", [1]],
  ["full", "difference", [1, 0.5]],
  ["norms", "difference", [1, 0.5]],
  ["oft", "OFT", [1, 0.5]],
  ["oft_bound", "OFT", [1]],
  ["boft", "BOFT", [1, 0.5]],
  ["peft_oft", "OFT", [1], "peft"],
  ["peft_oft_exact", "OFT", [1], "peft"],
  ["peft_dora", "DoRA", [1, 0.6], "peft"],
  ["peft_loha", "LoHa", [1], "peft"],
  ["peft_lokr", "LoKr", [1], "peft"],
];

for (const [adapter, kind, scales, format = "kohya"] of CASES) {
  Deno.test(`${adapter} is merged as its own tool merges it, and leaves no bit behind`, async () => {
    using unet = await small.load();
    const plain = await small.run(unet).data();
    const path = fixture(`adapters/${adapter}.safetensors`);
    const report = await loadLora(path, { unet }, { adapterName: "style" });
    assert.deepEqual([report.kinds.at(-1), report.format, report.unmatched], [kind, format, []]);
    for (const scale of scales) {
      await unet.adapters.set({ style: scale });
      using expected = await small.with(weightsWith(adapter, scale));
      const want = await small.run(expected).data();
      assert.ok(difference(plain, want).rel > 1e-2, "the adapter does something");
      assertRelativelyClose(await small.run(unet).data(), want, bound, `${adapter} at ${scale}`);
    }
    await unet.adapters.set({});
    assert.deepEqual(await small.run(unet).data(), plain);
    await unet.adapters.set({ style: 1 });
    await unet.adapters.remove("style");
    assert.deepEqual(await small.run(unet).data(), plain);
  });
}
