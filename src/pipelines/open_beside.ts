import {
  type Autoencoder,
  AutoencoderKL,
  AutoencoderKLFlux2,
  type CLIPVisionModelWithProjection,
  ControlNetModel,
  Flux2Transformer2DModel,
  FluxControlNetModel,
  FluxTransformer2DModel,
  type IPAdapter,
  type Model,
  type T2IAdapter,
  type UNet2DConditionModel,
  ZImageControlNetModel,
  ZImageTransformer2DModel,
} from "../models/mod.ts";
import { expectOfFlux } from "../models/flux_controlnet/config.ts";
import { loadIpAdapter, seenWidth } from "./ip_adapter.ts";
import { expectNetOfUNet } from "./latents/control.ts";
import type { PartsByName } from "./memory/stage.ts";
import type { PipelineOptions } from "./model_index.ts";
import { ADAPTERS, CONTROLNETS, FLUX_CONTROLNETS, openNets, Z_IMAGE_CONTROLNET } from "./open_nets.ts";
import { openAutoencoder } from "./open_parts.ts";
import { expectAdapterOfUNet } from "./t2i_adapter/adapters.ts";

/** Kinds of models that stand beside a pipeline's own. */
export type BesideKind = "vae" | "controlnet" | "adapter" | "ipAdapter";

/**
 * Opens a model that is to stand beside a pipeline's own, by its folder, repository or file, without its weights: another
 * autoencoder, a ControlNet, a T2I-Adapter, or an IP-Adapter and the vision model that it reads. Throws where it was made for
 * another model. → the model, and what belongs to it
 */
export async function openBeside(
  kind: BesideKind,
  parts: PartsByName,
  pathOrRepo: string,
  options: Omit<PipelineOptions, "vae" | "controlnet" | "adapter">,
): Promise<readonly Model[]> {
  const models = await opened(kind, parts, pathOrRepo, options);
  try {
    for (const model of models) expectMadeFor(kind, model, parts);
    return models;
  } catch (error) {
    for (const model of models) model[Symbol.dispose]();
    throw error;
  }
}

async function opened(
  kind: BesideKind,
  parts: PartsByName,
  pathOrRepo: string,
  options: PipelineOptions,
): Promise<Model[]> {
  const { unet, transformer, memory } = parts as {
    unet?: UNet2DConditionModel;
    transformer?: Model;
    memory?: number;
  };
  switch (kind) {
    case "vae": {
      const usual = transformer instanceof Flux2Transformer2DModel ? AutoencoderKLFlux2 : AutoencoderKL;
      return [await openAutoencoder(pathOrRepo, usual, options, memory)];
    }
    case "controlnet": {
      const given = { ...options, controlnet: pathOrRepo };
      if (transformer instanceof ZImageTransformer2DModel) {
        return [await openNets(Z_IMAGE_CONTROLNET, pathOrRepo, given, memory)].flat();
      }
      return transformer instanceof FluxTransformer2DModel
        ? [await openNets(FLUX_CONTROLNETS, pathOrRepo, given, memory)].flat()
        : [await openNets(CONTROLNETS, pathOrRepo, given, memory)].flat();
    }
    case "adapter":
      return [await openNets(ADAPTERS, pathOrRepo, { ...options, adapter: pathOrRepo }, memory)].flat();
    case "ipAdapter": {
      const { headersOnly, signal, onProgress, onNotice } = options;
      const own: Parameters<typeof loadIpAdapter>[0] = { unet: unet!, memory };
      await loadIpAdapter(own, pathOrRepo, { headersOnly, signal, onProgress, onNotice });
      return [...own.ipAdapters!, own.imageEncoder!];
    }
  }
}

/** Throws unless a model is for those that it is to stand beside. */
function expectMadeFor(kind: BesideKind, model: Model, parts: PartsByName): void {
  const { unet, transformer, vae } = parts as {
    unet?: UNet2DConditionModel;
    transformer?: Model;
    vae?: Model;
  };
  if (kind === "vae") return expectSameLatents(model, vae!);
  if (kind === "adapter") return expectAdapterOfUNet(model as T2IAdapter, unet!);
  if (model instanceof ZImageControlNetModel) {
    ZImageControlNetModel.fromTransformer(model, transformer as ZImageTransformer2DModel);
  } else if (model instanceof FluxControlNetModel) {
    expectOfFlux(model.config, (transformer as FluxTransformer2DModel).config);
  } else if (kind === "controlnet") expectNetOfUNet(model as ControlNetModel, unet!);
}

function expectSameLatents(other: Model, own: Model): void {
  const [got, expected] = [other, own].map(({ config }) =>
    (config as { latent_channels: number }).latent_channels
  );
  if (got === expected) return;
  throw new TypeError(
    `Cannot decode by this autoencoder: expected latents of ${expected} channels, as the model's own has, got ${got}; ` +
      "it is for another model",
  );
}

/** Models beside a pipeline's own, as `openBeside` gave them. */
export type Beside = { readonly [Kind in BesideKind]?: readonly (readonly Model[])[] | undefined };

/**
 * The parts of a pipeline and what stands beside them; an IP-Adapter counts as its scale says, 1 by default. Throws a TypeError
 * where they do not go together.
 */
export function partsBeside<Parts extends PartsByName>(
  parts: Parts,
  { vae = [], controlnet = [], adapter = [], ipAdapter = [] }: Beside,
  ipAdapterScales: readonly number[] = ipAdapter.map(() => 1),
): Parts {
  const own = ([model]: readonly Model[]) => model!;
  const nets = controlnet.map(own);
  const adapters = ipAdapter.map(own) as IPAdapter[];
  const imageEncoder = ipAdapter[0]?.[1] as CLIPVisionModelWithProjection | undefined;
  for (const one of adapters) expectSeenBy(one, imageEncoder!);
  for (const one of nets) expectScale(one, vae[0]?.[0] ?? parts["vae"]);
  return {
    ...parts,
    ...vae.length > 0 ? { vae: own(vae[0]!) } : {},
    ...nets.length > 0 ? { controlnet: nets[0] instanceof ZImageControlNetModel ? nets[0] : nets } : {},
    ...adapter.length > 0 ? { adapter: adapter.map(own) } : {},
    ...imageEncoder ? { ipAdapters: adapters, imageEncoder, ipAdapterScales } : {},
  };
}

/** Throws where IP-Adapters do not see by one vision model, that of the first. */
function expectSeenBy(adapter: IPAdapter, encoder: CLIPVisionModelWithProjection): void {
  const [expected, got] = [adapter.config.image_embed_dim, seenWidth(adapter, encoder)];
  if (expected === got) return;
  throw new TypeError(
    `Cannot see by these IP-Adapters together: expected a vision model of ${expected} numbers for each, got ${got} of ` +
      "the first one's; take one of them",
  );
}

/** Throws where a ControlNet of Stable Diffusion sees as many pixels for a latent as the autoencoder does not have. */
function expectScale(net: Model, vae: unknown): void {
  const { scaleFactor } = vae as Autoencoder;
  if (!(net instanceof ControlNetModel) || net.scaleFactor === scaleFactor) return;
  throw new TypeError(
    `Cannot control by this ControlNet: expected ${net.scaleFactor} pixels for a latent's side, as it was made for, got ` +
      `${scaleFactor} of the autoencoder; take another`,
  );
}
