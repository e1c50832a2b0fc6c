import { expectOptions, nameOfKind } from "../../core/error.ts";
import { formatShape } from "../../core/shape.ts";
import { timestepEmbedding } from "../../ops/mod.ts";
import { Tensor } from "../../tensor/mod.ts";
import type { SkipOptions } from "../runtime/model.ts";
import { expectInput, onePerRow } from "../inputs.ts";
import { patchKey, type PatchSize, patchSizes, type ZImageTransformer2DConfig } from "./config.ts";
import { expectPositions, type LayoutCache, padded, type ZImageLayout } from "./layout.ts";
import { framesOf, gridOf } from "./patches.ts";

/** Options of `ZImageTransformer2DModel.forward`. */
export interface ZImageTransformer2DOptions extends SkipOptions {
  /** Tokens of each caption that count, where captions of different lengths are filled up behind; all by default. */
  capLengths?: readonly number[] | undefined;
  /** Latents on a side of a token, for models with several sizes; the first of all_patch_size by default. */
  patchSize?: number | undefined;
  /** Frames of a token, for models with several sizes; that of all_f_patch_size beside patchSize by default. */
  fPatchSize?: number | undefined;
  /** Tokens that a ControlNet adds behind blocks, by their numbers; see ZImageControlNetModel. [B, L, dim] each */
  controlnetBlockSamples?: Readonly<Record<number, Tensor>> | undefined;
}

/** Tensors that a ZImageTransformer2DModel reads. */
export type ZImageTransformer2DInputs = ZImageLayout & {
  /** [B, C, F, H, W] or [B, C, H, W] */
  x: Tensor;
  /** Sinusoidal features of time. [B, 256] */
  time: Tensor;
  /** [B, given, cap_feat_dim] */
  capFeats: Tensor;
};

const OPTIONS = ["capLengths", "patchSize", "fPatchSize", "controlnetBlockSamples", "skipLayers", "taps"];
const NOT_BUILT = ["siglipFeats", "imageNoiseMask", "jointAttentionKwargs"];

/** Checks the arguments of `forward`, and makes tensors of its numbers. */
export function zImageTransformer2DInputs(
  x: Tensor,
  t: number | readonly number[],
  capFeats: Tensor,
  options: ZImageTransformer2DOptions,
  layouts: LayoutCache,
  config: ZImageTransformer2DConfig,
): { inputs: ZImageTransformer2DInputs; patch: PatchSize } {
  expectOptions(
    "denoise",
    options,
    OPTIONS,
    (name) => NOT_BUILT.includes(name) ? "Omni is not built" : undefined,
  );
  const patch = patchOf(options, config);
  expectLatents(x, patch, config);
  const B = x.shape[0]!;
  expectInput("use capFeats", capFeats, [B, "N", config.cap_feat_dim]);
  const given = capFeats.shape[1]!;
  const captions = lengthsOf(options.capLengths, B, given);
  const counts = { grid: gridOf(x, patch), captions, given };
  expectPositions(counts, config);
  const time = features(onePerRow("t", t, B), config);
  return { inputs: { x, time, capFeats, ...layouts.of(counts, config) }, patch };
}

/** Tokens that a ControlNet adds behind blocks, by the numbers of these, as inputs of a trace. */
export function blockSamples(
  samples: Readonly<Record<number, Tensor>>,
  { x, capPads }: ZImageTransformer2DInputs,
  patch: PatchSize,
  { dim, n_layers }: ZImageTransformer2DConfig,
): Record<string, Tensor> {
  const tokens = padded(gridOf(x, patch).reduce((a, b) => a * b)) + capPads.shape[1]!;
  return Object.fromEntries(
    Object.entries(samples).map(([layer, sample]) => {
      if (!/^\d+$/.test(layer) || Number(layer) >= n_layers) {
        throw new RangeError(
          `Cannot use controlnetBlockSamples: expected numbers of blocks from 0 to ${
            n_layers - 1
          }, got ${layer}`,
        );
      }
      expectInput(`use controlnetBlockSamples[${layer}]`, sample, [x.shape[0]!, tokens, dim]);
      return [sampleName(Number(layer)), sample];
    }),
  );
}

/** Name of the input that is added behind a block. */
export function sampleName(layer: number): string {
  return `controlnet_block_samples.${layer}`;
}

/** The size of tokens that the options ask for. */
function patchOf(
  { patchSize, fPatchSize }: ZImageTransformer2DOptions,
  config: ZImageTransformer2DConfig,
): PatchSize {
  const sizes = patchSizes(config);
  const found = sizes.find(([side, frames]) =>
    side === (patchSize ?? side) && frames === (fPatchSize ?? frames)
  );
  if (found) return found;
  const wanted = `${patchSize ?? "any"}-${fPatchSize ?? "any"}`;
  throw new RangeError(
    `Cannot denoise with tokens of size ${wanted}: expected ${
      sizes.map(patchKey).join(" or ")
    }, as the config has`,
  );
}

function expectLatents(x: Tensor, [p, f]: PatchSize, { in_channels: C }: ZImageTransformer2DConfig): void {
  if (!(x instanceof Tensor)) {
    throw new TypeError(`Cannot denoise: expected latents [B, ${C}, H, W], got ${nameOfKind(x)}`);
  }
  const isLatents = (x.rank === 4 || x.rank === 5) && x.shape[1] === C && x.size > 0;
  const [, , F, H, W] = framesOf(x);
  if (isLatents && F % f === 0 && H % p === 0 && W % p === 0) return;
  const sides = `H and W multiples of ${p}${f > 1 ? `, F of ${f}` : ""}`;
  throw new RangeError(
    `Cannot denoise: expected latents [B, ${C}, H, W] or [B, ${C}, F, H, W], ${sides}, got ${
      formatShape(x.shape)
    }`,
  );
}

function lengthsOf(lengths: readonly number[] | undefined, B: number, given: number): number[] {
  if (given === 0) throw new RangeError("Cannot use capFeats: expected at least one token, got none");
  if (lengths === undefined) return new Array<number>(B).fill(given);
  const isLength = (n: unknown) => Number.isInteger(n) && (n as number) >= 1 && (n as number) <= given;
  if (Array.isArray(lengths) && lengths.length === B && lengths.every(isLength)) return [...lengths];
  const got = Array.isArray(lengths) ? `[${lengths.join(", ")}]` : nameOfKind(lengths);
  throw new RangeError(
    `Cannot use capLengths: expected ${B} whole numbers from 1 to ${given}, the tokens of capFeats, got ${got}`,
  );
}

const FEATURES = 256;

/** Sinusoidal features of time, which the model takes times t_scale. → [B, 256] */
export function features(times: readonly number[], { t_scale }: ZImageTransformer2DConfig): Tensor {
  const scaled = times.map((t) => Math.fround(Math.fround(t) * t_scale));
  return timestepEmbedding(scaled, { dim: FEATURES, flipSinToCos: true, downscaleFreqShift: 0 });
}
