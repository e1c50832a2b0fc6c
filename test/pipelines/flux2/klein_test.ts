import assert from "node:assert/strict";
import { Qwen3Model } from "../../../src/models/mod.ts";
import { manualSeed, rand } from "../../../src/mod.ts";
import {
  DiffusionPipeline,
  Flux2KleinPipeline,
  type Flux2KleinRunOptions,
  ZImagePipeline,
} from "../../../src/pipelines/mod.ts";
import "../../support/device.ts";
import { fixture } from "../../support/fixtures.ts";
import { assertRefused } from "../../support/refused.ts";
import { assertTensor, onHost } from "../../support/tensors.ts";

const bound = 1e-3; // a whole loop in f32
const prompt = "a nice flower";
const small = {
  height: 48,
  width: 64,
  numInferenceSteps: 2,
  maxSequenceLength: 24,
  progress: false,
} as const;

let klein: Flux2KleinPipeline;
let base: Flux2KleinPipeline;
Deno.test.beforeAll(async () => {
  const opened = await DiffusionPipeline.fromPretrained(fixture("flux2/pipeline"), { dtype: "f32" });
  assert.ok(opened instanceof Flux2KleinPipeline);
  klein = opened;
  base = new Flux2KleinPipeline({ ...klein.parts, isDistilled: false });
});
Deno.test.afterAll(() => klein[Symbol.dispose]());

const noNotice = (line: string) => assert.fail(line);
const seeds = (...all: number[]) => all.map((seed) => manualSeed(seed));

Deno.test("the model_index.json says that klein is distilled, which then takes four steps", async () => {
  assert.equal(klein.parts.isDistilled, true);
  const steps: number[] = [];
  const { numInferenceSteps: _steps, ...options } = small;
  await klein.run({ ...options, prompt, onNotice: noNotice, onStep: (step) => void steps.push(step) });
  assert.deepEqual(steps, [0, 1, 2, 3]);
});

Deno.test("of klein's text encoder only the layers are loaded whose states are read", async () => {
  const { textEncoder } = klein.parts;
  const source = { dtype: "f32", defer: true } as const;
  using whole = await Qwen3Model.fromPretrained(fixture("flux2/pipeline/text_encoder"), source);
  const { hidden_size: D, num_hidden_layers } = whole.config;
  const layer = (whole.bytes - 4 * D) / num_hidden_layers; // without the last norm
  assert.equal(textEncoder.bytes, 27 * layer);
  assert.throws(() => textEncoder.forward([[1]], { hiddenStates: [28] }), {
    message: /^Cannot give hidden state 28: expected at most 27, /,
  });
});

Deno.test("runs side by side embed prompts by their own layers, deeper ones among them", async () => {
  using source = await Qwen3Model.fromPretrained(fixture("flux2/pipeline/text_encoder"), {
    dtype: "f32",
    defer: true,
  });
  const shared = new Flux2KleinPipeline({ ...klein.parts, textEncoder: source });
  const embed = async (textEncoderOutLayers?: number[]) => {
    const options = { prompt, maxSequenceLength: 24, textEncoderOutLayers };
    return await (await shared.encodePrompt(options)).promptEmbeds!.data();
  };
  const wanted = [[4, 11, 28], [3, 2, 1], undefined];
  const alone: ArrayLike<number>[] = [];
  for (const layers of wanted) alone.push(await embed(layers));
  source.unload();
  assert.deepEqual(await Promise.all(wanted.map(embed)), alone);
  assert.notDeepEqual(alone[1], alone[2]);
});

Deno.test("a Qwen3 that klein and Z-Image share gives each what it gives it alone", async () => {
  using textEncoder = await Qwen3Model.fromPretrained(fixture("flux2/pipeline/text_encoder"), {
    dtype: "f32",
    defer: true,
  });
  const zImage = await ZImagePipeline.fromPretrained(fixture("zimage/pipeline"), { dtype: "f32" });
  using _parts = zImage;
  const { tokenizer } = klein.parts;
  const asZImage = new ZImagePipeline({ ...zImage.parts, textEncoder, tokenizer });
  const asKlein = new Flux2KleinPipeline({ ...klein.parts, textEncoder });
  textEncoder.limitTo([2]);
  const options = { prompt, maxSequenceLength: 24 };
  const embeds = [
    () => asZImage.encodePrompt(options),
    () => asKlein.encodePrompt({ ...options, textEncoderOutLayers: [1, 2, 3] }),
  ].map((encode) => async () => await (await encode()).promptEmbeds!.data());
  const alone: ArrayLike<number>[] = [];
  for (const embed of embeds.toReversed()) alone.unshift(await embed());
  assert.equal(textEncoder.loaded, true);
  for (const [i, embed] of embeds.entries()) assert.deepEqual(await embed(), alone[i]);
  textEncoder.unload();
  assert.deepEqual(await Promise.all(embeds.map((embed) => embed())), alone);
  const [own] = textEncoder.forward([[1, 2, 3]]).hiddenStates; // what it was limited to, whoever ran meanwhile
  assert.deepEqual(
    await own!.data(),
    await textEncoder.forward([[1, 2, 3]], { hiddenStates: [2] }).hiddenStates[0]!.data(),
  );
});

Deno.test("a picture of a batch is the one that its prompt and its generator draw alone", async () => {
  const both = await klein.run({ ...small, prompt: ["red", prompt], generator: seeds(0, 1) });
  const alone = await klein.run({ ...small, prompt, generator: manualSeed(1) });
  await assertTensor(both.latents.chunk(2)[1], await onHost(alone.latents), bound, "the second");
  const several = await klein.run({ ...small, prompt, numImagesPerPrompt: 2, generator: seeds(5, 1) });
  await assertTensor(several.latents.chunk(2)[1], await onHost(alone.latents), bound, "of one prompt");
});

Deno.test("encodePrompt() gives what run() takes in place of prompts, as often as it is wanted", async () => {
  for (const pipeline of [klein, base]) {
    const image = [rand([1, 3, 70, 66], { generator: manualSeed(3) })];
    const options = { ...small, image };
    const negativePrompt = pipeline === base ? "snow" : undefined;
    const drawn = await pipeline.run({ ...options, prompt, negativePrompt, generator: manualSeed(3) });
    const embeds = await pipeline.encodePrompt({ prompt, negativePrompt, maxSequenceLength: 24 });
    assert.equal(embeds.negativePromptEmbeds !== undefined, pipeline === base);
    for (let run = 0; run < 2; run++) {
      const again = await pipeline.run({ ...options, ...embeds, generator: manualSeed(3) });
      await assertTensor(again.latents, await onHost(drawn.latents), bound, "latents");
    }
  }
});

Deno.test("klein's base model is guided by a negative prompt, by embeddings of any length, and in an interval", async () => {
  const draw = (options: Partial<Flux2KleinRunOptions>) =>
    base.run({ ...small, prompt, generator: manualSeed(4), onNotice: noNotice, ...options });
  const [plain, guided, negative] = [
    await draw({ guidanceScale: 1 }),
    await draw({}),
    await draw({ negativePrompt: "a dog" }),
  ];
  const values = await Promise.all([plain, guided, negative].map(({ latents }) => latents.data()));
  assert.notDeepEqual(values[0], values[1]);
  assert.notDeepEqual(values[1], values[2]);
  const { promptEmbeds } = await klein.encodePrompt({ prompt: "a dog", maxSequenceLength: 24 });
  const given = await draw({ negativePromptEmbeds: promptEmbeds });
  await assertTensor(given.latents, await onHost(negative.latents), bound, "by embeddings");
  const { promptEmbeds: longer } = await klein.encodePrompt({ prompt: "a dog", maxSequenceLength: 40 });
  assert.notDeepEqual(await (await draw({ negativePromptEmbeds: longer })).latents.data(), values[2]);
  const outside = await draw({ guidanceInterval: [0, 0] });
  await assertTensor(outside.latents, await onHost(plain.latents), bound, "without guidance");
});

Deno.test("what has no effect is told, and so is a prompt that is cut", async () => {
  const told = async (options: Partial<Flux2KleinRunOptions>) => {
    const notices: string[] = [];
    await klein.run({ ...small, prompt, onNotice: (line) => notices.push(line), ...options });
    return notices;
  };
  assert.deepEqual(await told({}), []);
  assert.deepEqual(await told({ guidanceScale: 1 }), []);
  assert.deepEqual(await told({ guidanceScale: 3 }), [
    "guidanceScale 3 has no effect: the model was distilled to run without guidance",
  ]);
  assert.match((await told({ negativePrompt: "snow" }))[0]!, /^The negative prompt has no effect: /);
  const [cut] = await told({ prompt: "a red flower on a green hill under a blue sky ".repeat(3) });
  assert.match(cut!, /^The prompt is longer than 24 tokens; this is left out: /);
  const { promptEmbeds } = await klein.encodePrompt({ prompt, maxSequenceLength: 520, onNotice: noNotice });
  assert.equal(promptEmbeds!.shape[1], 520);
});

Deno.test("other layers of the text encoder may be read, as wide as the transformer takes them", async () => {
  const usual = await klein.run({ ...small, prompt, generator: manualSeed(1) });
  const other = await klein.run({
    ...small,
    prompt,
    generator: manualSeed(1),
    textEncoderOutLayers: [2, 5, 11],
  });
  assert.notDeepEqual(await other.latents.data(), await usual.latents.data());
  const again = await klein.run({ ...small, prompt, generator: manualSeed(1) });
  await assertTensor(again.latents, await onHost(usual.latents), bound, "the usual layers again");
});

Deno.test("what klein cannot draw is refused in one line", async () => {
  const refused = (options: object, message: RegExp) =>
    assertRefused(klein.run({ ...small, ...options } as Flux2KleinRunOptions), message);
  await refused({}, /^Cannot draw: expected a prompt or promptEmbeds, got neither$/);
  await refused({ prompt: 5 }, /^Cannot draw: expected prompt as a text or a list of texts, got 5$/);
  await refused({ prompt: null }, /^Cannot draw: expected a prompt or promptEmbeds, got neither$/);
  await refused({ prompt: [] }, /^Cannot draw: expected a prompt, got an empty list$/);
  await refused(
    { prompt, textEncoderOutLayers: [9, 18] },
    /^Cannot embed prompts by 2 layers of width 16: expected 48 values a token, as the transformer takes$/,
  );
  await refused(
    { prompt, textEncoderOutLayers: [9, 18, 29] },
    /^Cannot give hidden state 29: expected a whole number from -29 to 28, as the model has 28 layers$/,
  );
  await refused({ prompt, maxSequenceLength: 0 }, /^Cannot run with maxSequenceLength 0: expected a whole /);
  await refused(
    { prompt, generator: seeds(1, 2) },
    /^Cannot draw a tensor \[1, 32, 3, 4\]: expected one generator or 1, got 2$/,
  );
});
