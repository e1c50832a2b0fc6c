import assert from "node:assert/strict";
import { manualSeed } from "../../src/mod.ts";
import { StableDiffusionPipeline, StableDiffusionXLPipeline } from "../../src/pipelines/mod.ts";
import { readTensors } from "../support/arrays.ts";
import { safetensors, TestFolder } from "../support/files.ts";
import { fixture } from "../support/fixtures.ts";
import { assertTensor, onHost } from "../support/tensors.ts";
import { device } from "../support/device.ts";

const bound = 1e-5; // f32
const folder = fixture("textual_inversion");
const emoji = `${import.meta.dirname}/../../models/emoji-diffusion`;
const cases = JSON.parse(await Deno.readTextFile(`${folder}/cases.json`)) as {
  name: string;
  prompt: string;
  xl: boolean;
}[];
const stored = await readTensors(`${folder}/expected.safetensors`);

let sd: StableDiffusionPipeline;
let xl: StableDiffusionXLPipeline;
Deno.test.beforeAll(async () => {
  sd = await StableDiffusionPipeline.fromPretrained(emoji, { dtype: "f32" });
  xl = await StableDiffusionXLPipeline.fromPretrained(fixture("stable_diffusion_xl/pipeline"), {
    dtype: "f32",
  });
  const load = (weightName: string, token?: string) => sd.loadTextualInversion(folder, { weightName, token });
  assert.equal(await sd.loadTextualInversion(`${folder}/learned_embeds.bin`), "<one>");
  assert.equal(await load("three.safetensors"), "<three>");
  assert.equal(await load("a1111.pt"), "automatic");
  assert.equal(await load("bare.safetensors", "bare"), "bare");
  await xl.loadTextualInversion(`${folder}/both.safetensors`);
});
Deno.test.afterAll(() => {
  for (const one of [sd, xl, device]) one[Symbol.dispose]();
});

for (const { name, prompt, xl: isXL } of cases) {
  Deno.test(`learned embeddings stand in prompts as in diffusers: ${name}`, async () => {
    const onNotice = () => {};
    if (!isXL) {
      const { promptEmbeds } = await sd.encodePrompt({ prompt, onNotice });
      return await assertTensor(promptEmbeds, stored.get(`${name}/prompt_embeds`)!, bound, "states");
    }
    const { promptEmbeds, pooledPromptEmbeds } = await xl.encodePrompt({ prompt, onNotice });
    await assertTensor(promptEmbeds, stored.get(`${name}/prompt_embeds`)!, bound, "states");
    await assertTensor(pooledPromptEmbeds, stored.get(`${name}/pooled_prompt_embeds`)!, bound, "pooled");
  });
}

Deno.test("a token that is taken out is text again, and others keep their embeddings", async () => {
  using pipeline = await StableDiffusionPipeline.fromPretrained(emoji, { dtype: "f32" });
  const embed = async (prompt: string) =>
    await onHost((await pipeline.encodePrompt({ prompt })).promptEmbeds);
  const plain = await embed("a <one> flower");
  await pipeline.loadTextualInversion(`${folder}/three.safetensors`);
  await pipeline.loadTextualInversion(`${folder}/learned_embeds.bin`);
  const want = await embed("<one>");
  assert.notDeepEqual(await embed("a <one> flower"), plain);
  pipeline.unloadTextualInversion("<three>");
  assert.deepEqual(await embed("<one>"), want);
  pipeline.unloadTextualInversion("<one>");
  assert.deepEqual(await embed("a <one> flower"), plain);
  assert.throws(
    () => pipeline.unloadTextualInversion("<one>"),
    /Cannot remove the token "<one>": it was not/,
  );
});

Deno.test("embeddings stay when the text encoder is unloaded", async () => {
  const prompt = "a <three> flower";
  const want = await onHost((await sd.encodePrompt({ prompt })).promptEmbeds);
  sd.parts.textEncoder.unload();
  const draw = { prompt, numInferenceSteps: 1, progress: false, height: 16, width: 16 } as const;
  await sd.run({ ...draw, generator: manualSeed(0) });
  await assertTensor((await sd.encodePrompt({ prompt })).promptEmbeds, want, 0, "states");
});

Deno.test("what is no textual inversion of the model is refused, and nothing of it stays", async () => {
  using files = new TestFolder();
  const vector = (values: number[]) => [...new Uint8Array(Float32Array.from(values).buffer)];
  const header = (shape: number[], bytes: number) => ({ dtype: "F32", shape, data_offsets: [0, bytes] });
  const narrow = files.write("narrow.safetensors", safetensors({ "<x>": header([2], 8) }, vector([1, 2])));
  const nan = files.write("nan.safetensors", safetensors({ "<x>": header([1, 2], 8) }, vector([1, NaN])));
  const two = files.write(
    "two.safetensors",
    safetensors(
      { "<x>": header([2], 8), "<y>": { ...header([2], 8), data_offsets: [8, 16] } },
      vector([1, 2, 3, 4]),
    ),
  );
  const cube = files.write("cube.safetensors", safetensors({ "<x>": header([1, 1, 2], 8) }, vector([1, 2])));
  const wrong: [path: string, RegExp, token?: string][] = [
    [
      narrow,
      /expected vectors of 128 numbers, as the text encoder has, got 2; it was made for another model/,
    ],
    [nan, /expected numbers in "<x>", got NaN or infinity/],
    [two, /expected the vectors of one token, got <x>, <y>/],
    [cube, /expected a textual inversion, vectors of one token, got F32 \[1, 1, 2\] in "<x>"/],
    [`${folder}/both.safetensors`, /it was made for another model/],
    [
      `${emoji}/unet/diffusion_pytorch_model.safetensors`,
      /expected a textual inversion, vectors of one token/,
    ],
    [`${folder}/learned_embeds.bin`, /Cannot add the token "<one>": expected a new one/],
    [`${folder}/bare.safetensors`, /Cannot add the token "flower<\/w>": expected a new one/, "flower</w>"],
    [`${folder}/bare.safetensors`, /Cannot add the token "": expected a new one, got no letters/, ""],
    [`${folder}/none.bin`, /no such file/],
  ];
  for (const [path, message, token] of wrong) {
    await assert.rejects(sd.loadTextualInversion(path, { token }), message);
  }
  await assert.rejects(
    sd.loadTextualInversion(folder),
    /Cannot choose a textual inversion of .*: expected one file, got /,
  );
  await assert.rejects(
    sd.loadTextualInversion(folder, { scale: 1 } as object),
    /Cannot load a textual inversion with scale: no such option/,
  );
});
