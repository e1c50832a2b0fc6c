import { randn, type Tensor, zeros } from "denoise";
import {
  Autoencoder,
  AutoencoderKLBase,
  CLIPTextModel,
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
  ZImageControlNetModel,
  ZImageTransformer2DModel,
} from "denoise/models";
import { flux2ImageIds, flux2TextIds } from "../../src/models/flux2_transformer_2d/positions.ts";
import { modulationWidth } from "../../src/models/flux_transformer_2d/modulation.ts";
import { imageIds, textIds } from "../../src/models/flux_transformer_2d/pos_embed.ts";
import { emptyOptions } from "../../src/models/unet_2d_condition/inputs.ts";
import { latentSide } from "../../src/pipelines/size.ts";
import type { Size } from "../command_line/options.ts";
import type { PipelineFacts } from "../inspect/find_model.ts";

/**
 * A model's work in a pipeline: as a loop does it, of what changes from step to step each turn has another
 * value.
 */
export interface Call {
  /** What is called, with the shapes of its inputs. */
  readonly text: string;
  /** Records it. */
  readonly record: (turn: number) => Tensor;
}

const CLIP_TOKENS = 77;
const T5_TOKENS = 512; // and those of FLUX.2's prompts
const PIXELS = 8; // of a side, to one latent
const SIGLIP_TOKENS = 729; // of a picture of 384 pixels, in patches of 14
const QWEN_TOKENS = 64; // of a prompt of usual length
const USUAL_SIDE = 1024; // pixels that FLUX and Z-Image draw where nothing else is said

/**
 * The call that pipelines make of a model, on noise, for a picture of some pixels; of both halves where it is
 * guided. `facts` are those of the pipeline, of which Stable Diffusion's take the place where they are not
 * known. Throws a RangeError where the latents have no such size.
 */
export function usualCall(model: Model, size: Size | undefined, facts: PipelineFacts = {}): Call {
  const { tokens = CLIP_TOKENS, pixels = PIXELS } = facts;
  if (model instanceof UNet2DModel) {
    const [h, w] = size ? [size.height, size.width] : model.sampleSize;
    const shape = [1, model.config.in_channels, h, w];
    const samples = twice(() => randn(shape));
    return {
      text: `forward [${shape.join(", ")}]`,
      record: (turn) => model.forward(samples[turn % 2]!, 500 - turn % 500).sample,
    };
  }
  if (model instanceof UNet2DConditionModel) {
    const [h, w] = latents(size, model.sampleSize, pixels);
    const shape = [2, model.config.in_channels, h, w];
    const samples = twice(() => randn(shape));
    const texts = randn([2, tokens, model.config.cross_attention_dim]);
    const options = emptyOptions(2, model.config);
    return {
      text: `forward [${shape.join(", ")}], ${tokens} tokens`,
      record: (turn) => model.forward(samples[turn % 2]!, 500 - turn % 500, texts, options).sample,
    };
  }
  if (model instanceof ControlNetModel) return controlNetCall(model, size, { tokens, pixels });
  if (model instanceof T2IAdapter) return t2iAdapterCall(model, size);
  if (model instanceof CLIPVisionModelWithProjection) {
    return callOn(pictureOf(model), (x) => model.forward(x).imageEmbeds);
  }
  if (model instanceof SiglipVisionModel) {
    return callOn(pictureOf(model), (x) => model.forward(x).lastHiddenState);
  }
  if (model instanceof ReduxImageEncoder) {
    return callOn([1, SIGLIP_TOKENS, model.config.redux_dim], (x) => model.forward(x).imageEmbeds);
  }
  if (model instanceof FluxTransformer2DModel) return fluxCall(model, size, pixels);
  if (model instanceof FluxControlNetModel) return fluxControlNetCall(model, size, pixels);
  if (model instanceof Flux2Transformer2DModel) return flux2Call(model, size, pixels);
  if (model instanceof ZImageTransformer2DModel) return zImageCall(model, size, pixels);
  if (model instanceof Autoencoder) {
    const { latent_channels } = model.config;
    const side = model instanceof AutoencoderKLBase ? [model.config.sample_size].flat()[0]! : USUAL_SIDE / 2;
    const usual = Math.ceil(side / model.scaleFactor);
    const shape = [1, latent_channels, ...latents(size, [usual, usual], model.scaleFactor)];
    const samples = twice(() => randn(shape));
    return {
      text: `decode [${shape.join(", ")}]`,
      record: (turn) => model.decode(samples[turn % 2]!).sample,
    };
  }
  if (model instanceof CLIPTextModel || model instanceof T5EncoderModel) {
    const count = model instanceof T5EncoderModel
      ? T5_TOKENS
      : Math.min(CLIP_TOKENS, model.config.max_position_embeddings);
    const ids = (turn: number) =>
      Array.from({ length: count }, (_, i) => (i + turn) % model.config.vocab_size);
    return {
      text: `forward [1, ${count}] tokens`,
      record: (turn) => model.forward([ids(turn)]).lastHiddenState,
    };
  }
  if (model instanceof Qwen3Model) {
    const ids = (turn: number) =>
      Array.from({ length: T5_TOKENS }, (_, i) => (i + turn) % model.config.vocab_size);
    return {
      text: `forward [1, ${T5_TOKENS}] tokens`,
      record: (turn) => model.forward([ids(turn)]).hiddenStates.at(-1)!,
    };
  }
  if (model instanceof ZImageControlNetModel) {
    throw new TypeError(
      "Cannot profile ZImageControlNetModel alone: it shares layers of a transformer; profile a pipeline's loop",
    );
  }
  throw new TypeError(
    `Cannot profile ${(model as Model).constructor.name}: nothing says what it is called with`,
  );
}

function controlNetCall(
  model: ControlNetModel,
  size: Size | undefined,
  { tokens, pixels }: Required<{ [Fact in keyof PipelineFacts]: number }>,
): Call {
  const { in_channels, cross_attention_dim, conditioning_channels } = model.config;
  const [h, w] = latents(size, [USUAL_SIDE / 2 / PIXELS, USUAL_SIDE / 2 / PIXELS], pixels);
  const shape = [2, in_channels, h, w];
  const samples = twice(() => randn(shape));
  const texts = randn([2, tokens, cross_attention_dim]);
  const picture = zeros([1, conditioning_channels, model.scaleFactor * h, model.scaleFactor * w]);
  const options = emptyOptions(2, model.config);
  return {
    text: `forward [${shape.join(", ")}], ${tokens} tokens`,
    record: (turn) =>
      model.forward(samples[turn % 2]!, 500 - turn % 500, texts, picture, options).midBlockResSample,
  };
}

function t2iAdapterCall(model: T2IAdapter, size: Size | undefined): Call {
  const { in_channels, downscale_factor: f } = model.config;
  const [h, w] = latents(size, [USUAL_SIDE / 2 / PIXELS, USUAL_SIDE / 2 / PIXELS], f);
  return callOn([1, in_channels, f * h, f * w], (x) => model.forward(x).features.at(-1)!);
}

/** A call whose one input has this shape. */
function callOn(shape: readonly number[], run: (x: Tensor) => Tensor): Call {
  const inputs = twice(() => randn(shape));
  return { text: `forward [${shape.join(", ")}]`, record: (turn) => run(inputs[turn % 2]!) };
}

/** Shape of the picture that a vision model sees. */
function pictureOf({ config }: { config: { num_channels: number; image_size: number } }): number[] {
  return [1, config.num_channels, config.image_size, config.image_size];
}

function fluxCall(model: FluxTransformer2DModel, size: Size | undefined, pixels: number): Call {
  const { in_channels, joint_attention_dim } = model.config;
  const [h, w] = tokensOf(size, pixels);
  const shape = [1, h * w, in_channels];
  const samples = twice(() => randn(shape));
  const modulations = twice(() => zeros([1, modulationWidth(model.config)]));
  const encoderHiddenStates = randn([1, T5_TOKENS, joint_attention_dim]);
  const [imgIds, txtIds] = [imageIds([2 * h, 2 * w]), textIds(T5_TOKENS)];
  return {
    text: `forward [${shape.join(", ")}], ${T5_TOKENS} tokens, ${2 * pixels * w}×${2 * pixels * h} pixels`,
    record: (turn) => {
      const options = { encoderHiddenStates, imgIds, txtIds, modulation: modulations[turn % 2]! };
      return model.forward(samples[turn % 2]!, options).sample;
    },
  };
}

function fluxControlNetCall(model: FluxControlNetModel, size: Size | undefined, pixels: number): Call {
  const { in_channels, joint_attention_dim, pooled_projection_dim, guidance_embeds, num_mode } = model.config;
  const [h, w] = tokensOf(size, pixels);
  const shape = [1, h * w, in_channels];
  const samples = twice(() => randn(shape));
  const cond = model.seesPixels ? randn([1, 3, 2 * pixels * h, 2 * pixels * w]) : randn(shape);
  const options = {
    encoderHiddenStates: randn([1, T5_TOKENS, joint_attention_dim]),
    pooledProjections: randn([1, pooled_projection_dim]),
    imgIds: imageIds([2 * h, 2 * w]),
    txtIds: textIds(T5_TOKENS),
    guidance: guidance_embeds ? 3.5 : undefined,
    controlnetMode: num_mode === undefined ? undefined : 0,
  };
  return {
    text: `forward [${shape.join(", ")}], ${T5_TOKENS} tokens, ${2 * pixels * w}×${2 * pixels * h} pixels`,
    record: (turn) => {
      const output = model.forward(samples[turn % 2]!, cond, { ...options, timestep: turn % 10 / 10 });
      return [...output.controlnetBlockSamples, ...output.controlnetSingleBlockSamples].at(-1)!;
    },
  };
}

function flux2Call(model: Flux2Transformer2DModel, size: Size | undefined, pixels: number): Call {
  const { in_channels, joint_attention_dim, guidance_embeds } = model.config;
  const [h, w] = tokensOf(size, pixels);
  const shape = [1, h * w, in_channels];
  const samples = twice(() => randn(shape));
  const encoderHiddenStates = randn([1, T5_TOKENS, joint_attention_dim]);
  const [imgIds, txtIds] = [flux2ImageIds([h, w]), flux2TextIds(T5_TOKENS)];
  const guidance = guidance_embeds ? 4 : undefined;
  return {
    text: `forward [${shape.join(", ")}], ${T5_TOKENS} tokens, ${2 * pixels * w}×${2 * pixels * h} pixels`,
    record: (turn) => {
      const timestep = turn % 10 / 10;
      const options = { encoderHiddenStates, imgIds, txtIds, timestep, guidance };
      return model.forward(samples[turn % 2]!, options).sample;
    },
  };
}

function zImageCall(model: ZImageTransformer2DModel, size: Size | undefined, pixels: number): Call {
  const { in_channels, cap_feat_dim } = model.config;
  const [h, w] = tokensOf(size, pixels);
  const shape = [1, in_channels, 2 * h, 2 * w];
  const samples = twice(() => randn(shape));
  const captions = randn([1, QWEN_TOKENS, cap_feat_dim]);
  return {
    text: `forward [${shape.join(", ")}], ${QWEN_TOKENS} tokens, ${2 * pixels * w}×${2 * pixels * h} pixels`,
    record: (turn) => model.forward(samples[turn % 2]!, turn % 10 / 10, captions).sample,
  };
}

/**
 * Tokens along the sides of a picture, each of 2×2 latents; by default as many as of 1024×1024 pixels with a
 * usual VAE.
 */
function tokensOf(size: Size | undefined, pixels: number): [h: number, w: number] {
  const usual = USUAL_SIDE / (2 * PIXELS);
  return latents(size, [usual, usual], 2 * pixels);
}

/** Sides of the latents of a picture of some pixels; `usual` where nothing is said. */
function latents(size: Size | undefined, usual: readonly [number, number], pixels: number): [number, number] {
  if (!size) return [...usual];
  return [latentSide("height", size.height, pixels), latentSide("width", size.width, pixels)];
}

function twice<T>(make: () => T): [T, T] {
  return [make(), make()];
}
