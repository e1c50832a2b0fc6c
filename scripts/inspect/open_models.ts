import {
  AutoencoderKL,
  AutoencoderKLFlux2,
  AutoencoderTiny,
  CLIPTextModel,
  CLIPTextModelWithProjection,
  CLIPVisionModelWithProjection,
  ControlNetModel,
  Flux2Transformer2DModel,
  FluxControlNetModel,
  FluxTransformer2DModel,
  type LoadOptions,
  type Model,
  Qwen3Model,
  ReduxImageEncoder,
  SiglipVisionModel,
  T2IAdapter,
  T5EncoderModel,
  UNet2DConditionModel,
  UNet2DModel,
  ZImageControlNetModel,
  ZImageTransformer2DModel,
} from "denoise/models";
import { readIndex } from "../../src/pipelines/model_index.ts";
import { openAutoencoder } from "../../src/pipelines/open_parts.ts";

/** The models that are built, by their classes' names. */
export const modelClasses = {
  AutoencoderKL,
  AutoencoderKLFlux2,
  AutoencoderTiny,
  CLIPTextModel,
  CLIPTextModelWithProjection,
  CLIPVisionModelWithProjection,
  ControlNetModel,
  Flux2Transformer2DModel,
  FluxControlNetModel,
  FluxTransformer2DModel,
  Qwen3ForCausalLM: Qwen3Model,
  Qwen3Model,
  ReduxImageEncoder,
  SiglipVisionModel,
  T2IAdapter,
  T5EncoderModel,
  UNet2DConditionModel,
  UNet2DModel,
  ZImageControlNetModel,
  ZImageTransformer2DModel,
};

/** Options of opening a pipeline's models. */
export interface OpenModelsOptions extends LoadOptions {
  /** Another autoencoder in place of the pipeline's own, by its folder, repository or file. */
  readonly vae?: string | undefined;
}

/**
 * A pipeline's models by the names of its parts, e.g. textEncoder, without their weights; `stack` owns them.
 */
export async function openModels(
  pathOrRepo: string,
  { vae, ...options }: OpenModelsOptions,
  stack: DisposableStack,
): Promise<Record<string, Model>> {
  const source = { ...options, headersOnly: true };
  const parts: Record<string, Model> = {};
  const { components } = await readIndex(pathOrRepo, source);
  for (const [subfolder, name] of Object.entries(components)) {
    if (!Object.hasOwn(modelClasses, name)) continue;
    const type = modelClasses[name as keyof typeof modelClasses];
    const model: Model = subfolder === "vae" && vae !== undefined
      ? await openAutoencoder(vae, AutoencoderKL, source)
      : await type.fromPretrained(pathOrRepo, { ...source, subfolder });
    parts[subfolder.replace(/_(\w)/g, (_, letter) => letter.toUpperCase())] = stack.use(model);
  }
  return parts;
}
