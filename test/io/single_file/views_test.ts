import assert from "node:assert/strict";
import { openCheckpoint, type TensorInfo } from "../../../src/io/formats/checkpoint.ts";
import { findParts } from "../../../src/io/single_file/parts.ts";
import {
  behind,
  toBflFlux,
  toBflFlux2,
  toBflVae,
  toLdmUnet,
  toLdmVae,
  toLlamaQwen3,
  toOpenClip,
  toZImage,
} from "../../support/authors_layout.ts";
import { fixture } from "../../support/fixtures.ts";
import { type RawTensor, readRaw, safetensorsOf } from "../../support/raw_tensors.ts";
import { TestFolder } from "../../support/files.ts";

type Raws = Map<string, RawTensor>;

const weights = (name: string) => fixture(`${name}.safetensors`);

/**
 * What is in the file, its folder in diffusers' layout, the model, and the model under its authors' names.
 */
const files: [string, string, string, (model: Raws) => Raws][] = [
  ["CompVis's UNet", "unet", weights("unet_2d_condition/weights/base"), (m) => toLdmUnet(m, 1)],
  ["Stability's UNet of XL", "unet", weights("unet_2d_condition/weights/xl"), (m) => toLdmUnet(m, 1, "")],
  ["CompVis's autoencoder", "vae", weights("autoencoder_kl/weights/base"), (m) => toLdmVae(m, levelsOf(m))],
  [
    "an autoencoder alone",
    "vae",
    weights("autoencoder_kl/weights/no_quant_convs"),
    (m) => toLdmVae(m, levelsOf(m), ""),
  ],
  [
    "CLIP in SD 1",
    "text_encoder",
    weights("clip_text/weights/quick_gelu"),
    (m) => behind(m, "cond_stage_model.transformer."),
  ],
  ["CLIP alone", "text_encoder", weights("clip_text/weights/quick_gelu"), (m) => m],
  [
    "OpenCLIP in SD 2",
    "text_encoder",
    weights("clip_text/weights/quick_gelu"),
    (m) => toOpenClip(m, "cond_stage_model.model.", { spare: true }),
  ],
  [
    "OpenCLIP in XL",
    "text_encoder_2",
    weights("clip_text/weights/projection"),
    (m) => toOpenClip(m, "conditioner.embedders.1.model.", { spare: false }),
  ],
  [
    "OpenCLIP in bf16",
    "text_encoder",
    weights("clip_text/weights/bf16"),
    (m) => toOpenClip(m, "cond_stage_model.model.", { spare: true }),
  ],
  ["Qwen3 alone", "text_encoder", weights("qwen3/weights/bias"), (m) => m],
  [
    "Qwen3 among others, with its head",
    "text_encoder",
    weights("qwen3/weights/base"),
    (m) =>
      behind(
        new Map([...m, ["lm_head.weight", m.get("model.embed_tokens.weight")!]]),
        "text_encoders.qwen3_4b.transformer.",
      ),
  ],
  ["Qwen3 under llama.cpp's names", "text_encoder", weights("qwen3/weights/bias"), (m) => toLlamaQwen3(m)],
  [
    "BFL's FLUX",
    "transformer",
    fixture("flux/transformer_schnell/diffusion_pytorch_model.safetensors"),
    (m) => toBflFlux(m),
  ],
  [
    "ComfyUI's FLUX in bf16",
    "transformer",
    fixture("flux/transformer_bf16/diffusion_pytorch_model.safetensors"),
    (m) => toBflFlux(m, "model.diffusion_model."),
  ],
  [
    "BFL's FLUX.2 klein",
    "transformer",
    fixture("flux2/pipeline/transformer/diffusion_pytorch_model.safetensors.index.json"),
    (m) => toBflFlux2(m),
  ],
  [
    "ComfyUI's FLUX.2-dev",
    "transformer",
    fixture("flux2/transformer_dev/diffusion_pytorch_model.safetensors"),
    (m) => toBflFlux2(m, "model.diffusion_model.", "weight"),
  ],
  [
    "BFL's autoencoder of FLUX.2",
    "vae",
    fixture("flux2/pipeline/vae/diffusion_pytorch_model.safetensors"),
    (m) => toBflVae(m, levelsOf(m)),
  ],
  [
    "FLUX.2's autoencoder with a small decoder, its outer convolutions beside the coders",
    "vae",
    fixture("flux2/vae_small_decoder/diffusion_pytorch_model.safetensors"),
    (m) => toLdmVae(m, levelsOf(m), "vae."),
  ],
  [
    "Z-Image in bf16",
    "transformer",
    fixture("zimage/pipeline/transformer/diffusion_pytorch_model.safetensors.index.json"),
    (m) => toZImage(m),
  ],
  [
    "ComfyUI's Z-Image with vectors for its learned tokens",
    "transformer",
    fixture("zimage/pipeline/transformer/diffusion_pytorch_model.safetensors.index.json"),
    (m) => {
      const all = toZImage(m, "model.diffusion_model.");
      for (const key of ["x_pad_token", "cap_pad_token"]) {
        const one = all.get(`model.diffusion_model.${key}`)!;
        all.set(`model.diffusion_model.${key}`, { ...one, shape: one.shape.slice(1) });
      }
      return all;
    },
  ],
];

for (const [what, folder, path, toAuthors] of files) {
  Deno.test(`${what} gives diffusers' tensors bit for bit`, async () => {
    using temporary = new TestFolder();
    const model = await readRaw(path);
    const single = temporary.write("single.safetensors", safetensorsOf(toAuthors(model)));
    const [names, part] = await partOf(single, folder);
    using checkpoint = await openCheckpoint(single, part.view);
    const wanted = [...model].filter(([key]) => !/position_ids$/.test(key));
    assert.deepEqual(
      [...checkpoint.tensors.keys()].map(plain).sort(),
      wanted.map(([key]) => plain(key)).sort(),
    );
    assert.notDeepEqual(names.toSorted(), checkpoint.tensors.keys().toArray().sort(), "nothing was renamed");
    const found = new Map([...checkpoint.tensors.values()].map((info) => [plain(info.name), info]));
    for (const [key, want] of wanted) {
      const info = found.get(plain(key))!;
      assert.deepEqual([key, info.dtype, info.shape], [key, want.dtype, want.shape]);
      assert.deepEqual(await readInPieces(checkpoint, info), want.bytes, key);
    }
  });
}

/** Files may put "text_model." or "model." in front of a text model's keys or not. */
function plain(key: string): string {
  return key.replace(/^(text_model|model)\./, "");
}

async function partOf(path: string, folder: string) {
  using checkpoint = await openCheckpoint(path);
  const part = findParts(checkpoint.tensors).get(folder);
  assert.ok(part, `no ${folder} was found`);
  return [[...checkpoint.tensors.keys(), ""], part] as const;
}

/** Odd pieces, which begin and end anywhere in rows and parts. */
async function readInPieces(
  checkpoint: Awaited<ReturnType<typeof openCheckpoint>>,
  info: TensorInfo,
): Promise<Uint8Array> {
  const count = info.shape.reduce((product, n) => product * n, 1);
  const bytes = new Uint8Array(info.bytes);
  const size = Math.max(1, Math.ceil(count / 3) - 1);
  for (let first = 0; first < count; first += size) {
    const piece = await checkpoint.read(info, first, Math.min(size, count - first));
    bytes.set(piece, first * info.bytes / count);
  }
  return bytes;
}

function levelsOf(model: Raws): number {
  return new Set([...model.keys()].map((key) => /^decoder\.up_blocks\.(\d+)/.exec(key)?.[1]).filter(Boolean))
    .size;
}
