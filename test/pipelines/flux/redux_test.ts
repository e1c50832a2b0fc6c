import assert from "node:assert/strict";
import { loadImage, manualSeed, type Tensor, zeros } from "../../../src/mod.ts";
import { SiglipImageProcessor, SiglipVisionModel } from "../../../src/models/mod.ts";
import {
  DiffusionPipeline,
  FluxPipeline,
  FluxPriorReduxPipeline,
  StableDiffusionPipeline,
} from "../../../src/pipelines/mod.ts";
import { cat } from "../../../src/tensor/mod.ts";
import { Cache, onHub } from "../../io/hub/hub_fixture.ts";
import { HubServer, noise } from "../../io/hub/hub_server.ts";
import { camelCased, readJson } from "../../conformance/json.ts";
import { readTensors } from "../../support/arrays.ts";
import { assertRelativelyClose } from "../../support/close.ts";
import "../../support/device.ts";
import { emoji } from "../../support/emoji.ts";
import { fixture } from "../../support/fixtures.ts";
import { assertTensor, upload } from "../../support/tensors.ts";

const folder = fixture("flux_redux/pipeline");
const loading = { dtype: "f32", onNotice: () => {} } as const;
const expected = await readTensors(fixture("flux_redux/expected.safetensors"));
const runs = await readJson<Record<string, { pictures: string[]; args: Record<string, unknown> }>>(
  fixture("flux_redux/runs.json"),
);
const TEXT_TOKENS = 512;

let prior: FluxPriorReduxPipeline;
let pipeline: FluxPipeline;
Deno.test.beforeAll(async () => {
  prior = await FluxPriorReduxPipeline.fromPretrained(folder, loading);
  pipeline = await FluxPipeline.fromPretrained(fixture("flux/pipeline"), loading);
});
Deno.test.afterAll(() => {
  prior[Symbol.dispose]();
  pipeline[Symbol.dispose]();
});

const picture = (name: string) => loadImage(fixture(`controlnet/${name}.png`));

/** Redux with the text encoders of FLUX. */
function withTexts(): FluxPriorReduxPipeline {
  const { tokenizer, tokenizer2, textEncoder, textEncoder2 } = pipeline.parts;
  return new FluxPriorReduxPipeline({ ...prior.parts, tokenizer, tokenizer2, textEncoder, textEncoder2 });
}

Deno.test("SiglipVisionModel sees pictures as transformers does, by SiglipImageProcessor", async () => {
  const notices: string[] = [];
  const onNotice = (line: string) => notices.push(line);
  const options = { subfolder: "image_encoder", dtype: "f32", onNotice } as const;
  using vision = await SiglipVisionModel.fromPretrained(folder, options);
  assert.deepEqual(notices, []); // every key of its files is known and read
  const processor = await SiglipImageProcessor.fromPretrained(folder);
  const { lastHiddenState, poolerOutput } = vision.forward(upload(expected.get("pixels")!));
  await assertTensor(lastHiddenState, expected.get("last_hidden_state")!, 1e-5, "last state");
  await assertTensor(poolerOutput!, expected.get("pooler_output")!, 1e-5, "pooled");
  const pixels: Tensor[] = [];
  for (const name of ["control", "second"]) pixels.push(await processor.preprocess(await picture(name)));
  await assertTensor(cat(pixels), expected.get("pixels")!, 1e-6, "pixels");
});

for (const [name, { pictures, args }] of Object.entries(runs)) {
  Deno.test(`FluxPriorReduxPipeline makes diffusers' embeddings of the run "${name}"`, async () => {
    const image = await Promise.all(pictures.map(picture));
    const made = await withTexts().run({ image, ...camelCased(args) });
    const { promptEmbeds, pooledPromptEmbeds } = made;
    const seen = cat([promptEmbeds.slice(1, 0, 2), promptEmbeds.slice(1, TEXT_TOKENS)], 1);
    await assertTensor(seen, expected.get(`${name}/prompt_embeds`)!, 1e-5, "embeds");
    await assertTensor(pooledPromptEmbeds, expected.get(`${name}/pooled_prompt_embeds`)!, 1e-5, "pooled");
    if (name !== "several") return;
    const options = {
      guidanceScale: 2.5,
      numInferenceSteps: 2,
      height: 32,
      width: 48,
      progress: false,
    } as const;
    const { latents } = await pipeline.run({
      ...{ ...made, ...options },
      generator: manualSeed(3),
      outputType: "latent",
    });
    assertRelativelyClose(await latents.data(), expected.get("drawn/latents")!.data, 1e-3, "latents");
  });
}

Deno.test("FluxPriorReduxPipeline puts zeros in place of a prompt, and sums pictures by their scales", async () => {
  const [control, second] = [await picture("control"), await picture("second")];
  const image = [control, second];
  const alone = async (image: Tensor) => (await prior.run({ image })).promptEmbeds.slice(1, TEXT_TOKENS);
  const { promptEmbeds, pooledPromptEmbeds } = await prior.run({ image, promptEmbedsScale: [1, -0.5] });
  assert.deepEqual(pooledPromptEmbeds.shape, [1, 768]); // CLIP's in FLUX.1
  assert.ok((await pooledPromptEmbeds.data()).every((value) => value === 0));
  assert.ok((await promptEmbeds.slice(1, 0, TEXT_TOKENS).data()).every((value) => value === 0));
  const sum = (await alone(control)).sub((await alone(second)).mul(0.5));
  assertRelativelyClose(await promptEmbeds.slice(1, TEXT_TOKENS).data(), await sum.data(), 1e-6, "sum");

  const texts = { promptEmbeds: zeros([2, 3, 16]), pooledPromptEmbeds: zeros([2, 12]) };
  const given = await prior.run({ image, ...texts });
  assert.deepEqual([given.promptEmbeds.shape, given.pooledPromptEmbeds.shape], [[1, 3 + 16, 16], [1, 12]]);
});

Deno.test("FluxPriorReduxPipeline opens its repository on the hub, and a Control LoRA is found in its own", async () => {
  const names = ["model_index.json", "feature_extractor/preprocessor_config.json"];
  for (const [part, stem] of [["image_encoder", "model"], ["image_embedder", "diffusion_pytorch_model"]]) {
    names.push(`${part}/config.json`, `${part}/${stem}.safetensors`);
  }
  const files = Object.fromEntries(names.map((name) => [name, Deno.readFileSync(`${folder}/${name}`)]));
  const repo = "black-forest-labs/FLUX.1-Redux-dev";
  await using hub = new HubServer({ repo, files: { ...files, "flux1-redux-dev.safetensors": noise(99) } });
  const lora = "black-forest-labs/FLUX.1-Canny-dev-lora";
  const weights = Deno.readFileSync(fixture("flux_tools/lora_control_bfl.safetensors"));
  await using loras = new HubServer({ repo: lora, files: { "flux1-canny-dev-lora.safetensors": weights } });
  await using cache = await Cache.create();
  const image = await picture("control");
  const { promptEmbeds } = await onHub({ endpoint: hub.endpoint, cache, token: "" }, async () => {
    using prior = await FluxPriorReduxPipeline.fromPretrained(repo, loading);
    return await prior.run({ image });
  });
  const want = (await prior.run({ image })).promptEmbeds;
  assert.deepEqual(await promptEmbeds.data(), await want.data());
  assert.deepEqual(hub.requests("flux1-redux-dev"), []); // the same weights in one file
  const { format } = await onHub(
    { endpoint: loras.endpoint, cache, token: "" },
    () => pipeline.loadLoraWeights(lora),
  );
  assert.equal(format, "BFL");
  assert.equal(pipeline.parts.transformer.inChannels, 128);
  await pipeline.unloadLora();
});

Deno.test("FluxPriorReduxPipeline says in one line what is wrong, and so does what is not for it", async () => {
  const image = await picture("control");
  const lines: [options: Record<string, unknown>, line: RegExp][] = [
    [{}, /^Cannot see pictures: expected image, got none$/],
    [
      { image, prompt: "a" },
      /^Cannot see a prompt beside pictures: expected text encoders .*; add those of a FLUX/,
    ],
    [
      { image, promptEmbedsScale: [1, 2] },
      /^Cannot see 1 pictures with 2 values of promptEmbedsScale: expected one,/,
    ],
    [
      { image, promptEmbeds: zeros([1, 3, 16]) },
      /expected promptEmbeds \[1, N, 16\] and pooledPromptEmbeds .* none$/,
    ],
    [{ image, strength: 1 }, /^Cannot run FluxPriorReduxPipeline with strength/],
    [
      { image: zeros([1, 3, 4, 4]).add(2) },
      /^Cannot change a picture that is seen: expected values from 0 to 1, got 2$/,
    ],
  ];
  for (const [options, message] of lines) {
    await assert.rejects(prior.run(options as unknown as Parameters<typeof prior.run>[0]), { message });
  }
  await assert.rejects(
    FluxPriorReduxPipeline.fromPretrained(fixture("flux/pipeline"), loading),
    /Cannot load the pipeline's image_embedder: expected ReduxImageEncoder, got none/,
  );
  await assert.rejects(
    DiffusionPipeline.fromPretrained(folder, loading),
    /^TypeError: Cannot draw with .*: FluxPriorReduxPipeline makes no pictures, but what a FluxPipeline takes in place of a prompt; /,
  );
  const seen = await prior.run({ image });
  await assert.rejects(
    pipeline.run({ ...seen, progress: false }),
    /expected pooledPromptEmbeds \[1, 12\] beside promptEmbeds, got \[1, 768\]/,
  );
  using other = await StableDiffusionPipeline.fromPretrained(emoji, loading);
  await assert.rejects(
    other.run({ ...seen, progress: false } as Parameters<typeof other.run>[0]),
    /^TypeError: Cannot run StableDiffusionPipeline with pooledPromptEmbeds: no such option; it is one of .*FluxPipeline/,
  );
});
