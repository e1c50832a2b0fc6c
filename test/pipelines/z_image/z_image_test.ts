import assert from "node:assert/strict";
import { type Image, manualSeed, rand, randn, scope, zeros } from "../../../src/mod.ts";
import {
  DiffusionPipeline,
  ZImageImg2ImgPipeline,
  ZImageInpaintPipeline,
  ZImagePipeline,
  type ZImageRunOptions,
} from "../../../src/pipelines/mod.ts";
import { Qwen3Model } from "../../../src/models/mod.ts";
import { device } from "../../support/device.ts";
import { TestFolder } from "../../support/files.ts";
import { fixture } from "../../support/fixtures.ts";
import { assertRefused } from "../../support/refused.ts";
import { assertTensor, onHost } from "../../support/tensors.ts";

const bound = 1e-3; // a whole loop in f32
const folder = fixture("zimage/pipeline");
const prompt = "a nice flower";
const long =
  "a painting of a squirrel that eats a burger on a hot summer day while it rains, and of its tail";
const small = {
  height: 64,
  width: 48,
  numInferenceSteps: 2,
  guidanceScale: 0,
  progress: false,
} as const;

let pipeline: ZImagePipeline;
Deno.test.beforeAll(async () => {
  pipeline = await ZImagePipeline.fromPretrained(folder, { dtype: "f32" });
});
Deno.test.afterAll(() => pipeline[Symbol.dispose]());

Deno.test("a picture of a batch is the one that its prompt and its generator draw alone", async () => {
  for (const guidanceScale of [0, 3]) {
    const generator = [0, 1].map((seed) => manualSeed(seed));
    const both = await pipeline.run({ ...small, guidanceScale, prompt: [long, prompt], generator });
    const alone = await pipeline.run({ ...small, guidanceScale, prompt, generator: manualSeed(1) });
    assert.deepEqual(both.images.shape, [2, 3, 64, 48]);
    assert.deepEqual(both.latents.shape, [2, 16, 8, 6]);
    await assertTensor(
      both.latents.chunk(2)[1],
      await onHost(alone.latents),
      bound,
      `guidance ${guidanceScale}`,
    );
  }
});

Deno.test("encodePrompt() gives what run() takes in a prompt's place, as often as wanted", async () => {
  const run = { ...small, guidanceScale: 2, numImagesPerPrompt: 2 };
  const texts = { prompt: [prompt, long], negativePrompt: ["ugly", long + " " + long] };
  const drawn = await pipeline.run({ ...run, ...texts, generator: manualSeed(3) });
  const encoded = await pipeline.encodePrompt(texts);
  assert.deepEqual(encoded.promptEmbeds.shape, [2, 64, 20]);
  assert.equal(encoded.negativePromptEmbeds.shape[1], 96);
  assert.deepEqual(encoded.promptLengths.length, 2);
  for (let i = 0; i < 2; i++) { // what is given outlives the run
    const { latents } = await pipeline.run({ ...run, ...encoded, generator: manualSeed(3) });
    await assertTensor(latents, await onHost(drawn.latents), bound, "latents");
  }
});

Deno.test("a negative prompt counts above a guidance of 0, and is the empty one by default", async () => {
  const notices: string[] = [];
  const draw = async (options: Partial<ZImageRunOptions>) => {
    const onNotice = (line: string) => notices.push(line);
    const { latents } = await pipeline.run({
      ...small,
      prompt,
      generator: manualSeed(0),
      ...options,
      onNotice,
    });
    return [...await latents.data()];
  };
  const plain = await draw({});
  assert.deepEqual(await draw({ negativePrompt: "ugly" }), plain);
  assert.match(notices.pop()!, /^The negative prompt has no effect: .* by a guidanceScale up to 0$/);
  const guided = await draw({ guidanceScale: 0.5 });
  assert.notDeepEqual(guided, plain);
  assert.deepEqual(await draw({ guidanceScale: 0.5, negativePrompt: "" }), guided);
  assert.notDeepEqual(await draw({ guidanceScale: 0.5, negativePrompt: "ugly" }), guided);
  assert.notDeepEqual(
    await draw({ guidanceScale: 4, cfgNormalization: true }),
    await draw({ guidanceScale: 4 }),
  );
  assert.deepEqual(notices, []);
});

Deno.test("behind cfgTruncation the model runs on the prompt alone", async () => {
  const rows: number[] = [];
  const { transformer } = pipeline.parts;
  const forward = transformer.forward;
  try {
    transformer.forward = function (x, ...rest) {
      rows.push(x.shape[0]!);
      return forward.call(this, x, ...rest) as never;
    };
    const truncated = { ...small, guidanceScale: 2, cfgTruncation: 0.3, numInferenceSteps: 4 };
    await pipeline.run({ ...truncated, prompt: [prompt, long], generator: manualSeed(0) });
  } finally {
    delete (transformer as Partial<typeof transformer>).forward;
  }
  assert.deepEqual(rows.slice(-4), [4, 4, 4, 2]); // times 0, 0.1, 0.25, 0.5
});

Deno.test("only the layers of the text encoder that are read are loaded", async () => {
  const { textEncoder } = pipeline.parts;
  const source = { dtype: "f32", subfolder: "text_encoder", defer: true } as const;
  using whole = await Qwen3Model.fromPretrained(folder, source);
  assert.equal(whole.config.num_hidden_layers, 4);
  const vectors = 4 * 20; // the norm behind the last layer
  const layer = whole.bytes - textEncoder.bytes - vectors;
  assert.equal(textEncoder.bytes, 3 * layer);
});

Deno.test("where memory is short, models leave for the next one, and the picture stays the same", async () => {
  const want = await pipeline.run({ ...small, prompt, generator: manualSeed(0) });
  const short = new ZImagePipeline({ ...pipeline.parts, memory: 1 });
  const { textEncoder, transformer, vae } = short.parts;
  const loaded = () => [textEncoder, transformer, vae].map((model) => model.loaded);
  const during: boolean[][] = [];
  const options = { ...small, prompt, onStep: () => during.push(loaded()) };
  const { images } = await short.run({ ...options, generator: manualSeed(0) });
  assert.deepEqual(during, [[false, true, false], [false, true, false]]);
  assert.deepEqual(loaded(), [false, false, true]);
  assert.deepEqual(await images.data(), await want.images.data());
});

Deno.test("streamed from the disk and recovered it draws the same to the bit", async () => {
  const want = await pipeline.run({ ...small, prompt, generator: manualSeed(0) });
  using streamed = await ZImagePipeline.fromPretrained(folder, { dtype: "f32", stream: true });
  const { images } = await streamed.run({ ...small, prompt, recover: true, generator: manualSeed(0) });
  assert.ok(streamed.parts.transformer.isStreamed);
  assert.deepEqual(await images.data(), await want.images.data());
});

Deno.test("six pictures take no more GPU memory than two, with guidance, from a picture and in a part of it", async () => {
  const image = rand([1, 3, 64, 48], { generator: manualSeed(5) });
  const mask = rand([1, 1, 64, 48], { generator: manualSeed(6) });
  await Promise.all([image.data(), mask.data()]);
  const told = { ...small, prompt, numImagesPerPrompt: 2 } as const;
  const guided = { ...told, guidanceScale: 2, negativePrompt: long, cfgNormalization: 0.7 } as const;
  const [img2img, inpaint] = [
    new ZImageImg2ImgPipeline(pipeline.parts),
    new ZImageInpaintPipeline(pipeline.parts),
  ];
  for (
    const draw of [
      () => pipeline.run(told),
      () => pipeline.run(guided),
      () => img2img.run({ ...told, image }),
      () => inpaint.run({ ...guided, image, mask }),
    ]
  ) {
    const bytes: number[] = [];
    for (let count = 0; count < 6; count++) {
      const { images, latents } = await draw();
      {
        using _read = scope(images, latents);
        await images.data();
      }
      bytes.push(device.buffers.usage().bytes);
    }
    assert.ok(bytes.slice(2).every((now) => now <= Math.max(...bytes.slice(0, 2))), bytes.join(", "));
  }
});

Deno.test("img2img goes on from another run's latents, and at strength 1 draws what noise alone draws", async () => {
  const img2img = new ZImageImg2ImgPipeline(pipeline.parts);
  const first = await pipeline.run({ ...small, prompt, generator: manualSeed(0), outputType: "latent" });
  const sized = { ...small, height: undefined, width: undefined };
  const again = await img2img.run({ ...sized, prompt: long, image: first.latents, generator: manualSeed(1) });
  assert.deepEqual(again.images.shape, [1, 3, 64, 48]);
  const noise = randn([1, 16, 8, 6], { generator: manualSeed(1) }); // latents draw no numbers
  const wholly = await img2img.run({
    ...sized,
    prompt,
    image: first.latents,
    strength: 1,
    generator: manualSeed(1),
  });
  const drawn = await pipeline.run({ ...small, prompt, latents: noise });
  await assertTensor(wholly.latents, await onHost(drawn.latents), bound, "latents");
  await assertRefused(
    img2img.run({ ...sized, prompt, image: zeros([1, 16, 7, 6]) }),
    /^Cannot change latents of a picture of 56 x 48: expected multiples of 16, got 56 x 48$/,
  );
});

Deno.test("inpainting leaves what the mask does not show as it was", async () => {
  const inpaint = new ZImageInpaintPipeline(pipeline.parts);
  const image = rand([1, 3, 64, 48], { generator: manualSeed(5) });
  const mask = zeros([1, 1, 64, 48]);
  const run = { ...small, prompt, image, outputType: "latent" } as const;
  const kept = await inpaint.run({ ...run, mask, generator: manualSeed(0) });
  const other = await inpaint.run({ ...run, prompt: long, mask, generator: manualSeed(0) });
  await assertTensor(kept.latents, await onHost(other.latents), 1e-6, "latents"); // those of the picture
  const none = { ...run } as unknown as Parameters<typeof inpaint.run>[0];
  await assertRefused(inpaint.run(none), /^Cannot inpaint: expected mask, got none$/);
});

Deno.test("a signal ends a run between two steps, and previews have a pixel for each latent", async () => {
  const controller = new AbortController();
  const seen: number[] = [];
  const onStep = (step: number) => {
    seen.push(step);
    controller.abort(new Error("enough"));
  };
  const run = { ...small, prompt, numInferenceSteps: 5 };
  await assert.rejects(pipeline.run({ ...run, signal: controller.signal, onStep }), /enough/);
  assert.deepEqual(seen, [0]);
  const sizes: number[][] = [];
  const write = ({ width, height }: Image) => void sizes.push([width, height]);
  await pipeline.run({ ...small, prompt, preview: { write } });
  assert.deepEqual(sizes.at(-1), [6, 8]);
});

Deno.test("DiffusionPipeline knows the folder, and a picture in f16 is near that in f32", async () => {
  using half = await DiffusionPipeline.fromPretrained(folder, { dtype: "f16" });
  assert.ok(half instanceof ZImagePipeline);
  const got = await half.run({ ...small, prompt, generator: manualSeed(0) });
  const want = await pipeline.run({ ...small, prompt, generator: manualSeed(0) });
  await assertTensor(got.latents!, await onHost(want.latents), 0.02, "latents");
});

const embeds = () => ({ promptEmbeds: zeros([1, 16, 20]) });
const without = { prompt: undefined };
const bad: Record<string, [options: () => Partial<ZImageRunOptions>, line: RegExp]> = {
  "a height that 16 does not divide": [
    () => ({ height: 72 }),
    /^Cannot draw with height 72: expected a multiple of 16 from 16, such as 80$/,
  ],
  "no steps": [() => ({ numInferenceSteps: 0 }), /^Cannot run with numInferenceSteps 0: /],
  "NaN as guidance": [
    () => ({ guidanceScale: NaN }),
    /^Cannot draw with guidanceScale NaN: expected a number$/,
  ],
  "NaN as a bound of guidance": [
    () => ({ cfgNormalization: NaN }),
    /^Cannot draw with cfgNormalization NaN: /,
  ],
  "half a picture a prompt": [
    () => ({ numImagesPerPrompt: 0.5 }),
    /^Cannot run with numImagesPerPrompt 0.5: /,
  ],
  "no tokens": [() => ({ maxSequenceLength: 0 }), /^Cannot run with maxSequenceLength 0: /],
  "no prompts": [() => ({ prompt: [] }), /^Cannot draw: expected a prompt, got an empty list$/],
  "neither prompt nor embeddings": [
    () => without,
    /^Cannot draw: expected a prompt or promptEmbeds, got neither$/,
  ],
  "both prompt and embeddings": [embeds, /^Cannot draw: expected a prompt or promptEmbeds, got both$/],
  "embeddings of another width": [
    () => ({ ...without, promptEmbeds: zeros([1, 16, 21]) }),
    /^Cannot draw: expected promptEmbeds \[B, N, 20\], got \[1, 16, 21\]$/,
  ],
  "lengths beyond the embeddings": [
    () => ({ ...without, ...embeds(), promptLengths: [17] }),
    /^Cannot draw: expected promptLengths as 1 whole numbers from 1 to 16, got \[17\]$/,
  ],
  "lengths without embeddings": [
    () => ({ promptLengths: [7] }),
    /^Cannot draw: expected promptEmbeds beside promptLengths, got none$/,
  ],
  "negative prompts of another number": [
    () => ({ guidanceScale: 2, negativePrompt: ["", ""] }),
    /^Cannot draw: expected one negative prompt or 1, as there are prompts, got 2$/,
  ],
  "latents of another shape": [
    () => ({ latents: zeros([1, 16, 8, 8]) }),
    /^Cannot draw: expected latents \[1, 16, 8, 6\], got \[1, 16, 8, 8\]$/,
  ],
  "sigmas that rise": [() => ({ sigmas: [0.5, 1] }), /^Cannot set sigmas: expected numbers that fall /],
  "an option of another pipeline": [
    () => ({ trueCfgScale: 2 }) as object,
    /^Cannot run ZImagePipeline with trueCfgScale: no such option; it is one of FluxPipeline, /,
  ],
};
for (const [what, [options, line]] of Object.entries(bad)) {
  Deno.test(`ZImagePipeline refuses ${what} in one line`, async () => {
    const { numInferenceSteps, ...rest } = small;
    const steps = "sigmas" in options() ? {} : { numInferenceSteps };
    await assertRefused(pipeline.run({ ...rest, ...steps, prompt, ...options() }), line);
  });
}

Deno.test("a picture higher than the model has positions for is refused in one line", async () => {
  await assertRefused(
    pipeline.run({ ...small, height: 16 * 513, prompt }),
    /^Cannot denoise: expected at most 512 rows of tokens, as axes_lens says, got 513; draw a lower picture$/,
  );
});

Deno.test("of a prompt of 10,000 words it is told what is left out, and lone surrogates are drawn", async () => {
  const notices: string[] = [];
  const onNotice = (line: string) => notices.push(line);
  const { images } = await pipeline.run({ ...small, prompt: "flower ".repeat(10_000), onNotice });
  assert.ok((await images.data()).every(Number.isFinite));
  assert.equal(notices.length, 1);
  assert.match(notices[0]!, /^The prompt is longer than 512 tokens; this is left out: [^\n]+$/);
  for (const text of ["\ud83d a 🐶 \udc36", "", "<|im_end|> <think>"]) {
    const { images } = await pipeline.run({ ...small, prompt: text });
    assert.ok((await images.data()).every(Number.isFinite));
  }
});

Deno.test("a folder without a part, or with another family's, is refused by name", async () => {
  using broken = new TestFolder();
  const index = JSON.parse(Deno.readTextFileSync(`${folder}/model_index.json`));
  broken.write(
    "model_index.json",
    JSON.stringify({ ...index, text_encoder: ["transformers", "T5EncoderModel"] }),
  );
  await assertRefused(
    ZImagePipeline.fromPretrained(broken.path),
    /^Cannot load the pipeline's text_encoder: expected Qwen3Model or Qwen3ForCausalLM, got T5EncoderModel; /,
  );
  await assertRefused(
    ZImagePipeline.fromPretrained(fixture("flux/pipeline")),
    /^Cannot load the pipeline's transformer: expected ZImageTransformer2DModel, got FluxTransformer2DModel; /,
  );
});
