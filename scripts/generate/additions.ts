import type { AnyPipeline } from "denoise/pipelines";
import { StableDiffusionBase, StableDiffusionXLBase } from "denoise/pipelines";
import type { LoadOptions } from "denoise/models";
import { readEmbedding, readScaled } from "./named_files.ts";
import type { Settings } from "./options.ts";

/** Adds what settings name beside the model: learned embeddings and IP-Adapters. */
export async function addTo(
  pipeline: AnyPipeline,
  { embedding = [], "ip-adapter": adapters = [] }: Settings,
  onProgress: NonNullable<LoadOptions["onProgress"]>,
): Promise<void> {
  if (!(pipeline instanceof StableDiffusionBase || pipeline instanceof StableDiffusionXLBase)) {
    const [what] = embedding.length > 0 ? ["--embedding"] : ["--ip-adapter"];
    throw new TypeError(
      `Cannot take ${what} with ${pipeline.constructor.name}: it is for Stable Diffusion and XL`,
    );
  }
  for (const { path, token } of embedding.map(readEmbedding)) {
    await pipeline.loadTextualInversion(path, { token, onProgress });
  }
  for (const { path, scale } of adapters.map(readScaled)) {
    await pipeline.loadIpAdapter(path, { scale, onProgress });
  }
}
