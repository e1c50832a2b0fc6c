import assert from "node:assert/strict";
import { AutoencoderKL, CLIPTextModel, UNet2DConditionModel } from "../../src/models/mod.ts";
import { savePng } from "../../src/mod.ts";
import { CLIPTokenizer } from "../../src/tokenizers/mod.ts";
import { tensor, zeros } from "../../src/tensor/mod.ts";
import "../support/device.ts";

// deno-lint-ignore no-explicit-any
type Loose = any; // as in programs whose types nobody checks

const repo = "models/emoji-diffusion";

Deno.test("what a model is given in a wrong place or kind is said in one line, before anything runs", async () => {
  using unet: Loose = await UNet2DConditionModel.fromPretrained(repo, { subfolder: "unet" });
  using vae: Loose = await AutoencoderKL.fromPretrained(repo, { subfolder: "vae" });
  using encoder: Loose = await CLIPTextModel.fromPretrained(repo, { subfolder: "text_encoder" });
  const tokenizer: Loose = await CLIPTokenizer.fromPretrained(repo, { subfolder: "tokenizer" });
  const [x, prompts, picture] = [zeros([1, 4, 16, 16]), zeros([1, 32, 128]), zeros([1, 3, 64, 64])];
  const timestep = "Cannot denoise: expected a timestep as a number, or a list of them, got";
  const calls: [string, () => unknown][] = [
    [
      "Cannot denoise a sample: expected a tensor [B, 4, H, W], got an object with sample, timestep",
      () => unet.forward({ sample: x, timestep: 5 }),
    ],
    [
      "Cannot denoise a sample: expected a tensor [B, 4, H, W], got a Float32Array",
      () => unet.forward(new Float32Array(4), 5, prompts),
    ],
    [
      "Cannot use encoderHiddenStates: expected a tensor [1, tokens, 128], got undefined",
      () => unet.forward(x, 5),
    ],
    [`${timestep} undefined`, () => unet.forward(x)],
    [`${timestep} NaN`, () => unet.forward(x, NaN, prompts)],
    [`${timestep} "5"`, () => unet.forward(x, "5", prompts)],
    [`${timestep} a Tensor`, () => unet.forward(x, tensor([5]), prompts)],
    [`${timestep} undefined`, () => unet.forward(x, [undefined], prompts)],
    [
      "Cannot denoise with addedCondKwargs: no such option; did you mean addedCond?",
      () => unet.forward(x, 5, prompts, { addedCondKwargs: {} }),
    ],
    [
      "Cannot denoise: expected options in an object, as in { addedCond: … }, got a list",
      () => unet.forward(x, 5, prompts, ["mid_block"]),
    ],
    [
      'Cannot tap UNet2DConditionModel: expected a list of paths, got "mid_block"',
      () => unet.forward(x, 5, prompts, { taps: "mid_block" }),
    ],
    [
      "Cannot edit with value: no such option; did you mean values?",
      () => unet.edit("mid_block", () => x, { value: {} }),
    ],
    [
      "Cannot decode latents with tiled: no such option; did you mean tile?",
      () => vae.decode(x, { tiled: 64 }),
    ],
    [
      "Cannot encode a picture with tiles: no such option; did you mean tile?",
      () => vae.encode(picture, { tiles: 64 }),
    ],
    [
      "Cannot encode texts: expected rows of ids, as a tokenizer's inputIds, got an object with inputIds, attentionMask, truncated; take its inputIds",
      () => encoder.forward(tokenizer.encode("a cat")),
    ],
    [
      'Cannot encode texts: expected rows of ids, as a tokenizer\'s inputIds, got "a cat"',
      () => encoder.forward("a cat"),
    ],
    [
      "Cannot encode texts: expected rows of ids, as a tokenizer's inputIds, got a list of 5",
      () => encoder.forward([5, 6]),
    ],
    [
      "Cannot encode texts with outputHiddenStates: no such option; all hiddenStates are given anyway",
      () => encoder.forward([[5]], { outputHiddenStates: true }),
    ],
    [
      "Cannot tokenize with max_length: no such option; did you mean maxLength?",
      () => tokenizer.encode("a cat", { max_length: 5 }),
    ],
  ];
  for (const [message, call] of calls) assert.throws(call, { name: "TypeError", message });
});

Deno.test("what is loaded and saved has to have a name", async () => {
  const load = UNet2DConditionModel as Loose;
  await assert.rejects(load.fromPretrained(), {
    message: "Cannot load a model: expected a folder or owner/name, got undefined",
  });
  await assert.rejects(load.fromPretrained(repo, "unet"), {
    message: `Cannot load ${repo}: expected options in an object, as in { subfolder: … }, got "unet"`,
  });
  await assert.rejects((savePng as Loose)(zeros([1, 3, 2, 2]), "a.png"), {
    message: 'Cannot save a picture: expected a path and a tensor, got a Tensor and "a.png"',
  });
  await assert.rejects((savePng as Loose)("a.png", Promise.resolve(zeros([1, 3, 2, 2]))), {
    message: 'Cannot save a picture: expected a path and a tensor, got "a.png" and a Promise',
  });
});

Deno.test("a model shows what it is", async () => {
  using vae = await AutoencoderKL.fromPretrained(repo, { subfolder: "vae" });
  assert.match(
    Deno.inspect(vae),
    /^AutoencoderKL \{\n {2}config: \{[^]*\},\n {2}dtype: "f32",\n[^]*device: Device /,
  );
  assert.doesNotMatch(Deno.inspect(vae), /Weights|Adapters/);
});
