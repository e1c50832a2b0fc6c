import {
  type Autoencoder,
  Flux2Transformer2DModel,
  type Flux2Transformer2DOptions,
  type FluxControlNetModel,
  type FluxTransformer2DModel,
  type FluxTransformer2DOptions,
  type Model,
  type UNet2DConditionModel,
  ZImageControlNetModel,
  ZImageTransformer2DModel,
} from "../../models/mod.ts";
import { flux2ImageIds, flux2TextIds, referenceIds } from "../../models/flux2_transformer_2d/positions.ts";
import { modulationWidth } from "../../models/flux_transformer_2d/modulation.ts";
import { type Tensor, zeros } from "../../tensor/mod.ts";
import { imageIds, textIds } from "../../models/flux_transformer_2d/pos_embed.ts";
import { type FluxAdded, sumOfSamples } from "../flux/control_nets.ts";
import { sidesOfArea } from "../flux/sizes.ts";
import { latentSide } from "../size.ts";
import { type DrawingSize, type PartsByName, rehearse, type Stage } from "./stage.ts";
import { unetStages } from "./unet_stages.ts";

const FLUX_SIDE = 128; // latents of a picture of 1024²

/** The models of a pipeline in the order of their work, each with what it takes to draw such pictures. */
export function stagesOf(parts: PartsByName, size: DrawingSize = {}): Stage[] {
  const { batch = 1 } = size;
  const { textEncoder, textEncoder2, unet, transformer, vae } = parts as Record<string, Model | undefined>;
  const isGuided = !transformer || (size.isGuided ?? transformer instanceof ZImageTransformer2DModel);
  const rows = isGuided ? 2 * batch : batch; // with negative prompts
  const stages: (Stage | undefined)[] = [
    embedding("text_encoder", textEncoder, rows),
    embedding("text_encoder_2", textEncoder2, rows),
    ...unet ? unetStages(parts, size, sides(parts, size)) : [],
    transformer && flowing(transformer, parts, size),
    vae && coding(vae as Autoencoder, size, sides(parts, size)),
  ];
  return stages.filter((stage) => stage !== undefined);
}

/** Text encoders were traced for one prompt of full length. */
function embedding(name: string, model: Model | undefined, rows: number): Stage | undefined {
  return model && { name, model, activations: rows * model.workspace };
}

/** A step of a flow's transformer; of FLUX.2 with both halves where it is guided by a prompt. */
function flowing(model: Model, parts: PartsByName, size: DrawingSize): Stage {
  const { vae, controlnet = [] } = parts as { vae: Autoencoder; controlnet?: unknown };
  const nets = [controlnet].flat();
  if (model instanceof ZImageTransformer2DModel) {
    return zImageStage(model, vae, size, nets[0] as ZImageControlNetModel | undefined);
  }
  if (!(model instanceof Flux2Transformer2DModel)) {
    return fluxStage(model as FluxTransformer2DModel, vae, size, nets as FluxControlNetModel[]);
  }
  const activations = flux2Step(model, vae, size, parts["isDistilled"] === false);
  return { name: "transformer", model, activations };
}

/** Bytes of a step of FLUX.2, whose tokens are 2×2 latents. */
function flux2Step(
  transformer: Flux2Transformer2DModel,
  vae: Autoencoder,
  size: DrawingSize,
  guided: boolean,
): number {
  const { batch = 1, tokens = 512, cache } = size;
  const calls = guided && cache ? 2 : 1; // one for each half
  const rows = guided && !cache ? 2 * batch : batch;
  const { in_channels, joint_attention_dim, guidance_embeds } = transformer.config;
  const [h, w] = sides({ vae }, size).map((side) => Math.ceil(side / 2)) as [number, number];
  const imgIds = [...flux2ImageIds([h, w]), ...referenceIds(seenTokens(vae, size))];
  const options: Flux2Transformer2DOptions = {
    encoderHiddenStates: zeros([rows, tokens, joint_attention_dim]),
    imgIds,
    txtIds: flux2TextIds(tokens),
    timestep: 1,
    guidance: guidance_embeds ? 1 : undefined,
  };
  const call: [Tensor, typeof options] = [zeros([rows, imgIds.length, in_channels]), options];
  return transformer.measure(() => rehearse(transformer, cache, ...[call, call].slice(0, calls)));
}

/** A step of FLUX.1 with its ControlNets, and the modulations computed before for all steps. */
function fluxStage(
  transformer: FluxTransformer2DModel,
  vae: Autoencoder,
  size: DrawingSize,
  nets: readonly FluxControlNetModel[],
): Stage {
  const { batch = 1, tokens = 512, steps = 28, isGuided, cache } = size;
  const isApart = cache || nets.length > 0;
  const calls = isGuided && isApart ? 2 : 1; // one for each half
  const rows = isGuided && !isApart ? 2 * batch : batch;
  const { joint_attention_dim } = transformer.config;
  const seen = seenTokens(vae, size).map(([h, w]) => [2 * h, 2 * w] as const); // a token covers 2×2 latents
  const drawn = sides({ vae }, size);
  const imgIds = [drawn, ...seen].flatMap(imageIds);
  const width = modulationWidth(transformer.config);
  const options: FluxTransformer2DOptions = {
    encoderHiddenStates: zeros([rows, tokens, joint_attention_dim]),
    imgIds,
    txtIds: textIds(tokens),
    modulation: zeros([rows, width]),
  };
  const latents = zeros([rows, imgIds.length, transformer.inChannels]);
  let control: { added: FluxAdded; bytes: number }[] = [];
  const activations = transformer.measure(() => {
    control = nets.map((net) =>
      fluxControlStep(net, latents, options, drawn.map((side) => side * vae.scaleFactor))
    );
    const call: [Tensor, typeof options] = [latents, {
      ...options,
      ...sumOfSamples(control.map(({ added }) => added), transformer.config),
    }];
    rehearse(transformer, cache, ...[call, call].slice(0, calls));
  });
  return {
    name: "transformer",
    model: transformer,
    activations: activations + steps * calls * rows * width * 4, // f32
    beside: nets.map((model, i) => ({
      name: i === 0 ? "controlnet" : `controlnet_${i}`,
      model,
      activations: control[i]!.bytes,
    })),
  };
}

/** Tokens that a ControlNet of FLUX.1 adds in a step, without numbers, and the bytes of its work. */
function fluxControlStep(
  net: FluxControlNetModel,
  latents: Tensor,
  { encoderHiddenStates, imgIds, txtIds }: FluxTransformer2DOptions,
  pixels: readonly number[],
): { added: FluxAdded; bytes: number } {
  const { guidance_embeds, pooled_projection_dim, num_mode } = net.config;
  const rows = latents.shape[0]!;
  const cond = net.seesPixels ? zeros([rows, 3, ...pixels]) : latents;
  let added: FluxAdded;
  const bytes = net.measure(() => {
    const output = net.forward(latents, cond, {
      encoderHiddenStates,
      imgIds,
      txtIds,
      pooledProjections: zeros([rows, pooled_projection_dim]),
      timestep: 1,
      guidance: guidance_embeds ? 1 : undefined,
      controlnetMode: num_mode === undefined ? undefined : 0,
    });
    const { controlnetBlockSamples: block, controlnetSingleBlockSamples: single } = output;
    added = { block, single, repeats: net.seesPixels };
  });
  return { added: added!, bytes };
}

/** A step of Z-Image, with both halves where it is guided by a prompt, and its ControlNet's. */
function zImageStage(
  model: ZImageTransformer2DModel,
  vae: Autoencoder,
  size: DrawingSize,
  net: ZImageControlNetModel | undefined,
): Stage {
  const { batch = 1, tokens = 512, cache, isGuided = true } = size;
  const rows = isGuided ? 2 * batch : batch;
  const { in_channels, cap_feat_dim } = model.config;
  const latents = sides({ vae }, size);
  const input = () =>
    [zeros([rows, in_channels, ...latents]), 0, zeros([rows, tokens, cap_feat_dim])] as const;
  if (!net) {
    const activations = model.measure(() => rehearse(model, cache, [...input(), {}]));
    return { name: "transformer", model, activations };
  }
  ZImageControlNetModel.fromTransformer(net, model);
  const context = zeros([rows, net.config.control_in_dim, ...latents]);
  let added: Record<number, Tensor> = {};
  let own = 0;
  const activations = model.measure(() => { // with the layers that the ControlNet calls
    own = net.measure(() => added = net.forward(...input(), context).controlnetBlockSamples);
    rehearse(model, cache, [...input(), { controlnetBlockSamples: added }]);
  });
  const beside = [{ name: "controlnet", model: net, activations: own }];
  return { name: "transformer", model, activations, beside };
}

/** Decodes the pictures, and encodes those that are given, one by one. */
function coding(
  vae: Autoencoder,
  { batch = 1, encodes, encoded = [], seen }: DrawingSize,
  drawn: readonly [h: number, w: number],
): Stage {
  const { in_channels, latent_channels } = vae.config;
  const f = vae.scaleFactor;
  const pictures = [
    ...encodes ? [drawn] : [],
    ...seenTokens(vae, { seen }).map((sides) => sides.map((side) => 2 * side)),
    ...encoded.map((sides) => sides.map((side) => Math.max(1, Math.floor(side / f)))),
  ] as [h: number, w: number][];
  const activations = vae.measure(() => {
    vae.decode(zeros([batch, latent_channels, ...drawn]));
    for (const [h, w] of pictures) {
      vae.mode(zeros([1, in_channels, f * h, f * w]));
    }
  });
  return { name: "vae", model: vae, activations };
}

/** Sides in tokens of the pictures that stand behind the latents; what the model cannot see of them is cut. */
function seenTokens(vae: Autoencoder, { seen = [] }: DrawingSize): (readonly [h: number, w: number])[] {
  const side = (pixels: number) => Math.floor(pixels / (2 * vae.scaleFactor));
  return seen.map(([H, W]) => [side(H), side(W)] as const);
}

/** Sides of the latents. */
function sides(
  parts: PartsByName,
  { width, height, from, area, hires }: DrawingSize,
): [h: number, w: number] {
  const { unet, vae } = parts as { unet?: UNet2DConditionModel; vae?: Autoencoder };
  const usual = unet?.sampleSize ?? [FLUX_SIDE, FLUX_SIDE];
  if (!vae) return usual;
  const f = vae.scaleFactor;
  const multiple = unet ? 1 : 2; // a token covers 2×2 latents
  const [h, w] = from ? from.map((side) => multiple * Math.floor(side / (f * multiple))) : usual;
  const side = (name: string, pixels: number | undefined, usual: number) =>
    pixels === undefined ? usual : latentSide(name, pixels, f);
  const own: [number, number] = [side("height", height, h!), side("width", width, w!)];
  if (hires && hires.width * hires.height > f * own[1] * f * own[0]) {
    return [latentSide("height", hires.height, f), latentSide("width", hires.width, f)];
  }
  if (area === undefined) return own;
  return sidesOfArea([f * own[0], f * own[1]], area, 2 * f).map((side) => side / f) as [number, number];
}
