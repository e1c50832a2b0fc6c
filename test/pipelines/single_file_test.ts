import assert from "node:assert/strict";
import { manualSeed, randn, type Tensor } from "../../src/mod.ts";
import { FLOAT8 } from "../../src/io/formats/numbers.ts";
import {
  AutoencoderKL,
  FluxTransformer2DModel,
  T5EncoderModel,
  UNet2DConditionModel,
} from "../../src/models/mod.ts";
import {
  DiffusionPipeline,
  Flux2KleinPipeline,
  FluxPipeline,
  StableDiffusionPipeline,
  ZImagePipeline,
} from "../../src/pipelines/mod.ts";
import "../support/device.ts";
import { TestFolder } from "../support/files.ts";
import { difference } from "../support/arrays.ts";
import {
  behind,
  toBflFlux,
  toBflFlux2,
  toBflVae,
  toLdmUnet,
  toLdmVae,
  toZImage,
} from "../support/authors_layout.ts";
import { emoji, flower } from "../support/emoji.ts";
import { fixture } from "../support/fixtures.ts";
import { ggufFile, quantizeQ8 } from "../support/gguf.ts";
import { type RawTensor, readRaw, safetensorsOf } from "../support/raw_tensors.ts";

type Raws = Map<string, RawTensor>;

const flux = fixture("flux/pipeline");
const klein = fixture("flux2/pipeline");
const zImage = fixture("zimage/pipeline");
const UNET = "diffusion_pytorch_model.safetensors";
const petals = { ...flower, height: 64, width: 48, maxSequenceLength: 16 } as const;

let folder: TestFolder;
Deno.test.beforeAll(() => {
  folder = new TestFolder();
});
Deno.test.afterAll(() => {
  folder[Symbol.dispose]();
});

Deno.test("a single file in CompVis's layout draws bit for bit what its folder draws", async () => {
  const path = folder.write(
    "sd.safetensors",
    safetensorsOf(
      new Map([
        ...toLdmUnet(await readRaw(`${emoji}/unet/${UNET}`), 1),
        ...toLdmVae(await readRaw(`${emoji}/vae/${UNET}`), 3),
        ...behind(await readRaw(`${emoji}/text_encoder/model.safetensors`), "cond_stage_model.transformer."),
      ]),
    ),
  );
  const [want, got] = [
    await drawn(await StableDiffusionPipeline.fromPretrained(emoji, { dtype: "f32" })),
    await drawn(
      await DiffusionPipeline.fromPretrained(path, {
        dtype: "f32",
        config: emoji,
      }) as StableDiffusionPipeline,
    ),
  ];
  assert.deepEqual(got, want);

  async function drawn(pipeline: StableDiffusionPipeline): Promise<unknown> {
    using drawing = pipeline;
    assert.ok(drawing instanceof StableDiffusionPipeline);
    return await (await drawing.run({ ...flower, generator: manualSeed(0) })).images.data();
  }
});

Deno.test("a single file of ComfyUI with all parts of FLUX draws bit for bit what its folder draws", async () => {
  const path = folder.write(
    "flux.safetensors",
    safetensorsOf(
      new Map([
        ...toBflFlux(await readTransformer(), "model.diffusion_model."),
        ...toLdmVae(await readRaw(`${flux}/vae/${UNET}`), 4, "vae."),
        ...behind(
          await readRaw(`${flux}/text_encoder/model.safetensors`),
          "text_encoders.clip_l.transformer.",
        ),
        ...behind(
          await readRaw(`${flux}/text_encoder_2/model.safetensors.index.json`),
          "text_encoders.t5xxl.transformer.",
        ),
      ]),
    ),
  );
  const want = await drawnFlux(await FluxPipeline.fromPretrained(flux, { dtype: "f32" }));
  const got = await drawnFlux(await FluxPipeline.fromSingleFile(path, { dtype: "f32", config: flux }));
  assert.deepEqual(got, want);
});

Deno.test("a single file of ComfyUI with all parts of FLUX.2 klein draws bit for bit what its folder draws", async () => {
  const tensors = new Map([
    ...toBflFlux2(await readRaw(`${klein}/transformer/${UNET}.index.json`), "model.diffusion_model."),
    ...toBflVae(await readRaw(`${klein}/vae/${UNET}`), 4, "vae."),
    ...behind(
      await readRaw(`${klein}/text_encoder/model.safetensors.index.json`),
      "text_encoders.qwen3_4b.transformer.",
    ),
  ]);
  const want = await drawnKlein(await Flux2KleinPipeline.fromPretrained(klein, { dtype: "f32" }));
  for (
    const [name, isDistilled] of [["flux2-klein.safetensors", true], ["flux2-klein-base.safetensors", false]]
  ) {
    const path = folder.write(name as string, safetensorsOf(tensors));
    const notices: string[] = [];
    const onNotice = (line: string) => notices.push(line.replace(path, name as string));
    const single = await DiffusionPipeline.fromPretrained(path, { dtype: "f32", config: klein, onNotice });
    assert.ok(single instanceof Flux2KleinPipeline);
    assert.equal(single.parts.isDistilled, isDistilled);
    assert.deepEqual(notices, [
      isDistilled
        ? `${name} is taken for klein, which runs without guidance: there is no "base" in its name`
        : `${name} is taken for klein's base model, which takes guidance: there is a "base" in its name`,
    ]);
    if (isDistilled) assert.deepEqual(await drawnKlein(single), want);
    else single[Symbol.dispose]();
  }
});

Deno.test("a transformer of FLUX.2 alone takes its other parts from base, in GGUF and in scaled fp8 too", async () => {
  const tensors = toBflFlux2(await readRaw(`${klein}/transformer/${UNET}.index.json`));
  const { fp8, plain } = inFloat8(tensors);
  const notices: string[] = [];
  const draw = async (name: string, bytes: Uint8Array) => {
    const path = folder.write(name, bytes);
    const onNotice = (line: string) => notices.push(line.replace(path, name));
    return await drawnKlein(
      await Flux2KleinPipeline.fromSingleFile(path, { dtype: "f32", config: klein, base: klein, onNotice }),
    );
  };
  const want = await draw("k.safetensors", safetensorsOf(tensors));
  assert.deepEqual(
    notices.slice(0, 2),
    ["text_encoder", "vae"].map((part) =>
      `k.safetensors has no ${part}: taking it from ${klein}; the option base names another place`
    ),
  );
  const psnr = (got: Float32Array) => 10 * Math.log10(1 / mean(got.map((x, i) => (x - want[i]!) ** 2)));
  const gguf = psnr(await draw("k-Q8_0.gguf", quantized(tensors)));
  assert.ok(gguf > 35 && gguf < 90, `PSNR ${gguf} dB`);
  const got = await draw("k-fp8.safetensors", safetensorsOf(fp8));
  assert.deepEqual(got, await draw("k-decoded.safetensors", safetensorsOf(plain)));
  assert.ok(psnr(got) < 60, `PSNR ${psnr(got)} dB: nothing was rounded`);
});

Deno.test("a single file of ComfyUI with all parts of Z-Image draws bit for bit what its folder draws", async () => {
  const path = folder.write(
    "z-image.safetensors",
    safetensorsOf(
      new Map([
        ...toZImage(await readRaw(`${zImage}/transformer/${UNET}.index.json`), "model.diffusion_model."),
        ...toLdmVae(await readRaw(`${zImage}/vae/${UNET}`), 4, "vae."),
        ...behind(
          await readRaw(`${zImage}/text_encoder/model.safetensors.index.json`),
          "text_encoders.qwen3_4b.transformer.",
        ),
      ]),
    ),
  );
  const want = await drawnZImage(await ZImagePipeline.fromPretrained(zImage, { dtype: "f32" }));
  const single = await DiffusionPipeline.fromPretrained(path, { dtype: "f32", config: zImage });
  assert.deepEqual(await drawnZImage(single as ZImagePipeline), want);
});

Deno.test("a transformer of Z-Image alone takes its other parts from base, in GGUF and in scaled fp8 too", async () => {
  const tensors = toZImage(widened(await readRaw(`${zImage}/transformer/${UNET}.index.json`)));
  const { fp8, plain } = inFloat8(tensors);
  const notices: string[] = [];
  const draw = async (name: string, bytes: Uint8Array) => {
    const path = folder.write(name, bytes);
    const onNotice = (line: string) => notices.push(line.replace(path, name));
    return await drawnZImage(
      await ZImagePipeline.fromSingleFile(path, { dtype: "f32", config: zImage, base: zImage, onNotice }),
    );
  };
  const want = await draw("z.safetensors", safetensorsOf(tensors));
  assert.deepEqual(
    notices,
    ["text_encoder", "vae"].map((part) =>
      `z.safetensors has no ${part}: taking it from ${zImage}; the option base names another place`
    ),
  );
  const psnr = (got: Float32Array) => 10 * Math.log10(1 / mean(got.map((x, i) => (x - want[i]!) ** 2)));
  const gguf = psnr(await draw("z-Q8_0.gguf", quantized(tensors)));
  assert.ok(gguf > 35 && gguf < 90, `PSNR ${gguf} dB`);
  const got = await draw("z-fp8.safetensors", safetensorsOf(fp8));
  assert.deepEqual(got, await draw("z-decoded.safetensors", safetensorsOf(plain)));
  assert.ok(psnr(got) < 60, `PSNR ${psnr(got)} dB: nothing was rounded`);
});

Deno.test("a GGUF transformer in Q8_0 draws nearly what f32 draws, its other parts from base", async () => {
  const path = folder.write("flux-Q8_0.gguf", quantized(toBflFlux(await readTransformer())));
  const notices: string[] = [];
  const options = {
    dtype: "f32",
    config: flux,
    base: flux,
    onNotice: (line: string) => notices.push(line),
  } as const;
  const want = await drawnFlux(await FluxPipeline.fromPretrained(flux, { dtype: "f32" }));
  const got = await drawnFlux(await FluxPipeline.fromSingleFile(path, options));
  const missing = ["text_encoder", "text_encoder_2", "vae"];
  assert.deepEqual(
    notices,
    missing.map((part) =>
      `${path} has no ${part}: taking it from ${flux}; the option base names another place`
    ),
  );
  const psnr = 10 * Math.log10(1 / mean(got.map((x, i) => (x - want[i]!) ** 2)));
  assert.ok(psnr > 35, `PSNR ${psnr} dB`);
  assert.ok(psnr < 90, `PSNR ${psnr} dB: nothing was quantized`);
});

Deno.test("a transformer in bf16 under BFL's names gives what it gives under diffusers'", async () => {
  const weights = fixture(`flux/transformer_bf16/${UNET}`);
  const path = folder.write("flux1-dev.safetensors", safetensorsOf(toBflFlux(await readRaw(weights))));
  const config = fixture("flux/transformer_bf16");
  using single = await FluxTransformer2DModel.fromSingleFile(path, { dtype: "f32", config });
  using plain = await FluxTransformer2DModel.fromSingleFile(weights, { dtype: "f32" }); // config.json lies beside it
  assert.deepEqual(await transformed(single), await transformed(plain));
});

Deno.test("UNet2DConditionModel and AutoencoderKL are loaded alone from the file that holds them", async () => {
  const path = folder.write(
    "parts.safetensors",
    safetensorsOf(
      new Map([
        ...toLdmUnet(await readRaw(`${emoji}/unet/${UNET}`), 1),
        ...toLdmVae(await readRaw(`${emoji}/vae/${UNET}`), 3),
      ]),
    ),
  );
  const options = { dtype: "f32", config: emoji } as const;
  using unet = await UNet2DConditionModel.fromSingleFile(path, options);
  using vae = await AutoencoderKL.fromSingleFile(path, options);
  using wantUnet = await UNet2DConditionModel.fromPretrained(emoji, { dtype: "f32", subfolder: "unet" });
  using wantVae = await AutoencoderKL.fromPretrained(emoji, { dtype: "f32", subfolder: "vae" });
  const latents = randn([1, 4, 8, 8], { generator: manualSeed(0) });
  const text = randn([1, 5, unet.config.cross_attention_dim], { generator: manualSeed(1) });
  await assertEqual(unet.forward(latents, 7, text).sample, wantUnet.forward(latents, 7, text).sample);
  await assertEqual(vae.decode(latents).sample, wantVae.decode(latents).sample);
});

Deno.test("a GGUF UNet gives nearly what the UNet gives", async () => {
  const tensors = toLdmUnet(await readRaw(`${emoji}/unet/${UNET}`), 1, "");
  const path = folder.write("unet-Q8_0.gguf", quantized(tensors));
  const latents = randn([1, 4, 8, 8], { generator: manualSeed(0) });
  using got = await UNet2DConditionModel.fromSingleFile(path, { dtype: "f32", config: emoji });
  using want = await UNet2DConditionModel.fromPretrained(emoji, { dtype: "f32", subfolder: "unet" });
  const text = randn([1, 5, want.config.cross_attention_dim], { generator: manualSeed(1) });
  const run = async (unet: UNet2DConditionModel) => await unet.forward(latents, 7, text).sample.data();
  const { rel } = difference(await run(got) as Float32Array, await run(want) as Float32Array);
  assert.ok(rel < 0.02 && rel > 1e-5, `${rel}`);
});

Deno.test("a transformer in scaled fp8 gives what its numbers give in f32", async () => {
  const { fp8, plain } = inFloat8(toBflFlux(await readTransformer()));
  const options = { dtype: "f32", config: flux } as const;
  const load = (name: string, tensors: Raws) =>
    FluxTransformer2DModel.fromSingleFile(folder.write(name, safetensorsOf(tensors)), options);
  using got = await load("fp8.safetensors", fp8);
  using want = await load("f32.safetensors", plain);
  assert.deepEqual(await transformed(got), await transformed(want));
});

Deno.test("T5 under llama.cpp's names gives what it gives under transformers'", async () => {
  const t5 = await readRaw(`${flux}/text_encoder_2/model.safetensors.index.json`);
  const path = folder.write(
    "t5.gguf",
    ggufFile({
      tensors: [...toLlama(t5)].map(([name, tensor]) => ({
        name,
        type: 0,
        shape: tensor.shape,
        data: tensor.bytes,
      })),
    }),
  );
  using got = await T5EncoderModel.fromSingleFile(path, { dtype: "f32" });
  using want = await T5EncoderModel.fromPretrained(flux, { dtype: "f32", subfolder: "text_encoder_2" });
  const ids = [[5, 6, 7, 1]];
  await assertEqual(got.forward(ids).lastHiddenState, want.forward(ids).lastHiddenState);
});

Deno.test("fromSingleFile() refuses what is no single file, and a file that lacks the model", async () => {
  await assert.rejects(StableDiffusionPipeline.fromSingleFile(emoji), {
    message:
      `Cannot load ${emoji} as a single file: expected a name that ends in .safetensors, .gguf or .ckpt; ` +
      "fromPretrained reads folders and repositories",
  });
  const vae = folder.write(
    "vae.safetensors",
    safetensorsOf(toLdmVae(await readRaw(`${emoji}/vae/${UNET}`), 3, "")),
  );
  await assert.rejects(UNet2DConditionModel.fromSingleFile(vae), {
    message: `Cannot load unet from ${vae}: expected its keys, got those of AutoencoderKL`,
  });
  await assert.rejects(DiffusionPipeline.fromSingleFile(vae), {
    message: `Cannot load a pipeline from ${vae}: expected the UNet of Stable Diffusion 1, 2 or XL, or the ` +
      "transformer of FLUX.1, FLUX.2 or Z-Image, got AutoencoderKL; name the folder or repository of its whole pipeline",
  });
});

Deno.test("a folder that holds single files only is refused with the name of one", async () => {
  using files = new TestFolder();
  files.write("flux1-dev-Q8_0.gguf", "");
  await assert.rejects(DiffusionPipeline.fromPretrained(files.path), {
    message: `Cannot load a pipeline from ${files.path}: expected model_index.json, got single files; ` +
      `load one, e.g. ${files.path}/flux1-dev-Q8_0.gguf`,
  });
});

Deno.test("a model's folder, and a folder of pipelines, are told from a pipeline's", async () => {
  const models = `${import.meta.dirname}/../../models`;
  await assert.rejects(DiffusionPipeline.fromPretrained(models), {
    message: `Cannot load a pipeline from ${models}: expected model_index.json, got a folder of pipelines; ` +
      `load one, e.g. ${models}/emoji-ddpm`,
  });
  await assert.rejects(DiffusionPipeline.fromPretrained(`${models}/emoji-ddpm/unet`), {
    message:
      `Cannot load a pipeline from ${models}/emoji-ddpm/unet: expected model_index.json, got one model; ` +
      "name the folder or repository of its whole pipeline",
  });
});

async function drawnFlux(pipeline: FluxPipeline): Promise<Float32Array> {
  using drawing = pipeline;
  const { images } = await drawing.run({ ...petals, generator: manualSeed(0) });
  return await images.data() as Float32Array;
}

async function drawnKlein(pipeline: Flux2KleinPipeline): Promise<Float32Array> {
  using drawing = pipeline;
  const { images } = await drawing.run({
    prompt: "a nice flower",
    height: 48,
    width: 64,
    maxSequenceLength: 24,
    numInferenceSteps: 2,
    generator: manualSeed(0),
    progress: false,
  });
  return await images.data() as Float32Array;
}

async function drawnZImage(pipeline: ZImagePipeline): Promise<Float32Array> {
  using drawing = pipeline;
  assert.ok(drawing instanceof ZImagePipeline);
  const { images } = await drawing.run({ ...petals, guidanceScale: 2, generator: manualSeed(0) });
  return await images.data() as Float32Array;
}

/** What a transformer makes of noise. */
async function transformed(model: FluxTransformer2DModel): Promise<unknown> {
  const { in_channels, joint_attention_dim, pooled_projection_dim } = model.config;
  const { sample } = model.forward(randn([1, 4, in_channels], { generator: manualSeed(0) }), {
    encoderHiddenStates: randn([1, 3, joint_attention_dim], { generator: manualSeed(1) }),
    pooledProjections: randn([1, pooled_projection_dim], { generator: manualSeed(2) }),
    timestep: [0.5],
    guidance: [3.5],
    imgIds: [[0, 0, 0], [0, 0, 1], [0, 1, 0], [0, 1, 1]],
    txtIds: [[0, 0, 0], [0, 0, 0], [0, 0, 0]],
  });
  return await sample.data();
}

/** Matrices in F32 as scaled fp8, and as the numbers that these stand for. */
function inFloat8(tensors: Raws): { fp8: Raws; plain: Raws } {
  const [fp8, plain] = [new Map(), new Map()] as [Raws, Raws];
  for (const [name, tensor] of tensors) {
    if (tensor.shape.length !== 2 || !name.endsWith(".weight")) {
      fp8.set(name, tensor);
      plain.set(name, tensor);
      continue;
    }
    const [codes, scale, values] = toFloat8(floatsOf(tensor));
    fp8.set(name, { dtype: "F8_E4M3", shape: tensor.shape, bytes: codes });
    fp8.set(name.replace(/weight$/, "scale_weight"), { dtype: "F32", shape: [], bytes: scale });
    plain.set(name, { dtype: "F32", shape: tensor.shape, bytes: new Uint8Array(values.buffer) });
  }
  fp8.set("scaled_fp8", { dtype: "F8_E4M3", shape: [2], bytes: new Uint8Array(2) });
  return { fp8, plain };
}

/** Tensors in BF16 as F32. */
function widened(tensors: Raws): Raws {
  return new Map([...tensors].map(([name, { dtype, shape, bytes }]) => {
    assert.equal(dtype, "BF16");
    const halves = new Uint16Array(bytes.slice().buffer);
    const words = Uint32Array.from(halves, (half) => half << 16);
    return [name, { dtype: "F32", shape, bytes: new Uint8Array(words.buffer) }];
  }));
}

/** The nearest codes of E4M3 with one scale for all, the scale, and the numbers that they stand for. */
function toFloat8(values: Float32Array): [Uint8Array, Uint8Array, Float32Array] {
  const numbers = [...FLOAT8.F8_E4M3].map((number, code) => ({ number, code })).filter(({ number }) =>
    number === number
  );
  const scale = new Float32Array([values.reduce((most, x) => Math.max(most, Math.abs(x)), 0) / 448]);
  const codes = Uint8Array.from(values, (value) => {
    const x = value / scale[0]!;
    return numbers.reduce((a, b) => Math.abs(b.number - x) < Math.abs(a.number - x) ? b : a).code;
  });
  const decoded = Float32Array.from(codes, (code) => FLOAT8.F8_E4M3[code]! * scale[0]!);
  return [codes, new Uint8Array(scale.buffer), decoded];
}

/** T5's encoder under the names that llama.cpp gives it in GGUF files. */
function toLlama(tensors: Raws): Raws {
  const layers: Record<string, string> = {
    "layer.0.layer_norm": "attn_norm",
    "layer.0.SelfAttention.relative_attention_bias": "attn_rel_b",
    "layer.1.layer_norm": "ffn_norm",
    "layer.1.DenseReluDense.wi_0": "ffn_gate",
    "layer.1.DenseReluDense.wi_1": "ffn_up",
    "layer.1.DenseReluDense.wo": "ffn_down",
  };
  return new Map(
    [...tensors].filter(([key]) => !key.includes("embed_tokens")).map(([key, tensor]) => [
      key.replace(/^shared\./, "token_embd.")
        .replace(/^encoder\.final_layer_norm\./, "enc.output_norm.")
        .replace(
          /^encoder\.block\.(\d+)\.(.+)\.weight$/,
          (_, block, layer) =>
            `enc.blk.${block}.${layers[layer] ?? layer.replace("layer.0.SelfAttention.", "attn_")}.weight`,
        ),
      tensor,
    ]),
  );
}

function readTransformer(): Promise<Raws> {
  return readRaw(`${flux}/transformer/${UNET}.index.json`);
}

/** A GGUF file as people share them: matrices of whole blocks in Q8_0, all else in F32 or F16. */
function quantized(tensors: Raws): Uint8Array {
  return ggufFile({
    tensors: [...tensors].map(([name, { dtype, shape, bytes }]) => {
      const packs = shape.length === 2 && shape[1]! % 32 === 0;
      const values = floatsOf({ dtype, shape, bytes });
      return {
        name,
        shape,
        type: packs ? 8 : Number(dtype === "F16"),
        data: packs ? quantizeQ8(values) : bytes,
      };
    }),
  });
}

/** The numbers of a tensor in F16 or F32. */
function floatsOf({ dtype, bytes }: RawTensor): Float32Array<ArrayBuffer> {
  const { buffer } = bytes.slice();
  return Float32Array.from(dtype === "F16" ? new Float16Array(buffer) : new Float32Array(buffer));
}

async function assertEqual(got: Tensor, want: Tensor): Promise<void> {
  assert.deepEqual(await got.data(), await want.data());
}

function mean(values: Float32Array): number {
  return values.reduce((sum, x) => sum + x, 0) / values.length;
}
