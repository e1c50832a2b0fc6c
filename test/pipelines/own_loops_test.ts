import assert from "node:assert/strict";
import { manualSeed, type Tensor, zeros } from "../../src/mod.ts";
import {
  DDPMPipeline,
  FluxPipeline,
  preview,
  StableDiffusionPipeline,
  type StableDiffusionRunOptions,
  StableDiffusionXLPipeline,
} from "../../src/pipelines/mod.ts";
import type { Image } from "../../src/io/images/image.ts";
import { device } from "../support/device.ts";
import { fixture } from "../support/fixtures.ts";
import { assertRefused } from "../support/refused.ts";
import { assertTensor, onHost } from "../support/tensors.ts";

const bound = 1e-5;
const models = `${import.meta.dirname}/../../models`;
const small = { height: 32, width: 32, numInferenceSteps: 2, outputType: "latent", progress: false } as const;

let sd: StableDiffusionPipeline;
let xl: StableDiffusionXLPipeline;
let flux: FluxPipeline;
Deno.test.beforeAll(async () => {
  sd = await StableDiffusionPipeline.fromPretrained(`${models}/emoji-diffusion`, { dtype: "f32" });
  xl = await StableDiffusionXLPipeline.fromPretrained(fixture("stable_diffusion_xl/pipeline"), {
    dtype: "f32",
  });
  flux = await FluxPipeline.fromPretrained(fixture("flux/pipeline"), { dtype: "f32" });
});
Deno.test.afterAll(() => {
  for (const one of [sd, xl, flux, device]) one[Symbol.dispose]();
});

const seed = () => ({ generator: manualSeed(3) });

for (
  const [name, told] of Object.entries({
    "one prompt": { prompt: "a red apple" },
    "two, with negative ones and layers skipped": {
      prompt: ["a red apple", "a cat"],
      negativePrompt: ["green", "a dog"],
      clipSkip: 1,
    },
  })
) {
  Deno.test(`Stable Diffusion draws by what encodePrompt() makes what it draws by the texts: ${name}`, async () => {
    const want = await sd.run({ ...small, ...told, ...seed() });
    const embeds = await sd.encodePrompt(told);
    for (let run = 0; run < 2; run++) { // what is given outlives the run
      const got = await sd.run({ ...small, ...embeds, ...seed() });
      await assertTensor(got.latents, await onHost(want.latents), bound, "latents");
    }
  });
}

Deno.test("embeddings are repeated for each picture, and stand beside a negative text", async () => {
  const { promptEmbeds } = await sd.encodePrompt({ prompt: "a red apple" });
  const options = { negativePrompt: "green", numImagesPerPrompt: 2 };
  const want = await sd.run({ ...small, ...options, prompt: "a red apple", ...seed() });
  const got = await sd.run({ ...small, ...options, promptEmbeds, ...seed() });
  await assertTensor(got.latents, await onHost(want.latents), bound, "latents");
});

Deno.test("SDXL and FLUX draw by what encodePrompt() makes what they draw by the texts", async () => {
  const told = { prompt: "a red apple", prompt2: "a green one", negativePrompt: "a dog" };
  const want = await xl.run({ ...small, ...told, ...seed() });
  const got = await xl.run({ ...small, ...await xl.encodePrompt(told), ...seed() });
  await assertTensor(got.latents, await onHost(want.latents), bound, "SDXL");
  const alone = await xl.run({ ...small, prompt: "a cat", ...seed() }); // the negative one is zeros
  const { promptEmbeds, pooledPromptEmbeds } = await xl.encodePrompt({ prompt: "a cat" });
  const given = await xl.run({ ...small, promptEmbeds, pooledPromptEmbeds, ...seed() });
  await assertTensor(given.latents, await onHost(alone.latents), bound, "SDXL without a negative prompt");

  const options = { ...small, maxSequenceLength: 16, trueCfgScale: 2 };
  const wanted = await flux.run({ ...options, ...told, ...seed() });
  const embeds = await flux.encodePrompt({ ...told, maxSequenceLength: 16 });
  const drawn = await flux.run({ ...small, trueCfgScale: 2, ...embeds, ...seed() });
  await assertTensor(drawn.latents, await onHost(wanted.latents), bound, "FLUX");
});

Deno.test("embeddings that do not fit are refused before anything is drawn", async () => {
  const { promptEmbeds, negativePromptEmbeds } = await sd.encodePrompt({ prompt: ["a", "b"] });
  const refused = (options: StableDiffusionRunOptions, line: RegExp) =>
    assertRefused(sd.run({ ...small, ...options }), line);
  await refused({}, /^Cannot draw: expected a prompt or promptEmbeds, got neither$/);
  await refused({ prompt: "a", promptEmbeds }, /^Cannot draw: expected a prompt or promptEmbeds, got both$/);
  await refused(
    { prompt: "a", negativePrompt: "b", negativePromptEmbeds },
    /^Cannot draw: expected a negative prompt or negativePromptEmbeds, got both$/,
  );
  await refused({ promptEmbeds, clipSkip: 1 }, /^Cannot draw with clipSkip and promptEmbeds: /);
  await refused(
    { promptEmbeds: zeros([1, 4, 7]) },
    /^Cannot draw: expected promptEmbeds \[B, N, 128\], got \[1, 4, 7\]$/,
  );
  await refused(
    { prompt: "a", negativePromptEmbeds },
    /^Cannot draw: expected negativePromptEmbeds \[1, N, 128\], got \[2, \d+, 128\]$/,
  );
  await refused(
    { promptEmbeds: promptEmbeds.slice(1, 0, 5), negativePromptEmbeds },
    /^Cannot draw: expected as many tokens in the prompt's embeddings and in the negative prompt's, got 5 and \d+; /,
  );
  const wrong = (options: object) => refused.bind(undefined, options as StableDiffusionRunOptions);
  await wrong({ prompt: "a", generator: 5 })(
    /^Cannot run StableDiffusionPipeline: expected a generator, e\.g\. manualSeed\(0\), or a list of them, got 5$/,
  );
  await wrong({ prompt: "a", onStep: 5 })(/: expected onStep to be a function, got number$/);
  await wrong({ promptEmbeds: [1] })(/: expected promptEmbeds to be a tensor, got object$/);
  const { promptEmbeds: states } = await xl.encodePrompt({ prompt: "a" });
  await assertRefused(
    xl.run({ ...small, promptEmbeds: states }),
    /^Cannot draw: expected pooledPromptEmbeds beside promptEmbeds, got none$/,
  );
  const both = await xl.encodePrompt({ prompt: "a" });
  const wide = both.pooledPromptEmbeds.shape[1]!;
  await assertRefused(
    xl.run({ ...small, ...both, pooledPromptEmbeds: zeros([1, wide - 1]) }),
    new RegExp(
      `^Cannot draw: expected pooledPromptEmbeds \\[1, ${wide}\\] beside promptEmbeds, got \\[1, ${
        wide - 1
      }\\]$`,
    ),
  );
  await assertRefused(
    xl.run({ ...small, ...both, negativePooledPromptEmbeds: zeros([2, wide]) }),
    new RegExp(
      `^Cannot draw: expected negativePooledPromptEmbeds \\[1, ${wide}\\] beside negativePromptEmbeds, got`,
    ),
  );
});

Deno.test("interrupt ends a run with what the model sees without noise at the step that comes", async () => {
  const eight = { prompt: "a red apple", numInferenceSteps: 8, ...seed() };
  const interruptedAfter = async (last: number) => {
    const interruption = new AbortController();
    const [shown, steps]: [Image[], number[]] = [[], []];
    const { latents } = await sd.run({
      ...small,
      ...eight,
      ...seed(),
      interrupt: interruption.signal,
      preview: { write: (picture) => void shown.push(picture) },
      onStep: (step) => {
        steps.push(step);
        if (step === last) interruption.abort();
      },
    });
    return { latents, steps, shown: shown.at(-1) };
  };
  const { latents, steps, shown } = await interruptedAfter(4);
  assert.deepEqual(steps, [0, 1, 2, 3, 4, 5]);
  assert.deepEqual(await preview(latents, sd.parts.vae), shown);
  const whole = await sd.run({ ...small, ...eight });
  const late = await interruptedAfter(7); // PNDM has 9 steps, the last of which comes anyway
  assert.deepEqual(await onHost(late.latents), await onHost(whole.latents));
});

Deno.test("onStep may return, or promise, the sample to go on with", async () => {
  const told = { ...small, prompt: "a red apple" };
  const want = await sd.run({ ...told, ...seed() });
  const same = await sd.run({ ...told, ...seed(), onStep: (_step, _t, sample) => sample.mul(2).div(2) });
  await assertTensor(same.latents, await onHost(want.latents), bound, "the same sample");

  const seen: number[] = [];
  const onStep = async (step: number, _t: number, sample: Tensor) => {
    seen.push(await sample.abs().max().item());
    return step === 2 ? sample.mul(0).add(7) : undefined;
  };
  const { latents } = await sd.run({ ...told, ...seed(), onStep });
  assert.ok(seen.every((value) => value > 0));
  assert.deepEqual(new Set(await latents.data()), new Set([7]));

  using pixels = await DDPMPipeline.fromPretrained(`${models}/emoji-ddpm`);
  const { images } = await pixels.run({
    numInferenceSteps: 2,
    progress: false,
    ...seed(),
    onStep: (_s, _t, x) => x.mul(0),
  });
  assert.deepEqual(new Set(await images.data()), new Set([0.5]));

  await assertRefused(
    sd.run({ ...told, onStep: (_step, _t, sample) => sample.slice(3, 1) }),
    /^Cannot go on from what onStep returned: expected a sample \[1, 4, 8, 8\] or nothing, got tensor \[1, 4, 8, 7\] f32$/,
  );
  await assertRefused(
    sd.run({ ...told, onStep: (_step, _t, latents) => ({ latents }) }),
    /^Cannot go on from what onStep returned: expected a sample \[1, 4, 8, 8\] or nothing, got another object$/,
  );
});

Deno.test("two runs of one pipeline side by side draw what each draws alone", async () => {
  const alone = async (run: (seed: number) => Promise<{ images: Tensor }>) => {
    const wanted = [await run(1), await run(2)];
    const got = await Promise.all([run(1), run(2)]);
    for (const [i, { images }] of got.entries()) {
      await assertTensor(images, await onHost(wanted[i]!.images), bound, `run ${i}`);
    }
  };
  const options = { progress: false, numInferenceSteps: 3, outputType: "latent" } as const;
  await alone((n) =>
    sd.run({ ...options, prompt: `${n} cats`, height: 32, width: 32, generator: manualSeed(n) })
  );
  await alone((n) =>
    flux.run({ ...options, prompt: `${n} cats`, height: 32, width: 32, generator: manualSeed(n) })
  );
  using pixels = await DDPMPipeline.fromPretrained(`${models}/emoji-ddpm`);
  await alone((n) => pixels.run({ progress: false, numInferenceSteps: 3, generator: manualSeed(n) }));
});
