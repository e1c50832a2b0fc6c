import { currentDevice, type Device, type DType, Tensor, zeros } from "denoise";
import { attention, conv2d, groupNorm, layerNorm, linear, softmax } from "denoise/ops";
import type { Problem as PeerProblem } from "../../bench/cases.ts";
import { usualStrides } from "../../src/core/shape.ts";
import { Leaf } from "../../src/graph/node.ts";

/** A kernel at a size that models have. */
export interface Case {
  readonly name: string;
  /** Records it; nothing runs. */
  readonly record: () => Tensor;
  /** The same for torch, where it is asked. */
  readonly peer?: PeerProblem | undefined;
}

/** Which cases there are; what is not said follows from the adapter. */
export interface CaseOptions {
  readonly quick: boolean;
  readonly dtype?: "f32" | "f16" | undefined;
  /** True for the small cases, for software adapters. */
  readonly software?: boolean | undefined;
}

/** The sizes of SD 1.5 at 512² (both halves of a guided step) and of FLUX.1 at 1024²; smaller ones on a software adapter. */
export function casesOf(
  device: Device,
  { quick, dtype = caseDType(device), software = device.traits.software }: CaseOptions,
): Case[] {
  const { f16 } = device.traits;
  const weight = f16 ? "f16" : "f32";
  const [size, side, tokens, flux] = software ? [256, 16, 256, 128] : [4096, 64, 4096, 4608];
  const all: Case[] = [
    product(size, size, size, dtype, weight),
    product(software ? 128 : 8192, 320, 320, dtype, weight),
    product(software ? 64 : flux, 3072, software ? 768 : 12288, dtype, weight),
    product(software ? 64 : flux, 3072, software ? 768 : 12288, dtype, "int8"),
    product(software ? 64 : flux, 3072, software ? 768 : 12288, dtype, "int4"),
    product(1, 3072, software ? 3072 : 18432, dtype, weight),
    product(1, 3072, software ? 3072 : 18432, dtype, "int4"),
    product(software ? 128 : 1024, 1024, software ? 128 : 1024, "f32", "f32"),
    convolution(320, side, dtype, weight),
    convolution(software ? 128 : 1280, side / 4, dtype, weight),
    attentions(software ? 2 : 16, tokens, tokens, 40, dtype),
    attentions(software ? 2 : 16, tokens, 77, 40, dtype),
    attentions(software ? 2 : 24, flux, flux, 128, dtype),
    attentions(1, tokens, tokens, 512, dtype),
    {
      name: `group norm of 320 channels, ${side}²`,
      record: () => groupNorm(image(2, 320, side, dtype), {}, { groups: 32 }),
    },
    {
      name: `layer norm of ${2 * tokens} × 320`,
      record: () => layerNorm(zeros([2 * tokens, 320], { dtype }), null),
    },
    { name: `softmax of ${tokens} × 1024`, record: () => softmax(zeros([tokens, 1024], { dtype })) },
  ];
  return quick ? all.filter((_, i) => [0, 2, 3, 8, 10].includes(i)) : all;
}

/** As models have it by default. */
export function usualDType({ traits: { f16, software } }: Device): "f32" | "f16" {
  return f16 && !software ? "f16" : "f32";
}

/** As models have it, and f16 where there are matrix units: they take nothing else. */
function caseDType(device: Device): "f32" | "f16" {
  const { f16, matrices } = device.traits;
  return f16 && matrices.length > 0 ? "f16" : usualDType(device);
}

function product(m: number, k: number, n: number, dtype: "f32" | "f16", weight: DType): Case {
  const square = m === k && k === n;
  return {
    name: `${dtype} by ${weight} product ${m}×${k} → ${n}`,
    record: () => linear(zeros([m, k], { dtype }), { weight: leaf(weight, [n, k]) }),
    peer: square ? { op: "matmul", size: m } : undefined,
  };
}

function convolution(channels: number, side: number, dtype: "f32" | "f16", weight: DType): Case {
  return {
    name: `convolution 3×3 of ${channels} channels, ${side}²`,
    record: () =>
      conv2d(image(1, channels, side, dtype), { weight: leaf(weight, [channels, channels, 3, 3]) }, {
        padding: 1,
      }),
    peer: { op: "conv2d", channels, side },
  };
}

function attentions(heads: number, queries: number, keys: number, width: number, dtype: "f32" | "f16"): Case {
  const split = (N: number) => zeros([1, N, heads, width], { dtype }).permute([0, 2, 1, 3]);
  return {
    name: `attention, ${heads} × ${queries} queries of ${width}, ${keys} keys`,
    record: () => attention(split(queries), split(keys), split(keys)),
    peer: { op: "attention", heads, queries, keys, width },
  };
}

function image(B: number, C: number, side: number, dtype: "f32" | "f16"): Tensor {
  return zeros([B, side, side, C], { dtype }).permute([0, 3, 1, 2]);
}

/** A weight without values, in the memory order of its kind. */
function leaf(dtype: DType, shape: readonly number[]): Tensor {
  const count = shape.reduce((product, n) => product * n, 1);
  return new Tensor(currentDevice(), new Leaf(dtype, count, "weight"), shape, usualStrides(shape), 0);
}
