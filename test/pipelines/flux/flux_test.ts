import assert from "node:assert/strict";
import { type Image, manualSeed, rand, randn, scope, zeros } from "../../../src/mod.ts";
import {
  FluxImg2ImgPipeline,
  FluxPipeline,
  type FluxRunOptions,
  packLatents,
  unpackLatents,
} from "../../../src/pipelines/mod.ts";
import { embedPrompts } from "../../../src/pipelines/flux/prompts.ts";
import { device } from "../../support/device.ts";
import { fixture } from "../../support/fixtures.ts";
import { assertRefused } from "../../support/refused.ts";
import { assertTensor, onHost } from "../../support/tensors.ts";

const bound = 1e-3; // a whole loop in f32
const prompt = "a nice flower";
const small = {
  height: 64,
  width: 48,
  numInferenceSteps: 2,
  maxSequenceLength: 16,
  progress: false,
} as const;

let pipeline: FluxPipeline;
let img2img: FluxImg2ImgPipeline;
Deno.test.beforeAll(async () => {
  pipeline = await FluxPipeline.fromPretrained(fixture("flux/pipeline"), { dtype: "f32" });
  img2img = new FluxImg2ImgPipeline(pipeline.parts);
});
Deno.test.afterAll(() => {
  pipeline[Symbol.dispose]();
});

Deno.test("packLatents() makes tokens of 2×2 latents, and unpackLatents() the latents again", async () => {
  const x = randn([2, 3, 4, 6], { generator: manualSeed(0) });
  const packed = packLatents(x);
  assert.deepEqual(packed.shape, [2, 6, 12]);
  const values = await x.data();
  const at = (b: number, c: number, y: number, x: number) => values[((b * 3 + c) * 4 + y) * 6 + x];
  const token = [0, 1, 2].flatMap((c) => [at(1, c, 2, 4), at(1, c, 2, 5), at(1, c, 3, 4), at(1, c, 3, 5)]);
  assert.deepEqual([...await packed.slice(0, 1, 2).slice(1, 5, 6).data()], token); // the last token of the second row
  assert.deepEqual(await unpackLatents(packed, [4, 6]).data(), values);
});

Deno.test("a picture of a batch is the one that its prompt and its generator draw alone", async () => {
  const generator = [0, 1].map((seed) => manualSeed(seed));
  const both = await pipeline.run({ ...small, prompt: ["red", prompt], generator });
  const alone = await pipeline.run({ ...small, prompt, generator: manualSeed(1) });
  assert.deepEqual(both.images.shape, [2, 3, 64, 48]);
  assert.deepEqual(both.latents.shape, [2, 12, 64]);
  await assertTensor(both.latents.chunk(2)[1], await onHost(alone.latents), bound, "the second");
});

Deno.test("several pictures of a prompt each follow their own generator", async () => {
  const generator = [0, 1].map((seed) => manualSeed(seed));
  const both = await pipeline.run({ ...small, prompt, numImagesPerPrompt: 2, generator });
  const alone = await pipeline.run({ ...small, prompt, generator: manualSeed(1) });
  await assertTensor(both.latents.chunk(2)[1], await onHost(alone.latents), bound, "the second");
});

Deno.test("noise and embeddings may be given in place of a generator and a prompt", async () => {
  const drawn = await pipeline.run({ ...small, prompt, generator: manualSeed(3) });
  const { embeddings: [first] } = await embedPrompts(pipeline.parts, {
    prompt,
    maxSequenceLength: 16,
  });
  const { states, pooled } = first!;
  const latents = packLatents(randn([1, 16, 8, 6], { generator: manualSeed(3) }));
  const given = { ...small, promptEmbeds: states, pooledPromptEmbeds: pooled, latents };
  for (let run = 0; run < 2; run++) { // what is given outlives the run
    await assertTensor((await pipeline.run(given)).latents, await onHost(drawn.latents), bound, "latents");
  }
});

Deno.test("a negative prompt counts from a trueCfgScale over 1 on, and T5 may be told another one", async () => {
  const notices: string[] = [];
  const draw = async (options: Partial<FluxRunOptions>) => {
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
  assert.match(notices.pop()!, /^The negative prompt has no effect: /);
  assert.deepEqual(await draw({ trueCfgScale: 2 }), plain);
  assert.match(notices.pop()!, /^trueCfgScale 2 has no effect: there is no negative prompt; /);
  const guided = await draw({ trueCfgScale: 2, negativePrompt: "ugly" });
  assert.notDeepEqual(guided, plain);
  assert.notDeepEqual(
    await draw({ trueCfgScale: 2, negativePrompt: "ugly", negativePrompt2: "red" }),
    guided,
  );
  assert.deepEqual(notices, []);
});

Deno.test("negative embeddings of another length run beside the prompt's as those of the same length do", async () => {
  const given = async (maxSequenceLength: number) => {
    const { embeddings: [first] } = await embedPrompts(pipeline.parts, {
      prompt: "ugly",
      maxSequenceLength,
    });
    return { negativePromptEmbeds: first!.states, negativePooledPromptEmbeds: first!.pooled };
  };
  const run = { ...small, prompt, trueCfgScale: 2, generator: manualSeed(0) };
  const same = await pipeline.run({ ...run, ...await given(16), generator: manualSeed(0) });
  const texts = await pipeline.run({ ...run, negativePrompt: "ugly", generator: manualSeed(0) });
  await assertTensor(same.latents, await onHost(texts.latents), bound, "given");
  const other = await pipeline.run({ ...run, ...await given(24), generator: manualSeed(0) });
  const want = await onHost(texts.latents);
  assert.deepEqual(other.latents.shape, want.shape);
  const mean = (values: ArrayLike<number>) =>
    Array.from(values, Math.abs).reduce((a, b) => a + b) / values.length;
  const off = mean((await other.latents.data()).map((value, i) => value - want.data[i]!)) / mean(want.data);
  assert.ok(off > 0 && off < 0.2, `off by ${off}`); // more fillers read, little else
});

Deno.test("sigmas of one's own are visited, shifted as the scheduler's config says", async () => {
  const seen: number[] = [];
  const onStep = (_: number, t: number) => seen.push(t);
  await pipeline.run({ ...small, prompt, numInferenceSteps: 3, sigmas: [1, 0.7, 0.3], onStep });
  const mu = 0.5 + (1.15 - 0.5) / (4096 - 256) * (12 - 256);
  const shifted = [1, 0.7, 0.3].map((sigma) => 1000 * Math.exp(mu) / (Math.exp(mu) + (1 / sigma - 1)));
  seen.forEach((t, i) => assert.ok(Math.abs(t - shifted[i]!) < 1e-3, `${t} instead of ${shifted[i]}`));
  assert.equal(seen.length, 3);
});

Deno.test("a signal ends a run between two steps", async () => {
  const controller = new AbortController();
  const seen: number[] = [];
  const onStep = (step: number) => {
    seen.push(step);
    controller.abort(new Error("enough"));
  };
  const run = pipeline.run({ ...small, prompt, numInferenceSteps: 5, signal: controller.signal, onStep });
  await assert.rejects(run, /enough/);
  assert.deepEqual(seen, [0]);
});

Deno.test("img2img begins with the picture's own latents and the more noise, the stronger it is", async () => {
  const image = rand([1, 3, 32, 64], { generator: manualSeed(5) });
  const run = { prompt, image, numInferenceSteps: 10, maxSequenceLength: 16, progress: false } as const;
  const steps: number[] = [];
  for (const strength of [0.05, 0.25, 1]) { // as in diffusers 28 · 0.6 = 16.8 are 17 steps
    let count = 0;
    const { images } = await img2img.run({
      ...run,
      strength,
      generator: manualSeed(0),
      onStep: () => count++,
    });
    assert.deepEqual(images.shape, [1, 3, 32, 64]);
    steps.push(count);
  }
  assert.deepEqual(steps, [1, 3, 10]);
});

Deno.test("at strength 1 img2img draws what noise alone draws", async () => {
  const image = rand([1, 3, 64, 48], { generator: manualSeed(5) });
  const generator = manualSeed(0);
  randn([1, 16, 8, 6], { generator }); // of the picture's latents
  const noise = randn([1, 16, 8, 6], { generator });
  const changed = await img2img.run({
    ...small,
    prompt,
    image,
    strength: 1,
    guidanceScale: 3.5,
    generator: manualSeed(0),
  });
  const drawn = await pipeline.run({ ...small, prompt, latents: packLatents(noise) });
  await assertTensor(changed.latents, await onHost(drawn.latents), bound, "latents");
});

Deno.test("where memory is short, models leave for the next one, and the picture stays the same", async () => {
  const want = await pipeline.run({ ...small, prompt, generator: manualSeed(0) });
  const short = new FluxPipeline({ ...pipeline.parts, memory: 1 });
  const { textEncoder, textEncoder2, transformer, vae } = short.parts;
  const models = [textEncoder, textEncoder2, transformer, vae];
  const loaded = () => models.map((model) => model.loaded);
  assert.deepEqual(loaded(), [true, true, true, true]);
  const during: boolean[][] = [];
  const options = { ...small, prompt, onStep: () => during.push(loaded()) };
  const { images } = await short.run({ ...options, generator: manualSeed(0) });
  assert.deepEqual(during, [[false, false, true, false], [false, false, true, false]]);
  assert.deepEqual(loaded(), [false, false, false, true]);
  assert.deepEqual(await images.data(), await want.images.data());
});

Deno.test("six pictures take no more GPU memory than two, with guidance and from a picture too", async () => {
  const image = rand([1, 3, 64, 48], { generator: manualSeed(5) });
  await image.data();
  const told = { ...small, prompt, numImagesPerPrompt: 2 } as const;
  const guided = { ...told, trueCfgScale: 2, negativePrompt: "ugly" } as const;
  for (
    const draw of [
      () => pipeline.run(told),
      () => pipeline.run(guided),
      () => img2img.run({ ...told, image }),
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

Deno.test("previews have a pixel for each latent, and outputType latent leaves the decoder out", async () => {
  const sizes: number[][] = [];
  const write = ({ width, height }: Image) => void sizes.push([width, height]);
  const { images, latents } = await pipeline.run({
    ...small,
    prompt,
    preview: { write },
    outputType: "latent",
  });
  assert.deepEqual(sizes.at(-1), [6, 8]);
  assert.equal(images, latents);
});

const embeds = () => ({ promptEmbeds: zeros([1, 16, 16]), pooledPromptEmbeds: zeros([1, 12]) });
const without = { prompt: undefined };
const bad: Record<string, [options: () => Partial<FluxRunOptions>, line: RegExp]> = {
  "a height that 16 does not divide": [
    () => ({ height: 72 }),
    /^Cannot draw with height 72: expected a multiple of 16 from 16, such as 80$/,
  ],
  "a width of 0": [() => ({ width: 0 }), /^Cannot draw with width 0: /],
  "no steps": [() => ({ numInferenceSteps: 0 }), /^Cannot run with numInferenceSteps 0: /],
  "NaN as guidance": [
    () => ({ guidanceScale: NaN }),
    /^Cannot draw with guidanceScale NaN: expected a number$/,
  ],
  "NaN as true guidance": [
    () => ({ trueCfgScale: NaN }),
    /^Cannot draw with trueCfgScale NaN: expected a number$/,
  ],
  "half a picture a prompt": [
    () => ({ numImagesPerPrompt: 0.5 }),
    /^Cannot run with numImagesPerPrompt 0.5: /,
  ],
  "more tokens than T5 was trained for": [
    () => ({ maxSequenceLength: 513 }),
    /^Cannot draw with maxSequenceLength 513: expected a whole number from 1 to 512$/,
  ],
  "no tokens": [() => ({ maxSequenceLength: 0 }), /^Cannot draw with maxSequenceLength 0: /],
  "no prompts": [() => ({ prompt: [] }), /^Cannot draw: expected a prompt, got an empty list$/],
  "neither prompt nor embeddings": [() => without, /^Cannot draw: expected a prompt, or promptEmbeds with /],
  "both prompt and embeddings": [embeds, /^Cannot draw: expected a prompt or promptEmbeds, got both$/],
  "embeddings without the pooled ones": [
    () => ({ ...without, promptEmbeds: embeds().promptEmbeds }),
    /^Cannot draw: expected pooledPromptEmbeds beside promptEmbeds, got none$/,
  ],
  "embeddings of another width": [
    () => ({ ...without, ...embeds(), promptEmbeds: zeros([1, 16, 15]) }),
    /^Cannot draw: expected promptEmbeds \[B, N, 16\], got \[1, 16, 15\]$/,
  ],
  "pooled embeddings of another number": [
    () => ({ ...without, ...embeds(), pooledPromptEmbeds: zeros([2, 12]) }),
    /^Cannot draw: expected pooledPromptEmbeds \[1, 12\] beside promptEmbeds, got \[2, 12\]$/,
  ],
  "negative embeddings beside a negative prompt": [
    () => ({
      negativePrompt: "",
      negativePromptEmbeds: embeds().promptEmbeds,
      negativePooledPromptEmbeds: embeds().pooledPromptEmbeds,
    }),
    /^Cannot draw: expected a negative prompt or negativePromptEmbeds, got both$/,
  ],
  "negative prompts of another number": [
    () => ({ trueCfgScale: 2, negativePrompt: ["", ""] }),
    /^Cannot draw: expected one negative prompt or 1, as there are prompts, got 2$/,
  ],
  "second prompts of another number": [
    () => ({ prompt2: ["", ""] }),
    /^Cannot draw: expected one prompt2 or 1, as there are prompts, got 2$/,
  ],
  "latents of another shape": [
    () => ({ latents: zeros([1, 16, 8, 6]) }),
    /^Cannot draw: expected latents \[1, 12, 64\], as packLatents makes them, got \[1, 16, 8, 6\]$/,
  ],
  "sigmas that rise": [() => ({ sigmas: [0.5, 1] }), /^Cannot set sigmas: expected numbers that fall /],
  "a list of generators of another length": [
    () => ({ generator: [manualSeed(0), manualSeed(1)] }),
    /^Cannot draw a tensor .*: expected one generator or 1, got 2$/,
  ],
};
for (const [what, [options, line]] of Object.entries(bad)) {
  Deno.test(`FluxPipeline refuses ${what} in one line`, async () => {
    await assertRefused(pipeline.run({ ...small, prompt, ...options() }), line);
  });
}

Deno.test("img2img refuses no picture, a picture of fewer than 16 rows, and a strength of 0", async () => {
  const image = zeros([1, 3, 32, 32]);
  const run = { ...small, prompt };
  const none = { ...run } as unknown as Parameters<typeof img2img.run>[0];
  await assertRefused(img2img.run(none), /^Cannot change a picture: expected image, got none$/);
  await assertRefused(
    img2img.run({ ...run, height: undefined, image: zeros([1, 3, 15, 32]) }),
    /^Cannot change a picture of height 15: /,
  );
  await assertRefused(
    img2img.run({ ...run, image: zeros([3, 32, 32]) }),
    /^Cannot change a picture: expected \[1, 3, /,
  );
  await assertRefused(img2img.run({ ...run, image, strength: 0 }), /^Cannot slice by strength: /);
});

Deno.test("of a prompt of 10,000 words both encoders tell what they leave out", async () => {
  const notices: string[] = [];
  const onNotice = (line: string) => notices.push(line);
  const { images } = await pipeline.run({ ...small, prompt: "flower ".repeat(10_000), onNotice });
  assert.ok((await images.data()).every(Number.isFinite));
  assert.equal(notices.length, 2);
  assert.match(notices[0]!, /^CLIP reads 77 tokens of a prompt; it leaves out: [^\n]+$/);
  assert.match(notices[1]!, /^T5 reads 16 tokens of a prompt; it leaves out: [^\n]+$/);
});

Deno.test("a prompt of lone surrogates and emoji is drawn, and the empty one", async () => {
  for (const text of ["\ud83d a 🐶 \udc36", ""]) {
    const { images } = await pipeline.run({ ...small, prompt: text });
    assert.ok((await images.data()).every(Number.isFinite));
  }
});
