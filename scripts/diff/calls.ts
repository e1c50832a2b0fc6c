import type { Tensor } from "denoise";
import {
  AutoencoderKL,
  AutoencoderKLFlux2,
  CLIPTextModel,
  CLIPTextModelWithProjection,
  CLIPVisionModelWithProjection,
  ControlNetModel,
  Flux2Transformer2DModel,
  FluxControlNetModel,
  FluxTransformer2DModel,
  type Model,
  Qwen3Model,
  ReduxImageEncoder,
  SiglipVisionModel,
  T2IAdapter,
  T5EncoderModel,
  UNet2DConditionModel,
  UNet2DModel,
  ZImageTransformer2DModel,
} from "denoise/models";
import type { RecordedInputs } from "./inputs.ts";

/** A call's results by diffusers' names, and the features at some paths. */
export interface Called {
  readonly results: Readonly<Record<string, Tensor>>;
  readonly taps: Readonly<Record<string, Tensor>>;
}

/** Calls a model as it was called when its features were recorded. Throws where it cannot be called so. */
export type RecordedCall = (taps: readonly string[]) => Called;

/** The call of a recording. `method` is that of torch: forward, encode or decode. */
export function recordedCall(model: Model, method: string, inputs: RecordedInputs): RecordedCall {
  const call = callOf(model, method, inputs);
  inputs.expectAllUsed();
  return call;
}

function callOf(model: Model, method: string, inputs: RecordedInputs): RecordedCall {
  const isAutoencoder = model instanceof AutoencoderKL || model instanceof AutoencoderKLFlux2;
  if (isAutoencoder && method === "decode") {
    const z = inputs.tensor("z");
    return (paths) => {
      const { sample, taps } = model.decode(z, { taps: paths });
      return { results: { sample }, taps };
    };
  }
  if (isAutoencoder && method === "encode") {
    const x = inputs.tensor("x");
    return (paths) => {
      const { latentDist: { mean, logvar }, taps } = model.encode(x, { taps: paths });
      return { results: { "latent_dist.mean": mean, "latent_dist.logvar": logvar }, taps };
    };
  }
  if (method === "forward") {
    if (model instanceof UNet2DModel) return unet2DCall(model, inputs);
    if (model instanceof UNet2DConditionModel) return unet2DConditionCall(model, inputs);
    if (model instanceof ControlNetModel) return controlNetCall(model, inputs);
    if (model instanceof T2IAdapter) return t2iAdapterCall(model, inputs);
    if (model instanceof CLIPVisionModelWithProjection) return clipVisionCall(model, inputs);
    if (model instanceof SiglipVisionModel) return siglipVisionCall(model, inputs);
    if (model instanceof ReduxImageEncoder) return reduxCall(model, inputs);
    if (model instanceof FluxTransformer2DModel) return fluxCall(model, inputs);
    if (model instanceof FluxControlNetModel) return fluxControlNetCall(model, inputs);
    if (model instanceof Flux2Transformer2DModel) return flux2Call(model, inputs);
    if (model instanceof ZImageTransformer2DModel) return zImageCall(model, inputs);
    if (model instanceof CLIPTextModel) return clipCall(model, inputs);
    if (model instanceof T5EncoderModel) return t5Call(model, inputs);
    if (model instanceof Qwen3Model) return qwen3Call(model, inputs);
  }
  throw new TypeError(
    `Cannot call ${method} of ${model.constructor.name}: expected ` +
      `${isAutoencoder ? "encode or decode" : "a call that is built"}; record another`,
  );
}

function unet2DCall(model: UNet2DModel, inputs: RecordedInputs): RecordedCall {
  const [sample, t] = [inputs.tensor("sample"), inputs.numbers("timestep")];
  const classLabels = labelsOf(inputs);
  return (paths) => {
    const { sample: y, taps } = model.forward(sample, t, { ...classLabels, taps: paths });
    return { results: { sample: y }, taps };
  };
}

/** What a UNet and its ControlNets are told beside latents, time and texts. */
function conditionsOf(inputs: RecordedInputs) {
  return {
    ...labelsOf(inputs),
    ...inputs.has("timestep_cond") && { timestepCond: inputs.tensor("timestep_cond") },
    ...inputs.has("encoder_attention_mask") &&
      { encoderAttentionMask: inputs.tensor("encoder_attention_mask") },
    ...inputs.has("added_cond_kwargs.text_embeds") && {
      addedCond: {
        textEmbeds: inputs.tensor("added_cond_kwargs.text_embeds"),
        timeIds: inputs.rows("added_cond_kwargs.time_ids"),
      },
    },
  };
}

function controlNetCall(model: ControlNetModel, inputs: RecordedInputs): RecordedCall {
  const [sample, t] = [inputs.tensor("sample"), inputs.numbers("timestep")];
  const [texts, cond] = [inputs.tensor("encoder_hidden_states"), inputs.tensor("controlnet_cond")];
  const options = conditionsOf(inputs);
  return (paths) => {
    const { downBlockResSamples, midBlockResSample, taps } = model.forward(sample, t, texts, cond, {
      ...options,
      taps: paths,
    });
    const down = downBlockResSamples.map((x, i) => [`down_block_res_samples.${i}`, x]);
    return { results: { ...Object.fromEntries(down), mid_block_res_sample: midBlockResSample }, taps };
  };
}

function t2iAdapterCall(model: T2IAdapter, inputs: RecordedInputs): RecordedCall {
  const x = inputs.tensor("x");
  return (paths) => {
    const { features, taps } = model.forward(x, { taps: paths });
    return { results: Object.fromEntries(features.map((feature, i) => [`features.${i}`, feature])), taps };
  };
}

function clipVisionCall(model: CLIPVisionModelWithProjection, inputs: RecordedInputs): RecordedCall {
  const pixels = inputs.tensor("pixel_values");
  return (paths) => {
    const { imageEmbeds, lastHiddenState, hiddenStates, taps } = model.forward(pixels, { taps: paths });
    const results = {
      image_embeds: imageEmbeds,
      last_hidden_state: lastHiddenState,
      ...statesOf(hiddenStates),
    };
    return { results, taps };
  };
}

function siglipVisionCall(model: SiglipVisionModel, inputs: RecordedInputs): RecordedCall {
  const pixels = inputs.tensor("pixel_values");
  return (paths) => {
    const { lastHiddenState, poolerOutput, taps } = model.forward(pixels, { taps: paths });
    const pooled = poolerOutput && { pooler_output: poolerOutput };
    return { results: { last_hidden_state: lastHiddenState, ...pooled }, taps };
  };
}

function reduxCall(model: ReduxImageEncoder, inputs: RecordedInputs): RecordedCall {
  const x = inputs.tensor("x");
  return (paths) => {
    const { imageEmbeds, taps } = model.forward(x, { taps: paths });
    return { results: { image_embeds: imageEmbeds }, taps };
  };
}

function unet2DConditionCall(model: UNet2DConditionModel, inputs: RecordedInputs): RecordedCall {
  const [sample, t] = [inputs.tensor("sample"), inputs.numbers("timestep")];
  const texts = inputs.tensor("encoder_hidden_states");
  const [down, adapted] = ["down_block_additional_residuals", "down_intrablock_additional_residuals"];
  const options = {
    ...conditionsOf(inputs),
    ...inputs.has(`${down}.0`) && { downBlockAdditionalResiduals: inputs.list(down) },
    ...inputs.has("mid_block_additional_residual") &&
      { midBlockAdditionalResidual: inputs.tensor("mid_block_additional_residual") },
    ...inputs.has(`${adapted}.0`) && { downIntrablockAdditionalResiduals: inputs.list(adapted) },
  };
  return (paths) => {
    const { sample: y, taps } = model.forward(sample, t, texts, { ...options, taps: paths });
    return { results: { sample: y }, taps };
  };
}

/** Class labels, where there are some: ids, or vectors [B, V]. */
function labelsOf(inputs: RecordedInputs): { classLabels?: readonly number[] | Tensor } {
  if (!inputs.has("class_labels")) return {};
  const labels = inputs.tensor("class_labels");
  return { classLabels: labels.shape.length > 1 ? labels : inputs.numbers("class_labels") as number[] };
}

function fluxCall(model: FluxTransformer2DModel, inputs: RecordedInputs): RecordedCall {
  const x = inputs.tensor("hidden_states");
  const options = { ...fluxOptions(inputs), pooledProjections: inputs.tensor("pooled_projections") };
  return (paths) => {
    const { sample, taps } = model.forward(x, { ...options, taps: paths });
    return { results: { sample }, taps };
  };
}

function fluxControlNetCall(model: FluxControlNetModel, inputs: RecordedInputs): RecordedCall {
  const [x, cond] = [inputs.tensor("hidden_states"), inputs.tensor("controlnet_cond")];
  const options = {
    ...fluxOptions(inputs),
    pooledProjections: inputs.tensor("pooled_projections"),
    ...inputs.has("controlnet_mode") && { controlnetMode: inputs.numbers("controlnet_mode") },
    ...inputs.has("conditioning_scale") &&
      { conditioningScale: [inputs.numbers("conditioning_scale")].flat()[0]! },
  };
  return (paths) => {
    const output = model.forward(x, cond, { ...options, taps: paths });
    const lists = {
      controlnet_block_samples: output.controlnetBlockSamples,
      controlnet_single_block_samples: output.controlnetSingleBlockSamples,
    };
    const results = Object.entries(lists).flatMap(([name, list]) =>
      list.map((y, i) => [`${name}.${i}`, y] as const)
    );
    return { results: Object.fromEntries(results), taps: output.taps };
  };
}

function flux2Call(model: Flux2Transformer2DModel, inputs: RecordedInputs): RecordedCall {
  const x = inputs.tensor("hidden_states");
  const options = fluxOptions(inputs);
  return (paths) => {
    const { sample, taps } = model.forward(x, { ...options, taps: paths });
    return { results: { sample }, taps };
  };
}

function fluxOptions(inputs: RecordedInputs) {
  return {
    encoderHiddenStates: inputs.tensor("encoder_hidden_states"),
    timestep: inputs.numbers("timestep"),
    imgIds: inputs.rows("img_ids"),
    txtIds: inputs.rows("txt_ids"),
    ...inputs.has("guidance") && { guidance: inputs.numbers("guidance") },
  };
}

/** Of one picture and caption, which diffusers takes in lists. */
function zImageCall(model: ZImageTransformer2DModel, inputs: RecordedInputs): RecordedCall {
  const [x, t] = [inputs.tensor("x.0").unsqueeze(0), inputs.numbers("t")];
  const captions = inputs.tensor("cap_feats.0").unsqueeze(0);
  return (paths) => {
    const { sample, taps } = model.forward(x, t, captions, { taps: paths });
    return { results: { "sample.0": sample }, taps };
  };
}

function clipCall(model: CLIPTextModel, inputs: RecordedInputs): RecordedCall {
  const ids = inputs.rows("input_ids");
  return (paths) => {
    const output = model instanceof CLIPTextModelWithProjection
      ? model.forward(ids, { taps: paths })
      : { textEmbeds: undefined, ...model.forward(ids, { taps: paths }) };
    const { lastHiddenState, pooledOutput, textEmbeds, hiddenStates, taps } = output;
    const results = {
      last_hidden_state: lastHiddenState,
      pooler_output: pooledOutput,
      ...textEmbeds && { text_embeds: textEmbeds },
      ...statesOf(hiddenStates),
    };
    return { results, taps };
  };
}

function qwen3Call(model: Qwen3Model, inputs: RecordedInputs): RecordedCall {
  const ids = inputs.rows("input_ids");
  const attentionMask = inputs.has("attention_mask") ? inputs.rows("attention_mask") : undefined;
  const all = Array.from({ length: model.config.num_hidden_layers + 1 }, (_, k) => k);
  return (paths) => {
    const { hiddenStates, taps } = model.forward(ids, { attentionMask, hiddenStates: all, taps: paths });
    return { results: { last_hidden_state: hiddenStates.at(-1)!, ...statesOf(hiddenStates) }, taps };
  };
}

function t5Call(model: T5EncoderModel, inputs: RecordedInputs): RecordedCall {
  const ids = inputs.rows("input_ids");
  const attentionMask = inputs.has("attention_mask") ? inputs.rows("attention_mask") : undefined;
  return (paths) => {
    const { lastHiddenState, hiddenStates, taps } = model.forward(ids, {
      attentionMask,
      outputHiddenStates: true,
      taps: paths,
    });
    return { results: { last_hidden_state: lastHiddenState, ...statesOf(hiddenStates!) }, taps };
  };
}

function statesOf(states: readonly Tensor[]): Record<string, Tensor> {
  return Object.fromEntries(states.map((state, i) => [`hidden_states.${i}`, state]));
}
