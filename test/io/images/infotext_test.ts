import assert from "node:assert/strict";
import { infotextOfRecipe } from "../../../src/io/images/infotext.ts";
import { readInfotext } from "../../../scripts/serve/routes/sdapi/infotext.ts";

const recipe = {
  prompt: "a yellow star,\nbright",
  negative: "blue: dark",
  model: "models/sd, 1.5",
  ...{ steps: 4, guidance: 4.5, seed: 2n ** 64n - 1n, size: "64x48", strength: 0.6 },
  ...{ schedulerClass: "DPMSolverMultistepScheduler", sampler: "DPM++ 2M", schedule: "Karras" },
  lora: ["style.safetensors:0.8"],
  schedulerConfig: { beta_start: 0.1 },
  scheduler: undefined,
  version: "0.9.0",
};

Deno.test("a recipe's infotext is what A1111 writes of its settings, and has the others behind them", () => {
  assert.equal(
    infotextOfRecipe(recipe),
    "a yellow star,\nbright\nNegative prompt: blue: dark\nSteps: 4, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 4.5, " +
      'Seed: 18446744073709551615, Size: 64x48, Model: "models/sd, 1.5", Denoising strength: 0.6, ' +
      'lora: "style.safetensors:0.8", Version: Denoise 0.9.0',
  );
});

Deno.test("readers of infotexts find a recipe's prompts apart from its settings", () => {
  const { Prompt, "Negative prompt": negative, Model, Sampler, "Size-1": width } = readInfotext(
    infotextOfRecipe(recipe),
  );
  assert.deepEqual([Prompt, negative, Model, Sampler, width], [
    ...["a yellow star,\nbright", "blue: dark", "models/sd, 1.5", "DPM++ 2M", "64"],
  ]);
});

Deno.test("a recipe without a prompt, of a script's own, has its class where no sampler is named", () => {
  const text = infotextOfRecipe({ model: "ddpm", steps: 25, schedulerClass: "DDPMScheduler", version: "1" });
  assert.equal(text, "\nSteps: 25, Sampler: DDPMScheduler, Model: ddpm, Version: Denoise 1");
});
