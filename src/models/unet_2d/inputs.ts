import { timestepEmbedding } from "../../ops/mod.ts";
import { Tensor, tensor } from "../../tensor/mod.ts";
import { expectInput, idsInput, onePerRow } from "../inputs.ts";
import type { UNet2DConfig } from "./config.ts";

/** Tensors that a UNet2DModel reads. */
export type UNet2DInputs = {
  /** [B, C, H, W] */
  sample: Tensor;
  /** Features [B, K] of positional time, log t [B] of Fourier time, or ids [B] of learned time. */
  time: Tensor;
  /** Timesteps [B], where the output is divided by them. */
  divisor?: Tensor;
  /** Ids [B], vectors [B, T], or the like of `time`, as the config's class_embed_type says. */
  classes?: Tensor;
};

/** Classes to draw: one for all rows of the sample, one a row, or embeddings [B, T] where the config says so. */
export type ClassLabels = number | readonly number[] | Tensor;

/** Keys that the configs of all UNets have. */
type CommonConfig = Pick<
  UNet2DConfig,
  "in_channels" | "block_out_channels" | "flip_sin_to_cos" | "freq_shift" | "num_class_embeds"
>;

/** Checks the arguments of `forward`, and makes tensors of its numbers. */
export function unet2DInputs(
  sample: Tensor,
  t: number | readonly number[],
  classLabels: ClassLabels | undefined,
  config: UNet2DConfig,
): UNet2DInputs {
  const B = expectSample(sample, config);
  const timesteps = onePerRow("timestep", t, B);
  const inputs: UNet2DInputs = { sample, time: timeInput(timesteps, config) };
  if (config.time_embedding_type === "fourier") inputs.divisor = tensor(timesteps, [B]);
  const classes = classInput(classLabels, B, config, timeInput);
  if (classes) inputs.classes = classes;
  return inputs;
}

function timeInput(t: readonly number[], config: UNet2DConfig): Tensor {
  switch (config.time_embedding_type) {
    case "positional":
      return timestepFeatures(t, config);
    case "fourier":
      return tensor(t.map((x) => Math.log(Math.fround(x))), [t.length]);
    case "learned":
      return idsInput("timestep", t, config.num_train_timesteps!);
  }
}

/** Checks the shape of a sample [B, C, H, W]; returns B. */
export function expectSample(sample: Tensor, { in_channels }: CommonConfig): number {
  expectInput("denoise a sample", sample, ["B", in_channels, "H", "W"]);
  return sample.shape[0]!;
}

/** Sides of the samples that a UNet was trained on, or the least that it can halve where its config has none. */
export function sampleSizeOf(
  { sample_size, block_out_channels }: Pick<UNet2DConfig, "sample_size" | "block_out_channels">,
): [H: number, W: number] {
  const size = sample_size ?? 2 ** block_out_channels.length;
  return typeof size === "number" ? [size, size] : size;
}

/** Sinusoidal features of timesteps. → [B, dim] */
export function timestepFeatures(
  t: readonly number[],
  { block_out_channels, flip_sin_to_cos, freq_shift }: CommonConfig,
  dim: number = block_out_channels[0]!,
): Tensor {
  return timestepEmbedding(t, { dim, flipSinToCos: flip_sin_to_cos, downscaleFreqShift: freq_shift });
}

/** Classes as a UNet reads them: ids of a table, features of numbers, or vectors as they are. */
export function classInput<Config extends CommonConfig & { class_embed_type: string | null }>(
  labels: ClassLabels | undefined,
  B: number,
  config: Config,
  features: (labels: readonly number[], config: Config) => Tensor,
): Tensor | undefined {
  const { class_embed_type: type, num_class_embeds: classes } = config;
  const wanted = type !== null || classes !== null;
  if (wanted !== (labels !== undefined)) {
    throw new TypeError(
      `Cannot denoise: expected ${wanted ? "classLabels, as the model draws classes" : "no classLabels"}, ` +
        `got ${wanted ? "none" : "some; the model draws no classes"}`,
    );
  }
  if (labels === undefined) return undefined;
  const vectors = type !== null && type !== "timestep";
  if (vectors !== (labels instanceof Tensor)) {
    throw new TypeError(
      `Cannot use classLabels: expected ${vectors ? "a tensor [B, T]" : "numbers"}, got ${labels}; ` +
        `class_embed_type is ${JSON.stringify(type)}`,
    );
  }
  if (labels instanceof Tensor) return labels;
  const rows = onePerRow("class label", labels, B);
  return type === "timestep" ? features(rows, config) : idsInput("class label", rows, classes!);
}
