import {
  type Autoencoder,
  type CLIPVisionModelWithProjection,
  type ControlNetModel,
  type ImageKeyValues,
  type IPAdapter,
  type Model,
  type T2IAdapter,
  UNet2DConditionModel,
  UNet2DModel,
} from "../../models/mod.ts";
import { emptyOptions } from "../../models/unet_2d_condition/inputs.ts";
import { type Tensor, zeros } from "../../tensor/mod.ts";
import { type DrawingSize, type PartsByName, rehearse, type Stage } from "./stage.ts";

/** The parts beside a UNet that a plan counts. */
interface UNetParts {
  readonly unet: Model;
  readonly vae?: Autoencoder | undefined;
  readonly controlnet?: ControlNetModel | readonly ControlNetModel[] | undefined;
  readonly adapter?: T2IAdapter | readonly T2IAdapter[] | undefined;
  readonly imageEncoder?: CLIPVisionModelWithProjection | undefined;
  readonly ipAdapters?: readonly IPAdapter[] | undefined;
}

const CLIP_TOKENS = 77;

/**
 * A UNet's step on latents [h, w], of both halves where it is guided by a prompt, with its ControlNets beside it; in front
 * of it T2I-Adapters and IP-Adapters look at their pictures.
 */
export function unetStages(
  parts: PartsByName,
  { batch = 1, cache, isPerturbed = false }: DrawingSize,
  [h, w]: readonly [h: number, w: number],
): Stage[] {
  const { unet, controlnet = [], adapter = [], vae, imageEncoder, ipAdapters = [] } = parts as Partial<
    UNetParts
  >;
  if (unet instanceof UNet2DModel) {
    const sample = zeros([batch, unet.config.in_channels, ...unet.sampleSize]);
    return [{ name: "unet", model: unet, activations: unet.measure(() => unet.forward(sample, 0)) }];
  }
  if (!(unet instanceof UNet2DConditionModel)) throw new TypeError("Cannot plan for a UNet of another class");
  const rows = 2 * batch;
  const nets = [controlnet].flat();
  const seers = [adapter].flat();
  const features = seers.map((adapter) => featuresOf(adapter, rows, [h, w], vae!.scaleFactor));
  const adapters = imageEncoder ? ipAdapters : [];
  let control: Measured<Tensor[]>[] = [];
  let images: Measured<ImageKeyValues[]>[] = [];
  const activations = unet.measure(() => {
    control = nets.map((net) => controlStep(net, rows, [h, w]));
    images = adapters.map((adapter) => seenBy(adapter, imageEncoder!, rows));
    const residuals = control[0]?.result; // sums of several have the same shapes
    const options = {
      ...emptyOptions(rows, unet.config),
      downBlockAdditionalResiduals: residuals?.slice(0, -1),
      midBlockAdditionalResidual: residuals?.at(-1),
      downIntrablockAdditionalResiduals: features[0]?.result,
      imageAttention: images.map(({ result }) => result),
    };
    rehearse(unet, cache, [...stepOf(unet, rows, [h, w]), options]);
    if (!isPerturbed) return;
    const perturbed = { ...emptyOptions(batch, unet.config), perturbedAttention: ["mid"] };
    rehearse(unet, cache, [...stepOf(unet, batch, [h, w]), perturbed]);
  });
  const stages = (name: string, models: readonly Model[], measured: readonly Measured<unknown>[]): Stage[] =>
    models.map((model, i) => ({
      name: i === 0 ? name : `${name}_${i}`,
      model,
      activations: measured[i]!.activations,
    }));
  return [
    ...stages("adapter", seers, features),
    ...imageEncoder
      ? [{
        name: "image_encoder",
        model: imageEncoder,
        activations: imageEncoder.workspace, // it was traced for one picture
        beside: stages("ip_adapter", adapters, images),
      }]
      : [],
    { name: "unet", model: unet, activations, beside: stages("controlnet", nets, control) },
  ];
}

/** A model's result, without numbers, and the bytes of its work. */
interface Measured<T> {
  readonly result: T;
  readonly activations: number;
}

/** Latents, timestep and prompts of a step. */
function stepOf(
  { config }: UNet2DConditionModel | ControlNetModel,
  rows: number,
  size: readonly [h: number, w: number],
): [Tensor, number, Tensor] {
  const { in_channels, cross_attention_dim } = config;
  return [zeros([rows, in_channels, ...size]), 0, zeros([rows, CLIP_TOKENS, cross_attention_dim])];
}

/** Residuals of a ControlNet's step. */
function controlStep(
  net: ControlNetModel,
  rows: number,
  [h, w]: readonly [h: number, w: number],
): Measured<Tensor[]> {
  const { config, scaleFactor: f } = net;
  const picture = zeros([1, config.conditioning_channels, f * h, f * w]);
  let result: Tensor[] = [];
  const activations = net.measure(() => {
    const added = net.forward(...stepOf(net, rows, [h, w]), picture, emptyOptions(rows, config));
    result = [...added.downBlockResSamples, added.midBlockResSample];
  });
  return { result, activations };
}

/** A T2I-Adapter's features of a picture, for so many rows. */
function featuresOf(
  adapter: T2IAdapter,
  rows: number,
  [h, w]: readonly [h: number, w: number],
  f: number,
): Measured<Tensor[]> {
  let features: Tensor[] = [];
  const picture = zeros([1, adapter.config.in_channels, f * h, f * w]);
  const activations = adapter.measure(() => (features = adapter.forward(picture).features));
  return { result: features.map(({ shape }) => zeros([rows, ...shape.slice(1)])), activations };
}

/** An IP-Adapter's keys and values of a picture for so many rows. */
function seenBy(
  adapter: IPAdapter,
  { config: { image_size, patch_size } }: CLIPVisionModelWithProjection,
  rows: number,
): Measured<ImageKeyValues[]> {
  const { image_embed_dim: K } = adapter.config;
  const states = 1 + Math.floor(image_size / patch_size) ** 2;
  const seen = zeros(adapter.readsStates ? [2, 1, states, K] : [2, 1, K]); // with what stands against it
  let result: ImageKeyValues[] = [];
  const activations = adapter.measure(() => (result = adapter.forward(seen)));
  const like = (x: Tensor) => zeros([rows, ...x.shape.slice(1)]);
  return { result: result.map(({ key, value }) => ({ key: like(key), value: like(value) })), activations };
}
