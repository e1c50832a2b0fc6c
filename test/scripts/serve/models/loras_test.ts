import assert from "node:assert/strict";
import { join } from "node:path";
import { Drawer, RefusalError } from "denoise/serve";
import { controlledFolder, fluxFolder } from "../../../support/pipeline_folders.ts";
import { safetensorsOf } from "../../../support/raw_tensors.ts";

const folder = Deno.makeTempDirSync({ prefix: "denoise-offered-loras-" });
const at = (name: string) => join(folder, name);
const SD = { name: "sd", path: at("sd") };
const FLUX = { name: "flux", path: at("flux") };
const LAYER = "unet.mid_block.attentions.0.transformer_blocks.0.attn1.to_q";
const W = 8; // its inputs and outputs

Deno.test.beforeAll(async () => {
  await controlledFolder(SD.path);
  await fluxFolder(FLUX.path, "FluxPipeline");
});
Deno.test.afterAll(() => Deno.removeSync(folder, { recursive: true }));

/** The file of a LoRA of rank 2 for one layer [rows, columns], in peft's names, all of one value. */
function loraOf(layer: string, rows: number, columns: number, value = 0.1): Uint8Array {
  const half = (end: string, shape: [number, number]) => {
    const values = new Float32Array(shape[0] * shape[1]).fill(value);
    return [`${layer}.${end}.weight`, { dtype: "F32", shape, bytes: new Uint8Array(values.buffer) }] as const;
  };
  return safetensorsOf(new Map([half("lora_A", [2, columns]), half("lora_B", [rows, 2])]));
}

function opened(bytes: Uint8Array, models: readonly [typeof SD, ...typeof SD[]] = [SD]): Promise<Drawer> {
  Deno.writeFileSync(at("style.safetensors"), bytes);
  return Drawer.open({ models, lora: [{ name: "style", path: at("style.safetensors") }] });
}

const odd: Record<string, [bytes: Uint8Array, reason: RegExp]> = {
  "whose layers no model has": [
    loraOf("unet.mid_block.none.to_q", 4, 4),
    /expected names of layers of text_encoder or unet, got 1 others, [^\n]*; it is of another model, or no LoRA$/,
  ],
  "of other shapes": [loraOf(LAYER, W, W + 1), /for the layer "[^\n]*; it was made for another model$/],
  "that is cut off": [loraOf(LAYER, W, W).slice(0, -8), /style\.safetensors: [^\n]*$/],
};
for (const [what, [bytes, reason]] of Object.entries(odd)) {
  Deno.test(`a LoRA ${what} is not offered: a drawer tells it as it opens`, async () => {
    await assert.rejects(opened(bytes), ({ message }: Error) => {
      assert.match(message, /^Cannot offer the LoRA style: Cannot [^\n]*$/);
      assert.match(message, reason);
      return true;
    });
  });
}

Deno.test("a LoRA is offered with the models that it fits, and no others; no weights are loaded for that", async () => {
  await using drawer = await opened(loraOf(LAYER, W, W), [FLUX, SD]);
  assert.deepEqual(drawer.offers().models.map(({ additions }) => additions.lora), [[], ["style"]]);
  assert.equal(drawer.loaded, 0);
  await assert.rejects(drawer.draw({ prompt: "a cat", model: "flux", lora: ["style"] }), (error) => {
    assert.ok(error instanceof RefusalError && error.kind === "invalid" && error.param === "lora");
    assert.equal(
      error.message,
      "Cannot draw with the LoRA style on flux: it was made for another model",
    );
    return true;
  });
  assert.equal(drawer.loaded, 0);
});

Deno.test("a LoRA that holds NaN is refused when it is put on, and pictures without it are drawn", async () => {
  await using drawer = await opened(loraOf(LAYER, W, W, NaN));
  const cat = { prompt: "a cat", steps: 1, size: { width: 32, height: 32 } };
  for (let times = 0; times < 2; times++) {
    await assert.rejects(drawer.draw({ ...cat, lora: ["style"] }), (error) => {
      assert.ok(error instanceof RefusalError && error.kind === "failed" && error.param === "lora");
      assert.match(error.message, /^Cannot draw with the LoRA style: its file is damaged, or gone; [^\n/]*$/);
      return true;
    });
  }
  const got = await drawer.draw(cat);
  await using other = await Drawer.open({ models: [SD] }); // last, as its device is the current one then
  const want = await other.draw(cat);
  assert.deepEqual(got.pictures[0]!.png, want.pictures[0]!.png);
});
