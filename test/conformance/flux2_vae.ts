import { existsSync } from "node:fs";
import { AutoencoderKLFlux2 } from "../../src/models/mod.ts";
import { packLatents, unpackLatents } from "../../src/pipelines/mod.ts";
import { type Tensor, zeros } from "../../src/tensor/mod.ts";
import { readTensors } from "../support/arrays.ts";
import { upload } from "../support/tensors.ts";
import { loading } from "./precision.ts";
import { attempt, compareTensor, type Verdict } from "./verdict.ts";

const MODULE = { rel: 1e-4 }; // one run of a network in f32 on a GPU

type Verdicts = AsyncGenerator<Verdict, void, void>;

const INPUTS = ["image", "tokens"];

/** Flux.2's autoencoder: every stage from a picture to tokens and back, and the parts by diffusers' paths. */
export async function* flux2Vae(folder: string, model: string): Verdicts {
  const tensors = await readTensors(`${folder}/expected/vae.safetensors`);
  const [image, tokens] = INPUTS.map((name) => upload(tensors.get(name)!)) as [Tensor, Tensor];
  using vae = await AutoencoderKLFlux2.fromPretrained(`${folder}/pipeline/vae`, loading());
  const wanted = vae.paths.filter((path) => tensors.has(`tap.${path}`));
  const encodes = (path: string) => /^(encoder|quant_conv)/.test(path);
  const { latentDist, taps } = vae.encode(image, { taps: wanted.filter(encodes) });
  const { mean, logvar } = latentDist;
  const [h, w] = mean.shape.slice(2) as [number, number];
  const patches = (packed: Tensor) =>
    packed.permute([0, 2, 1]).reshape([packed.shape[0]!, packed.shape[2]!, h / 2, w / 2]);
  const encoded = packLatents(vae.scaleLatents(mean));

  const z = vae.unscaleLatents(unpackLatents(tokens, [h, w]));
  const { sample, taps: decoded } = vae.decode(z, { taps: wanted.filter((path) => !encodes(path)) });

  const numbers = zeros([1, vae.config.latent_channels, 2, 2]);
  const shift = packLatents(vae.unscaleLatents(numbers)).reshape([-1]);
  const got: Record<string, Tensor> = {
    mean,
    logvar,
    patchified: patches(packLatents(mean)),
    normalized: patches(encoded),
    encoded_tokens: encoded,
    unpacked_denormalized: patches(packLatents(z)),
    unpatchified: z,
    decoded: sample,
    bn_mean: shift,
    bn_std: packLatents(vae.unscaleLatents(numbers.add(1))).reshape([-1]).sub(shift),
  };
  for (const [path, x] of Object.entries({ ...taps, ...decoded })) got[`tap.${path}`] = x;
  for (const [name, want] of tensors) {
    if (INPUTS.includes(name)) continue;
    const id = `${model}/vae/${name}`;
    const result = got[name];
    if (result) yield await attempt(id, () => compareTensor(id, result, want, MODULE));
    else yield { id, status: "failed", note: "no part of this name" };
  }
}

/**
 * One whose decoder is narrower than its encoder. Its last product sums so few channels that errors do not even out: they go
 * with the values at a place, not with all values.
 */
export async function* smallDecoder(folder: string, model: string): Verdicts {
  const tensors = await readTensors(`${folder}/expected/vae_small_decoder.safetensors`);
  const path = `${folder}/vae_small_decoder`;
  if (!existsSync(path)) return;
  using vae = await AutoencoderKLFlux2.fromPretrained(path, loading());
  const z = upload(tensors.get("z")!);
  const { sample } = vae.decode(z);
  const { taps } = vae.decode(z, { taps: ["decoder.conv_norm_out"] });
  const id = `${model}/vae_small_decoder/decoded`;
  const gain = await crowding(taps["decoder.conv_norm_out"].float().silu());
  yield await attempt(id, () => compareTensor(id, sample, tensors.get("decoded")!, { ...MODULE, gain }));
}

/** Root of the largest mean square among the windows 3 × 3 of x [B, C, H, W] that a product reads, over that of all x. */
async function crowding(x: Tensor): Promise<number> {
  const [H, W] = x.shape.slice(2) as [number, number];
  const squares = x.mul(x).mean(1, { keepdim: true });
  const offsets = [0, 1, 2].flatMap((i) => [0, 1, 2].map((j) => [i, j] as const));
  const around = squares.pad([1, 1, 1, 1]);
  const sums = offsets.map(([i, j]) => around.slice(2, i, i + H).slice(3, j, j + W));
  const windows = sums.reduce((sum, one) => sum.add(one)).div(9);
  return await windows.amax().div(squares.mean()).sqrt().item();
}
