import assert from "node:assert/strict";
import { readTask } from "../../scripts/generate/settings.ts";

const out = ["--out", `${Deno.makeTempDirSync()}/a.png`];

for (
  const [model, steps, guidance] of [
    ["Tongyi-MAI/Z-Image-Turbo", 8, 0],
    ["models/z_image_turbo_bf16.safetensors", 8, 0],
    ["Tongyi-MAI/Z-Image", 25, undefined],
    ["models/emoji-diffusion", 25, 4.5],
    ["emoji-diffusion", 25, 4.5],
    ["CompVis/stable-diffusion-v1-4", 25, undefined],
  ] as const
) {
  Deno.test(`generate.ts draws with ${model} as it was made for, unless it is told otherwise`, async () => {
    const { settings } = await readTask(["--model", model, ...out]);
    assert.deepEqual([settings.steps, settings.guidance], [steps, guidance]);
    const told = await readTask(["--model", model, "--steps", "5", "--guidance", "3", ...out]);
    assert.deepEqual([told.settings.steps, told.settings.guidance], [5, 3]);
  });
}

Deno.test("generate.ts refuses what it cannot read in a prompt's syntax before anything is loaded", async () => {
  const told = ["a cat", "--negative", "a [dog|hat]", "--prompt-syntax", "a1111", ...out];
  await assert.rejects(
    readTask(told),
    /^TypeError: Cannot read the prompt "a \[dog\|hat\]": prompt editing, /,
  );
  const { settings } = await readTask(["a [dog|hat]", "--prompt-syntax", "compel", ...out]);
  assert.equal(settings["prompt-syntax"], "compel");
});

Deno.test("LoRAs that count in no step, and strengths beyond reason, are refused before anything is loaded", async () => {
  const lora = "style.safetensors:0.8:from=0.4:to=0.5";
  await assert.rejects(readTask(["--lora", lora, "--steps", "4", ...out]), {
    name: "RangeError",
    message: `Cannot take the LoRA ${lora} in 4 steps: expected a whole step between its parts, got none; ` +
      "take more steps, or parts that are further apart",
  });
  await readTask(["--lora", lora, "--steps", "10", ...out]);
  await readTask(["--lora", lora, "--steps", "4", "--scheduler", "seeds_3", ...out]); // the model is called in parts of a step, too
  for (const [name, value] of [["lora", "a.pt:1e30"], ["lora", "a.pt:-1001"], ["pag", "1e30"]] as const) {
    await assert.rejects(
      readTask([`--${name}`, value, ...out]),
      /^TypeError: Cannot take --(lora|pag) [-\w.:]+: expected a (scale|number) of at most 1000( in size)?$/,
    );
  }
});
