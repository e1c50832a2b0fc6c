import assert from "node:assert/strict";
import { manualSeed, type Tensor, tensor } from "../../../src/mod.ts";
import {
  easyCache,
  StableDiffusionImg2ImgPipeline,
  StableDiffusionPipeline,
  StableDiffusionXLPipeline,
  type StepCache,
} from "../../../src/pipelines/mod.ts";
import { camelCased, readJson } from "../../conformance/json.ts";
import { readTensors } from "../../support/arrays.ts";
import { assertRelativelyClose } from "../../support/close.ts";
import { device } from "../../support/device.ts";
import { emoji, flower } from "../../support/emoji.ts";
import { fixture } from "../../support/fixtures.ts";
import { assertRefused } from "../../support/refused.ts";
import { assertTensor, onHost } from "../../support/tensors.ts";

/** What meta.json says of a run of diffusers. */
interface Run {
  pipeline: "StableDiffusionPipeline" | "StableDiffusionImg2ImgPipeline" | "StableDiffusionXLPipeline";
  seed: number;
  args: Record<string, unknown>;
}

const bound = 1e-3; // a whole loop in f32
const quiet = { outputType: "latent", progress: false, onNotice: () => {} } as const;

const runs = await readJson<Record<string, Run>>(fixture("pag_runs/meta.json"));
const expected = await readTensors(fixture("pag_runs/expected.safetensors"));

let sd: StableDiffusionPipeline;
let xl: StableDiffusionXLPipeline;
Deno.test.beforeAll(async () => {
  sd = await StableDiffusionPipeline.fromPretrained(emoji, { dtype: "f32" });
  xl = await StableDiffusionXLPipeline.fromPretrained(fixture("stable_diffusion_xl/pipeline"), {
    dtype: "f32",
  });
});
Deno.test.afterAll(() => [sd, xl, device].forEach((one) => one[Symbol.dispose]()));

for (const [name, run] of Object.entries(runs)) {
  Deno.test(`${run.pipeline} draws diffusers' latents with perturbed attention: ${name}`, async () => {
    const want = expected.get(`${name}/latents`)!;
    const latents = await draw(run);
    assert.deepEqual(latents.shape, want.shape);
    assertRelativelyClose(await latents.data(), want.data, bound, "latents");
    const without = await draw({ ...run, args: { ...run.args, pag_scale: 0 } });
    await assert.rejects(assertTensor(without, await onHost(latents), 10 * bound, "without"));
  });
}

async function draw({ pipeline, seed, args }: Run): Promise<Tensor> {
  const options = {
    ...camelCased(args) as { prompt: string; pagScale: number },
    ...quiet,
    generator: manualSeed(seed),
  };
  if (pipeline === "StableDiffusionXLPipeline") return (await xl.run(options)).latents;
  if (pipeline === "StableDiffusionPipeline") return (await sd.run(options)).latents;
  const { shape, data } = expected.get("image")!;
  const image = tensor(Float32Array.from(data), shape);
  return (await new StableDiffusionImg2ImgPipeline(sd.parts).run({ ...options, image })).latents;
}

Deno.test("the option of forward is what an edit of the same layers does", async () => {
  const { unet } = sd.parts;
  await unet.load();
  const args = [expectedInput(), 500, expectedStates()] as const;
  const { sample } = unet.forward(...args, { perturbedAttention: ["mid"] });
  const got = await onHost(sample);
  const [path] = unet.paths.filter((path) => /^mid_block\..*attn1\.attention$/.test(path));
  using _edit = unet.edit(path!, (_mixed, [, , values]) => values!);
  await assertTensor(unet.forward(...args).sample, got, 1e-6, "edited");
});

const expectedInput = () =>
  tensor(Float32Array.from({ length: 4 * 96 }, (_, i) => Math.sin(i)), [1, 4, 8, 12]);
const expectedStates = () => {
  const width = sd.parts.unet.config.cross_attention_dim;
  return tensor(Float32Array.from({ length: 32 * width }, (_, i) => Math.cos(i)), [1, 32, width]);
};

Deno.test("a step cache leaves the perturbed model out, too, where it would change little", async () => {
  const draw = async (cache?: StepCache) => {
    const options = {
      ...flower,
      ...quiet,
      numInferenceSteps: 5,
      pagScale: 2,
      generator: manualSeed(0),
      cache,
    };
    return (await sd.run(options)).latents;
  };
  const want = await onHost(await draw());
  await assertTensor(await draw(easyCache({ threshold: -1, warmupSteps: 0 })), want, 1e-5, "none left out");
  const some = await draw(easyCache({ threshold: 0.5, warmupSteps: 2 }));
  await assert.rejects(assertTensor(some, want, 1e-3, "some left out"));
});

Deno.test("layers that are not there are refused", async () => {
  const options = { ...flower, ...quiet, pagScale: 2 };
  await assertRefused(
    sd.run({ ...options, pagAppliedLayers: ["mid", "side"] }),
    /^Cannot perturb attention of UNet2DConditionModel in "side": no self-attention has it in its path; there is /,
  );
  await assertRefused(
    sd.run({ ...options, pagAppliedLayers: "mid(" }),
    /^Cannot perturb attention in "mid\(": expected a part of a path, or a regular expression/,
  );
  await assertRefused(sd.run({ ...options, pagScale: NaN }), /pagScale NaN: expected a number/);
});
