import assert from "node:assert/strict";
import { openDevice } from "../../../src/mod.ts";
import {
  AutoencoderKL,
  CLIPTextModel,
  FluxTransformer2DModel,
  T5EncoderModel,
} from "../../../src/models/mod.ts";
import { TestFolder } from "../../support/files.ts";
import { behind, toBflFlux, toLdmVae } from "../../support/authors_layout.ts";
import { headerOf } from "../../support/flux_dev.ts";
import { fluxDevShapes } from "../../support/flux_dev_shapes.ts";
import type { RawTensor } from "../../support/raw_tensors.ts";

Deno.test("all parts of the real FLUX.1-dev are opened from one file by what its shapes tell", async () => {
  using folder = new TestFolder();
  const part = (name: string) =>
    new Map(
      Object.entries(fluxDevShapes[name]!()).map(([key, shape]): [string, RawTensor] => [
        key,
        { dtype: "BF16", shape, bytes: new Uint8Array() }, // the file is a hole behind its header
      ]),
    );
  const tensors = new Map([
    ...toBflFlux(part("transformer"), "model.diffusion_model."),
    ...toLdmVae(part("vae"), 4, "vae."),
    ...behind(part("text_encoder"), "text_encoders.clip_l.transformer."),
    ...behind(part("text_encoder_2"), "text_encoders.t5xxl.transformer."),
  ]);
  const shapes = [...tensors].map(([key, { shape }]) => [key, [...shape]]);
  const { header, size } = headerOf(Object.fromEntries(shapes));
  const path = folder.write("flux1-dev.safetensors", header);
  await Deno.truncate(path, size);

  using _device = await openDevice();
  const notices: string[] = []; // of tensors that no model reads, too
  const options = {
    dtype: "f32",
    headersOnly: true,
    onNotice: (line: string) => notices.push(line),
  } as const;
  using transformer = await FluxTransformer2DModel.fromSingleFile(path, options);
  using vae = await AutoencoderKL.fromSingleFile(path, options);
  using clip = await CLIPTextModel.fromSingleFile(path, options);
  using t5 = await T5EncoderModel.fromSingleFile(path, options);
  assert.deepEqual(notices, []);
  assert.deepEqual([transformer.config.num_layers, transformer.config.num_single_layers], [19, 38]);
  assert.deepEqual([vae.config.scaling_factor, vae.config.shift_factor], [0.3611, 0.1159]);
  assert.deepEqual([clip.config.num_attention_heads, t5.config.num_heads], [12, 64]);
});
