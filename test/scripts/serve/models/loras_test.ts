import assert from "node:assert/strict";
import { join } from "node:path";
import { Drawer, RefusalError } from "denoise/serve";
import { CONTROLLED_WIDTH, controlledFolder, fluxFolder } from "../../../support/pipeline_folders.ts";
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

/** Refuses a file that was damaged or went away after it was offered, without its path. */
function unreadable(setting: string, what: string) {
  return (error: unknown) => {
    assert.ok(
      error instanceof RefusalError && error.kind === "failed" && error.param === setting,
      String(error),
    );
    assert.equal(
      error.message,
      `Cannot draw with the ${what}: its file is damaged, or gone; the log says more`,
    );
    return true;
  };
}

Deno.test("files that are damaged or gone when they are put on are refused, and pictures without them are drawn", async () => {
  const vectors = new Uint8Array(new Float32Array(CONTROLLED_WIDTH).fill(0.1).buffer);
  const learned = { dtype: "F32", shape: [1, CONTROLLED_WIDTH], bytes: vectors };
  Deno.writeFileSync(at("style.safetensors"), loraOf(LAYER, W, W, NaN)); // which its header does not tell
  Deno.writeFileSync(at("gone.safetensors"), loraOf(LAYER, W, W));
  Deno.writeFileSync(at("cat.safetensors"), safetensorsOf(new Map([["<cat>", learned]])));
  const offer = (name: string) => ({ name, path: at(`${name}.safetensors`) });
  const cat = { prompt: "a cat", steps: 1, size: { width: 32, height: 32 } };
  const pictures: Uint8Array[] = [];
  {
    const offered = { lora: [offer("style"), offer("gone")], embedding: [offer("cat")] };
    await using drawer = await Drawer.open({ models: [SD], ...offered });
    for (const name of ["gone", "cat"]) Deno.removeSync(at(`${name}.safetensors`));
    for (const name of ["style", "gone", "style"]) {
      await assert.rejects(drawer.draw({ ...cat, lora: [name] }), unreadable("lora", `LoRA ${name}`));
    }
    const learning = drawer.draw({ ...cat, embedding: ["cat"] });
    await assert.rejects(learning, unreadable("embedding", "textual inversion cat"));
    pictures.push((await drawer.draw(cat)).pictures[0]!.png);
  }
  await using other = await Drawer.open({ models: [SD] });
  pictures.push((await other.draw(cat)).pictures[0]!.png);
  assert.deepEqual(pictures[0], pictures[1]);
});
