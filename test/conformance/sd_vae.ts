import { existsSync } from "node:fs";
import { manualSeed } from "../../src/mod.ts";
import { readTensors } from "../support/arrays.ts";
import { AutoencoderKL } from "../../src/models/mod.ts";
import { loading } from "./precision.ts";
import { upload } from "../support/tensors.ts";
import { attempt, compareTensor, type Verdict } from "./verdict.ts";

const MODULE = { rel: 1e-4 }; // one run of a network in f32 on a GPU

/** The autoencoder of one model, and the same with the names of 2022 where the set has it. */
export async function* vae(folder: string, model: string): AsyncGenerator<Verdict, void, void> {
  yield* forwards(folder, model, "pipeline/vae");
  if (existsSync(`${folder}/vae_legacy_names`)) yield* forwards(folder, model, "vae_legacy_names");
}

/** A picture encoded and latents decoded: results, and the parts by diffusers' paths. */
async function* forwards(
  folder: string,
  model: string,
  component: string,
): AsyncGenerator<Verdict, void, void> {
  const tensors = await readTensors(`${folder}/expected/vae.safetensors`);
  const [image, z] = ["image", "z"].map((name) => upload(tensors.get(name)!));
  using autoencoder = await AutoencoderKL.fromPretrained(`${folder}/${component}`, loading());
  const wanted = autoencoder.paths.filter((path) => tensors.has(`tap.${path}`));
  const encodes = (path: string) => /^(encoder|quant_conv)/.test(path);
  const encoded = autoencoder.encode(image!, { taps: wanted.filter(encodes) });
  const { latentDist } = encoded;
  const { mean, logvar } = latentDist;
  const { sample, taps } = autoencoder.decode(z!, { taps: wanted.filter((path) => !encodes(path)) });
  const drawn = latentDist.sample({ generator: manualSeed(3) });
  const latents = autoencoder.scaleLatents(z!);
  const results = { mean, logvar, decoded: sample, sample_generator_seed3: drawn, latents };
  const parts = Object.entries({ ...encoded.taps, ...taps }).map(([path, x]) => [`tap.${path}`, x] as const);
  const got = new Map([...Object.entries(results), ...parts]);
  for (const [name, want] of tensors) {
    if (name === "image" || name === "z") continue;
    const id = `${model}/${component}/${name}`;
    const result = got.get(name);
    if (result) yield await attempt(id, () => compareTensor(id, result, want, MODULE));
    else yield { id, status: "failed", note: "no part of this name" };
  }
}
