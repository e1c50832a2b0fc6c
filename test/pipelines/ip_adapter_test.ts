import assert from "node:assert/strict";
import { loadImage, manualSeed, type Tensor } from "../../src/mod.ts";
import {
  AutoencoderKL,
  clipPixels,
  CLIPVisionModelWithProjection,
  UNet2DConditionModel,
} from "../../src/models/mod.ts";
import {
  type IPAdapterScale,
  StableDiffusionPipeline,
  StableDiffusionXLPipeline,
} from "../../src/pipelines/mod.ts";
import { UniPCMultistepScheduler } from "../../src/schedulers/mod.ts";
import { cat } from "../../src/tensor/mod.ts";
import { readTensors } from "../support/arrays.ts";
import { TestFolder } from "../support/files.ts";
import { fixture } from "../support/fixtures.ts";
import { readRaw, safetensorsOf } from "../support/raw_tensors.ts";
import { assertTensor, onHost, upload } from "../support/tensors.ts";
import { device } from "../support/device.ts";

const folder = fixture("ip_adapter");
const base = fixture("controlnet");

/** A run of diffusers. */
interface Run {
  name: string;
  xl: boolean;
  adapters: string[];
  images: (string | string[])[];
  scale: unknown;
  options: { guidance_scale?: number; num_images_per_prompt?: number };
}

const runs = JSON.parse(await Deno.readTextFile(`${folder}/runs.json`)) as Run[];
const stored = await readTensors(`${folder}/runs.safetensors`);
const picture = (name: string) => loadImage(`${base}/${name}.png`);

/** Scales by module path of those that diffusers gives by block; null where it has no such form. */
const STYLED: IPAdapterScale = { "up_blocks.1.attentions.1": 1 };

Deno.test("CLIPVisionModelWithProjection sees pictures as transformers does", async () => {
  using vision = await CLIPVisionModelWithProjection.fromPretrained(folder, {
    subfolder: "image_encoder",
    dtype: "f32",
  });
  const want = await readTensors(`${folder}/vision.safetensors`);
  const { imageEmbeds, lastHiddenState, hiddenStates } = vision.forward(upload(want.get("pixels")!));
  await assertTensor(imageEmbeds, want.get("image_embeds")!, 1e-5, "embeds");
  await assertTensor(lastHiddenState, want.get("last_hidden_state")!, 1e-5, "last state");
  for (const [i, state] of hiddenStates.entries()) {
    await assertTensor(state, want.get(`hidden_states.${i}`)!, 1e-5, `state ${i}`);
  }
  const pixels: Tensor[] = [];
  for (const name of ["control", "second"]) pixels.push(await clipPixels(await picture(name), 30));
  await assertTensor(cat(pixels), want.get("pixels")!, 1e-6, "pixels");
});

async function open(xl: boolean) {
  const parts = {
    unet: await UNet2DConditionModel.fromPretrained(`${base}/${xl ? "unet_xl" : "unet"}`, { dtype: "f32" }),
    vae: await AutoencoderKL.fromPretrained(`${base}/vae`, { dtype: "f32" }),
    scheduler: new UniPCMultistepScheduler({
      beta_schedule: "scaled_linear",
      beta_start: 0.00085,
      beta_end: 0.012,
      steps_offset: 1,
    }),
  };
  // deno-lint-ignore no-explicit-any
  return xl ? new StableDiffusionXLPipeline(parts as any) : new StableDiffusionPipeline(parts as any);
}

const small = { height: 24, width: 32, numInferenceSteps: 3, outputType: "latent", progress: false } as const;

function told({ xl, options }: Pick<Run, "xl" | "options">) {
  const guidanceScale = options.guidance_scale ?? 5;
  const names = ["prompt_embeds", ...xl ? ["pooled_prompt_embeds"] : []];
  const all = guidanceScale > 1 ? names.flatMap((name) => [name, `negative_${name}`]) : names;
  const camel = (name: string) => name.replaceAll(/_(.)/g, (_, letter) => letter.toUpperCase());
  return {
    ...Object.fromEntries(all.map((name) => [camel(name), upload(stored.get(name)!)])),
    guidanceScale,
    numImagesPerPrompt: options.num_images_per_prompt,
    generator: manualSeed(3),
  };
}

for (const run of runs) {
  Deno.test(`IP-Adapters draw what they draw in diffusers: ${run.name}`, async () => {
    using pipeline = await open(run.xl);
    for (const weightName of run.adapters) await pipeline.loadIpAdapter(folder, { weightName });
    const scale = run.name === "styled" ? STYLED : run.scale as number | number[];
    pipeline.setIpAdapterScale(scale);
    const ipAdapterImage: Tensor[] = [];
    for (const names of run.images) {
      const pictures: Tensor[] = [];
      for (const name of [names].flat()) pictures.push(await picture(name));
      ipAdapterImage.push(cat(pictures));
    }
    const { latents } = await pipeline.run({ ...small, ...told(run), ipAdapterImage });
    await assertTensor(latents, stored.get(`${run.name}/latents`)!, 1e-4, "latents");
  });
}

Deno.test("embeddings stand for pictures, and an adapter that is taken off leaves no trace", async () => {
  using pipeline = await open(false);
  const options = () => ({ ...small, ...told({ xl: false, options: {} }) });
  const plain = await onHost((await pipeline.run(options())).latents);
  await pipeline.loadIpAdapter(`${folder}/plain.bin`, { scale: 0.8 });
  const image = await picture("control");
  const seen = await onHost((await pipeline.run({ ...options(), ipAdapterImage: image })).latents);
  const vision = pipeline.parts.imageEncoder!;
  await vision.load();
  const embeds = vision.forward(await clipPixels(image, 30)).imageEmbeds.unsqueeze(0);
  const both = cat([embeds.mul(0), embeds]);
  const { latents } = await pipeline.run({ ...options(), ipAdapterImageEmbeds: [both] });
  await assertTensor(latents, seen, 1e-6, "by embeddings");
  pipeline.unloadIpAdapter();
  await assertTensor((await pipeline.run(options())).latents, plain, 0, "taken off");
});

Deno.test("IP-Adapters that do not fit are refused in one line", async () => {
  using pipeline = await open(false);
  const image = await picture("control");
  const options = () => ({ ...small, ...told({ xl: false, options: {} }) });
  await assert.rejects(
    pipeline.run({ ...options(), ipAdapterImage: image }),
    /Cannot see ipAdapterImage: expected an IP-Adapter, got none; see loadIpAdapter/,
  );
  await assert.rejects(
    pipeline.loadIpAdapter(folder),
    /Cannot choose an IP-Adapter of .*: expected one file, got full.safetensors, plus.safetensors/,
  );
  await assert.rejects(
    pipeline.loadIpAdapter(`${base}/controlnet/diffusion_pytorch_model.safetensors`),
    /ControlNetModel/,
  );
  using files = new TestFolder();
  const tensors = await readRaw(`${folder}/plus.safetensors`);
  const without = (name: string, lost: RegExp) =>
    files.write(name, safetensorsOf(new Map([...tensors].filter(([key]) => !lost.test(key)))));
  for (const lost of [/^ip_adapter\.1\.to_k_ip/, /^ip_adapter/]) {
    await assert.rejects(
      pipeline.loadIpAdapter(without("lost.safetensors", lost)),
      /Cannot load an IP-Adapter from a single file: expected "ip_adapter\.1\.to_k_ip\.weight" in it, got no such key/,
    );
  }
  await assert.rejects(
    pipeline.loadIpAdapter(without("lost.safetensors", /^image_proj/)),
    /Cannot load an IP-Adapter from a single file: expected "image_proj\.latents" in it, got no such key/,
  );
  await pipeline.loadIpAdapter(folder, { weightName: "plus.safetensors" });
  await assert.rejects(
    pipeline.run(options()),
    /Cannot draw with 1 IP-Adapters: expected ipAdapterImage with a tensor for each, got none/,
  );
  await assert.rejects(
    pipeline.run({ ...options(), ipAdapterImage: [image, image] }),
    /expected ipAdapterImage with a tensor for each, got 2/,
  );
  assert.throws(() => pipeline.setIpAdapterScale([1, 2]), /Cannot set 2 scales of IP-Adapters: expected 1/);
  assert.throws(
    () => pipeline.setIpAdapterScale(NaN),
    /the scale of an IP-Adapter to NaN: expected a number/,
  );
  assert.throws(
    () => pipeline.setIpAdapterScale({ "up_blocks.9": 1 }),
    /the scale of an IP-Adapter at "up_blocks.9": expected the beginning of a path such as down_blocks.0/,
  );
  await assert.rejects(
    // deno-lint-ignore no-explicit-any
    pipeline.run({ ...options(), ipAdapterImage: "x.png" as any }),
    /expected ipAdapterImage to be a tensor/,
  );
  await assert.rejects(
    pipeline.run({ ...options(), ipAdapterImage: image.mul(255) }),
    /Cannot change a picture that is seen: expected values from 0 to 1/,
  );
  using wrong = await CLIPVisionModelWithProjection.fromPretrained(folder, {
    subfolder: "image_encoder",
    dtype: "f32",
  });
  (wrong.config as { hidden_size: number }).hidden_size = 77;
  using fresh = await open(false);
  const plus = { weightName: "plus.safetensors" };
  await assert.rejects(
    fresh.loadIpAdapter(folder, { ...plus, imageEncoder: wrong }),
    /expected a vision model of 16 numbers, got one of 77; name the adapter's own as imageEncoderFolder/,
  );
  await fresh.loadIpAdapter(folder, { ...plus, imageEncoderFolder: "image_encoder" }); // nothing of it stayed
  const emoji = `${import.meta.dirname}/../../models/emoji-diffusion`;
  using other = await StableDiffusionPipeline.fromPretrained(emoji, { dtype: "f32" });
  await assert.rejects(
    other.loadIpAdapter(folder, { weightName: "plus.safetensors" }),
    /expected an IP-Adapter of \d+ layers and tokens of 128 numbers, as this UNet has, got 4 and 12; it is for/,
  );
  assert.ok(device);
});
