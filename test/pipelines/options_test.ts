import assert from "node:assert/strict";
import { manualSeed, randn } from "../../src/mod.ts";
import { CLIPTextModel } from "../../src/models/mod.ts";
import {
  DDPMPipeline,
  DiffusionPipeline,
  FluxPipeline,
  StableDiffusionImg2ImgPipeline,
  StableDiffusionPipeline,
  StableDiffusionXLImg2ImgPipeline,
  StableDiffusionXLPipeline,
} from "../../src/pipelines/mod.ts";
import { LOAD_OPTIONS } from "../../src/io/load_options.ts";
import type { LoadOptions } from "../../src/models/runtime/load.ts";
import type { PipelineOptions } from "../../src/pipelines/model_index.ts";
import { DDIMScheduler, TCDScheduler } from "../../src/schedulers/mod.ts";
import { CLIPTokenizer } from "../../src/tokenizers/mod.ts";
import { device } from "../support/device.ts";

const root = `${import.meta.dirname}/../..`;
const emoji = `${root}/models/emoji-diffusion`;
const ddpm = `${root}/models/emoji-ddpm`;
const told = { prompt: "a nice flower", numInferenceSteps: 1, progress: false } as const;
LOAD_OPTIONS satisfies Record<keyof LoadOptions | keyof PipelineOptions, true>;

/** Options as JavaScript may give them. */
// deno-lint-ignore no-explicit-any
const any = (options: object): any => options;

let sd: StableDiffusionPipeline;
let xl: StableDiffusionXLPipeline;
let flux: FluxPipeline;
let unconditional: DDPMPipeline;
Deno.test.beforeAll(async () => {
  sd = await StableDiffusionPipeline.fromPretrained(emoji);
  xl = await StableDiffusionXLPipeline.fromPretrained(`${root}/test/fixtures/stable_diffusion_xl/pipeline`);
  flux = await FluxPipeline.fromPretrained(`${root}/test/fixtures/flux/pipeline`);
  unconditional = await DDPMPipeline.fromPretrained(ddpm);
});
Deno.test.afterAll(() => {
  for (const owned of [sd, xl, flux, unconditional, device]) owned[Symbol.dispose]();
});

/** By what is told: what is told it, and the line that refuses it. */
const refused: Record<string, [work: () => Promise<unknown>, line: RegExp]> = {
  "run({ guidance_scale })": [
    () => sd.run({ ...told, ...any({ guidance_scale: 5 }) }),
    /^Cannot run StableDiffusionPipeline with guidance_scale: no such option; did you mean guidanceScale\?$/,
  ],
  "run({ num_inference_step })": [
    () => flux.run(any({ prompt: "x", num_inference_step: 5 })),
    /^Cannot run FluxPipeline with num_inference_step: no such option; did you mean numInferenceSteps\?$/,
  ],
  "run({ strenth }) of a pipeline that changes pictures": [
    () => new StableDiffusionImg2ImgPipeline(sd.parts).run({ ...told, ...any({ strenth: 0.5 }) }),
    /^Cannot run StableDiffusionImg2ImgPipeline with strenth: no such option; did you mean strength\?$/,
  ],
  "run({ strength }) of one that does not": [
    () => sd.run({ ...told, ...any({ strength: 0.5 }) }),
    /^Cannot run StableDiffusionPipeline with strength: no such option; it is one of StableDiffusionImg2Img/,
  ],
  "run({ prompt }) of a DDPM": [
    () => unconditional.run(any({ prompt: "a cat" })),
    /^Cannot run DDPMPipeline with prompt: no such option; it is one of StableDiffusionPipeline, /,
  ],
  "run({ trueCfgScale }) of Stable Diffusion": [
    () => sd.run({ ...told, ...any({ trueCfgScale: 2 }) }),
    /: no such option; it is one of FluxPipeline, FluxImg2ImgPipeline\b/,
  ],
  "run({ maxSequenceLength }) of SDXL": [
    () => xl.run({ ...told, ...any({ maxSequenceLength: 77 }) }),
    /: no such option; it is one of FluxPipeline, FluxImg2ImgPipeline\b/,
  ],
  "run({ outputType: 'pil' })": [
    () => sd.run({ ...told, ...any({ outputType: "pil" }) }),
    /^Cannot run StableDiffusionPipeline with outputType "pil": leave it out for pictures, /,
  ],
  "run({ promptSyntax }) of FLUX": [
    () => flux.run({ ...told, ...any({ promptSyntax: "a1111" }) }),
    /^Cannot run FluxPipeline with promptSyntax: no such option; it is one of StableDiffusionPipeline, /,
  ],
  "encodePrompt({ promptSyntax }) of FLUX": [
    () => flux.encodePrompt({ prompt: "a", ...any({ promptSyntax: "a1111" }) }),
    /^Cannot encode prompts for FluxPipeline with promptSyntax: no such option; it is one of StableDiffusionPipe/,
  ],
  "encodePrompt({ clip_skip }) of Stable Diffusion": [
    () => sd.encodePrompt({ prompt: "a", ...any({ clip_skip: 1 }) }),
    /^Cannot encode prompts for StableDiffusionPipeline with clip_skip: no such option; did you mean clipSkip\?$/,
  ],
  "run({ generator: 5 })": [
    () => sd.run({ ...told, ...any({ generator: 5 }) }),
    /^Cannot run StableDiffusionPipeline: expected a generator, e\.g\. manualSeed\(0\), or a list of them, got 5$/,
  ],
  "run({ image: 'a.png' })": [
    () => new StableDiffusionImg2ImgPipeline(sd.parts).run({ ...told, ...any({ image: "a.png" }) }),
    /^Cannot run StableDiffusionImg2ImgPipeline: expected image to be a tensor, got string; /,
  ],
  "run({ eta: 0.5 }) with PNDM": [
    () => sd.run({ ...told, eta: 0.5 }),
    /^Cannot draw with eta 0\.5 and PNDMScheduler: it is for DDIMScheduler and TCDScheduler$/,
  ],
  "run({ aestheticScore }) of the base model": [
    () =>
      new StableDiffusionXLImg2ImgPipeline(xl.parts).run({
        ...told,
        image: picture(),
        aestheticScore: 7,
        strength: 1,
      }),
    /^Cannot draw with aestheticScore: the base model takes none; it is for the refiner$/,
  ],
  "run({ strength, denoisingStart })": [
    () =>
      new StableDiffusionXLImg2ImgPipeline(xl.parts).run({
        ...told,
        image: picture(),
        strength: 0.5,
        denoisingStart: 0.5,
      }),
    /^Cannot draw with strength and denoisingStart: expected one of them, got both$/,
  ],
  "run({ sigmas, numInferenceSteps })": [
    () => flux.run({ ...told, sigmas: [1, 0.5] }),
    /^Cannot draw in 1 steps: expected as many as sigmas, 2; leave it out$/,
  ],
  "loadLoraWeights({ adapter_name })": [
    () => sd.loadLoraWeights("style.safetensors", any({ adapter_name: "style" })),
    /^Cannot load style\.safetensors with adapter_name: no such option; did you mean adapterName\?$/,
  ],
  "run({ preview: { evry } })": [
    () => sd.run({ ...told, preview: any({ evry: 5, write() {} }) }),
    /^Cannot show previews with evry: no such option; did you mean every\?$/,
  ],
  "fromPretrained({ torch_dtype })": [
    () => DiffusionPipeline.fromPretrained(emoji, any({ torch_dtype: "float16" })),
    /^Cannot load .*emoji-diffusion with torch_dtype: no such option; did you mean dtype\?$/,
  ],
  "fromPretrained({ dtype: 'fp16' })": [
    () => DiffusionPipeline.fromPretrained(emoji, any({ dtype: "fp16" })),
    /^Cannot load .*emoji-diffusion with dtype fp16: expected f32 or f16; did you mean f16\?$/,
  ],
  "fromPretrained({ quantize: '8bit' }) of a model": [
    () => CLIPTextModel.fromPretrained(emoji, any({ subfolder: "text_encoder", quantize: "8bit" })),
    /^Cannot load .*emoji-diffusion with quantize 8bit: expected int8 or int4/,
  ],
  "fromPretrained({ base }) of a folder": [
    () => DiffusionPipeline.fromPretrained(emoji, { base: emoji }),
    /^Cannot load .*emoji-diffusion with base: it is for single files; folders and repositories say it themselves$/,
  ],
  "fromPretrained({ subfoldr }) of a tokenizer": [
    () => CLIPTokenizer.fromPretrained(emoji, any({ subfoldr: "tokenizer" })),
    /^Cannot load .*emoji-diffusion with subfoldr: no such option; did you mean subfolder\?$/,
  ],
  "fromPretrained({ beta_start }) of a scheduler": [
    () => DDIMScheduler.fromPretrained(emoji, any({ beta_start: 0.1 })),
    /^Cannot load .*emoji-diffusion with beta_start: no such option; /,
  ],
};
for (const [what, [work, line]] of Object.entries(refused)) {
  Deno.test(`${what} is refused in one line`, async () => {
    await assert.rejects(work, { message: line });
  });
}

Deno.test("options that are undefined count as left out, and eta goes with TCD", async () => {
  const scheduler = TCDScheduler.fromConfig(sd.parts.scheduler.config);
  const pipeline = new StableDiffusionPipeline({ ...sd.parts, scheduler });
  const { latents } = await pipeline.run({
    ...told,
    eta: 0.5,
    height: 16,
    width: 16,
    ...any({ strength: undefined }),
  });
  assert.deepEqual(latents.shape, [1, 4, 4, 4]);
});

Deno.test("a negative prompt without guidance is told", async () => {
  const notices: string[] = [];
  const small = { ...told, height: 16, width: 16, onNotice: (line: string) => notices.push(line) };
  await sd.run({ ...small, guidanceScale: 1, negativePrompt: "blue", guidanceRescale: 0.7 });
  assert.equal(notices.length, 2);
  assert.match(notices[0]!, /^The negative prompt has no effect: the model runs without guidance/);
  assert.match(notices[1]!, /^guidanceRescale 0\.7 has no effect: /);
  await sd.run({ ...small, guidanceScale: 2, negativePrompt: "blue" });
  assert.equal(notices.length, 2);
});

function picture() {
  return randn([1, 3, 32, 32], { generator: manualSeed(0) }).clamp(0, 1);
}
