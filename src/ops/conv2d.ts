import { expectOptions } from "../core/error.ts";
import { channelsLastStrides, type Shape } from "../core/shape.ts";
import { partsOf, type Tensor, zeros } from "../tensor/mod.ts";
import { gemm } from "./gemm/gemm.ts";
import { seamOf } from "./gemm/operands.ts";
import type { ConvRows, Second } from "./gemm/problem.ts";
import { type Affine, affine } from "./linear.ts";
import { lowRankOf, noteProducts } from "./low_rank.ts";
import { type Padding, type Pair, pairOf, windowCount, windowsOf } from "./windows.ts";

/** Options of `conv2d`, as in torch; pairs are [vertical, horizontal]. */
export interface Conv2dOptions {
  /** Pixels from one window to the next; 1 by default. */
  stride?: Pair | undefined;
  /** Zeros around the picture; none by default. */
  padding?: Padding | undefined;
  /** Pixels from tap to tap of the kernel; 1 by default. */
  dilation?: Pair | undefined;
  /** Parts into which channels are cut, each convolved by itself; 1 by default. */
  groups?: number | undefined;
  /** 2 convolves the picture at twice its size, nearest neighbour, without making it. */
  upsample?: 1 | 2 | undefined;
}

/**
 * Convolution, as torch.nn.functional.conv2d. x [B, C, H, W], weight [O, C / groups, kh, kw] → [B, O, H', W'];
 * x [C, H, W] → [O, H', W'].
 */
export function conv2d(x: Tensor, w: Affine, options: Conv2dOptions = {}): Tensor {
  expectOptions("convolve", options, ["stride", "padding", "dilation", "groups", "upsample"]);
  const { weight, bias } = affine("convolve", w);
  if (x.rank === 3) return conv2d(x.unsqueeze(0), { weight, bias }, options).squeeze(0);
  const { groups = 1 } = options;
  const O = outputChannels(x, weight, options);
  const { shape, conv } = geometryOf(x, weight, options);
  const [B, C] = x.shape as Shape<4>;
  const [, inputs, kh, kw] = weight.shape as Shape<4>;
  const [, , outH, outW] = shape;
  const kernel = weight.contiguous(channelsLastStrides(weight.shape)); // [O, kh, kw, C]: how checkpoints are uploaded
  const [image, second] = (groups === 1 ? joinedPictures(x) : undefined) ?? [pictureOf(x)];
  noteProducts(weight);
  const added = addedProduct(second ? x : image, weight, options); // in front of the product, whose `store` then takes the sum
  const pieces = second ? second.pieces[0] + second.pieces[1] : 1;
  const y = C === 0 ? zeros(shape) : gemm({
    x: image,
    w: kernel,
    batch: [B, groups],
    m: outH * outW,
    n: O / groups,
    k: inputs / pieces,
    taps: kh * kw * pieces,
    xLayout: { z0: image.strides[0]!, z1: inputs, row: pixelStride(image) },
    second,
    wLayout: { z0: 0, z1: O / groups * kh * kw * inputs, row: kh * kw * inputs },
    order: "nk",
    conv,
    shape,
    strides: [outH * outW * O, O / groups, O, 1],
  });
  const sum = added ? y.add(added) : y;
  return bias ? sum.add(bias.reshape([O, 1, 1])) : sum;
}

/** x with its channels contiguous, and rows of pixels one behind the other. */
function pictureOf(x: Tensor): Tensor {
  return x.strides[1] === 1 && x.strides[2] === x.shape[3]! * x.strides[3]! ? x : x.channelsLast();
}

/** Elements from pixel to pixel; a single column has no stride. */
function pixelStride({ shape, strides }: Tensor): number {
  return strides[shape[3]! > 1 ? 3 : 2]!;
}

const LEAST_PIECE = 32; // channels, for which kernels load at once

/**
 * The two pictures that `cat` would join to x, to be read where they lie: where both are of whole pieces of channels, on an
 * adapter that gains by it. A software adapter takes both sides of every branch.
 */
function joinedPictures(x: Tensor): [Tensor, Second] | undefined {
  const parts = x.device.traits.joins ? partsOf(x, 1) : undefined;
  if (parts?.length !== 2) return undefined;
  const [first, other] = parts.map(pictureOf) as [Tensor, Tensor];
  const places = [first, other].flatMap((part) => [part.offset, part.strides[0]!, pixelStride(part)]);
  const [a, b] = [first.shape[1]!, other.shape[1]!];
  const piece = greatestDivisor(a, b);
  const fits = piece % LEAST_PIECE === 0 && places.every((n) => n % 8 === 0);
  if (!fits || seamOf(first) + other.node.count >= 2 ** 31) return undefined;
  return [first, {
    x: other,
    z0: other.strides[0]!,
    row: pixelStride(other),
    pieces: [a / piece, b / piece],
  }];
}

function greatestDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestDivisor(b, a % b);
}

/** The number of output channels. Throws where shapes or options do not fit. */
function outputChannels(
  x: Tensor,
  weight: Tensor,
  { groups = 1, stride = 1, padding }: Conv2dOptions,
): number {
  const [, C] = x.shape;
  const [O, inputs] = weight.shape as Shape<4>;
  const whole = Number.isInteger(groups) && groups > 0 && O % groups === 0;
  if (x.rank !== 4 || weight.rank !== 4 || !whole || inputs * groups !== C) {
    const of = groups === 1 ? "C" : "C / groups";
    const parts = groups === 1 ? "" : ` and ${groups} groups`;
    throw new RangeError(
      `Cannot convolve ${x} with ${weight}${parts}: expected [B, C, H, W] and [O, ${of}, kh, kw] with the same C`,
    );
  }
  if (padding === "same" && pairOf(stride).some((step) => step !== 1)) {
    throw new RangeError(`Cannot convolve ${x} with padding "same": expected a stride of 1, got ${stride}`);
  }
  return O;
}

/** The shape of the result, and how its pixels meet those of x. Throws where a window is larger than the picture. */
function geometryOf(x: Tensor, weight: Tensor, options: Conv2dOptions): { shape: Shape<4>; conv: ConvRows } {
  const { stride = 1, padding = 0, dilation = 1, upsample = 1 } = options;
  const [B, , H, W] = x.shape as Shape<4>;
  const [O, , kh, kw] = weight.shape as Shape<4>;
  const [down, across] = windowsOf([kh, kw], stride, dilation, padding);
  const [outH, outW] = [windowCount(H * upsample, down), windowCount(W * upsample, across)];
  if (outH < 1 || outW < 1) {
    throw new RangeError(
      `Cannot convolve ${x} with ${weight}: the picture is smaller than the kernel; pad it`,
    );
  }
  const conv = {
    x_image: 0, // images are batches, so that epilogues may differ from image to image
    in_h: H,
    in_w: W,
    out_h: outH,
    out_w: outW,
    kernel_w: kw,
    stride_y: down.stride,
    stride_x: across.stride,
    dilation_y: down.dilation,
    dilation_x: across.dilation,
    pad_top: down.before,
    pad_left: across.before,
    upsample: upsample - 1,
  };
  return { shape: [B, O, outH, outW], conv };
}

/** The convolution that a LoRA adds to that of x with a weight. */
function addedProduct(x: Tensor, weight: Tensor, options: Conv2dOptions): Tensor | undefined {
  const lowRank = lowRankOf(weight);
  if (!lowRank) return undefined;
  const hidden = conv2d(x, { weight: lowRank.down }, options);
  const scaled = hidden.mul(lowRank.scale().reshape([-1, 1, 1])).cast(x.dtype);
  return conv2d(scaled, { weight: lowRank.up });
}
