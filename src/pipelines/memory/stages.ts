import type { Autoencoder, FluxTransformer2DModel, Model } from "../../models/mod.ts";
import {
  Flux2Transformer2DModel,
  UNet2DConditionModel,
  UNet2DModel,
  ZImageTransformer2DModel,
} from "../../models/mod.ts";
import { flux2ImageIds, flux2TextIds } from "../../models/flux2_transformer_2d/positions.ts";
import { modulationWidth } from "../../models/flux_transformer_2d/modulation.ts";
import { emptyOptions } from "../../models/unet_2d_condition/inputs.ts";
import { zeros } from "../../tensor/mod.ts";
import { imageIds, textIds } from "../../models/flux_transformer_2d/pos_embed.ts";
import { latentSide } from "../size.ts";

/** The pictures to plan memory for. */
export interface DrawingSize {
  /** In pixels; by default that which the model was trained for. */
  width?: number | undefined;
  /** In pixels; by default that which the model was trained for. */
  height?: number | undefined;
  /** Pictures at once; 1 by default. */
  batch?: number | undefined;
  /** Length of the prompt for T5 or Qwen; 512 by default. */
  tokens?: number | undefined;
  /** 28 by default. */
  steps?: number | undefined;
}

/** A model at its work in a pipeline. */
export interface Stage {
  /** The model's folder, e.g. "text_encoder". */
  readonly name: string;
  readonly model: Model;
  /** Bytes of its work, without its weights. */
  readonly activations: number;
}

/** The parts of any pipeline. */
type PartsByName = Readonly<Record<string, unknown>>;

const CLIP_TOKENS = 77;
const FLUX_SIDE = 128; // latents of a picture of 1024²

/** The models of a pipeline in the order of their work, each with what it takes to draw such pictures. */
export function stagesOf(parts: PartsByName, size: DrawingSize = {}): Stage[] {
  const { batch = 1 } = size;
  const { textEncoder, textEncoder2, unet, transformer, vae } = parts as Record<string, Model | undefined>;
  const rows = !transformer || transformer instanceof ZImageTransformer2DModel ? 2 * batch : batch; // with negative prompts
  const stages: (Stage | undefined)[] = [
    embedding("text_encoder", textEncoder, rows),
    embedding("text_encoder_2", textEncoder2, rows),
    unet && denoising(unet, vae as Autoencoder | undefined, size),
    transformer && flowing(transformer, vae as Autoencoder, size, parts["isDistilled"] === false),
    vae && decoding(vae as Autoencoder, latentsOf(parts, size)),
  ];
  return stages.filter((stage) => stage !== undefined);
}

/** Text encoders were traced for one prompt of full length. */
function embedding(name: string, model: Model | undefined, rows: number): Stage | undefined {
  return model && { name, model, activations: rows * model.workspace };
}

/** A UNet's step, of both halves where it is guided by a prompt. */
function denoising(unet: Model, vae: Autoencoder | undefined, size: DrawingSize): Stage {
  const { batch = 1 } = size;
  if (unet instanceof UNet2DModel) {
    const sample = zeros([batch, unet.config.in_channels, ...unet.sampleSize]);
    return { name: "unet", model: unet, activations: unet.measure(() => unet.forward(sample, 0)) };
  }
  if (!(unet instanceof UNet2DConditionModel)) throw new TypeError("Cannot plan for a UNet of another class");
  const { in_channels, cross_attention_dim } = unet.config;
  const rows = 2 * batch;
  const [h, w] = sides({ unet, vae }, size);
  const activations = unet.measure(() =>
    unet.forward(
      zeros([rows, in_channels, h, w]),
      0,
      zeros([rows, CLIP_TOKENS, cross_attention_dim]),
      emptyOptions(rows, unet.config),
    )
  );
  return { name: "unet", model: unet, activations };
}

/** A step of a flow's transformer; of FLUX.2 with both halves where it is guided by a prompt. */
function flowing(model: Model, vae: Autoencoder, size: DrawingSize, guided: boolean): Stage {
  const own = model instanceof Flux2Transformer2DModel
    ? flux2Step(model, vae, size, guided)
    : model instanceof ZImageTransformer2DModel
    ? zImageStep(model, vae, size)
    : fluxStep(model as FluxTransformer2DModel, vae, size);
  return { name: "transformer", model, activations: own };
}

/** Bytes of a step of FLUX.2, whose tokens are 2×2 latents. */
function flux2Step(
  transformer: Flux2Transformer2DModel,
  vae: Autoencoder,
  size: DrawingSize,
  guided: boolean,
): number {
  const { batch = 1, tokens = 512 } = size;
  const rows = guided ? 2 * batch : batch;
  const { in_channels, joint_attention_dim, guidance_embeds } = transformer.config;
  const [h, w] = sides({ vae }, size).map((side) => Math.ceil(side / 2)) as [number, number];
  return transformer.measure(() =>
    transformer.forward(zeros([rows, h * w, in_channels]), {
      encoderHiddenStates: zeros([rows, tokens, joint_attention_dim]),
      imgIds: flux2ImageIds([h, w]),
      txtIds: flux2TextIds(tokens),
      timestep: 1,
      guidance: guidance_embeds ? 1 : undefined,
    })
  );
}

/** Bytes of a step of FLUX.1, and of the modulations computed before for all steps. */
function fluxStep(transformer: FluxTransformer2DModel, vae: Autoencoder, size: DrawingSize): number {
  const { batch = 1, tokens = 512, steps = 28 } = size;
  const { in_channels, joint_attention_dim } = transformer.config;
  const [h, w] = sides({ vae }, size);
  const width = modulationWidth(transformer.config);
  const activations = transformer.measure(() =>
    transformer.forward(zeros([batch, h * w / 4, in_channels]), { // a token covers 2×2 latents
      encoderHiddenStates: zeros([batch, tokens, joint_attention_dim]),
      imgIds: imageIds([h, w]),
      txtIds: textIds(tokens),
      modulation: zeros([batch, width]),
    })
  );
  return activations + steps * batch * width * 4; // f32
}

/** Bytes of a step of Z-Image with both halves, as it is guided by a prompt where nothing else is said. */
function zImageStep(transformer: ZImageTransformer2DModel, vae: Autoencoder, size: DrawingSize): number {
  const { batch = 1, tokens = 512 } = size;
  const rows = 2 * batch;
  const { in_channels, cap_feat_dim } = transformer.config;
  const [h, w] = sides({ vae }, size);
  return transformer.measure(() =>
    transformer.forward(zeros([rows, in_channels, h, w]), 0, zeros([rows, tokens, cap_feat_dim]))
  );
}

function decoding(vae: Autoencoder, latents: readonly number[]): Stage {
  return { name: "vae", model: vae, activations: vae.measure(() => vae.decode(zeros(latents))) };
}

/** Shape of the latents of the pictures. */
function latentsOf(parts: PartsByName, size: DrawingSize): number[] {
  const { vae } = parts as { vae: Autoencoder };
  return [size.batch ?? 1, vae.config.latent_channels, ...sides(parts, size)];
}

/** Sides of the latents. */
function sides(parts: PartsByName, { width, height }: DrawingSize): [h: number, w: number] {
  const { unet, vae } = parts as { unet?: UNet2DConditionModel; vae?: Autoencoder };
  const [H, W] = unet?.sampleSize ?? [FLUX_SIDE, FLUX_SIDE];
  const side = (name: string, pixels: number | undefined, usual: number) =>
    pixels === undefined || !vae ? usual : latentSide(name, pixels, vae.scaleFactor);
  return [side("height", height, H), side("width", width, W)];
}
