import type { AnyPipeline } from "denoise/pipelines";
import { StableDiffusionBase, StableDiffusionXLBase } from "denoise/pipelines";
import type { LoadOptions } from "denoise/models";
import { readScaled } from "./lora.ts";
import type { Settings } from "./options.ts";

/** A textual inversion as `--embedding PATH_OR_REPO[=TOKEN]` names it. */
interface NamedEmbedding {
  path: string;
  token: string | undefined;
}

/** Reads `PATH_OR_REPO[=TOKEN]`. */
export function readEmbedding(text: string): NamedEmbedding {
  const [, path, token] = /^([^=]+)(?:=(.+))?$/.exec(text) ?? [];
  if (path) return { path, token };
  throw new TypeError("expected PATH_OR_REPO or PATH_OR_REPO=TOKEN");
}

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
