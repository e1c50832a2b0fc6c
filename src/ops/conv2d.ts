import { channelsLastStrides, type Shape } from "../core/shape.ts";
import { type Tensor, zeros } from "../tensor/mod.ts";
import { adapterOf } from "./adapters.ts";
import { gemm } from "./gemm.ts";
import type { Affine } from "./linear.ts";

/** Options of `conv2d`. */
export interface Conv2dOptions {
  /** Pixels from one window to the next; 1 by default. */
  stride?: number | undefined;
  /** Zeros around the picture: one number, or [left, right, top, bottom]. */
  padding?: number | readonly [left: number, right: number, top: number, bottom: number] | undefined;
  /** 2 convolves the picture at twice its size, nearest neighbour, without making it. */
  upsample?: 1 | 2 | undefined;
}

/** Convolution, as torch.nn.functional.conv2d. x [B, C, H, W], weight [O, C, kh, kw] → [B, O, H', W']. */
export function conv2d(x: Tensor, { weight, bias }: Affine, options: Conv2dOptions = {}): Tensor {
  const { stride = 1, padding = 0, upsample = 1 } = options;
  const [left, right, top, bottom] = typeof padding === "number" ? Array(4).fill(padding) : padding;
  const [B, C, H, W] = x.shape as Shape<4>;
  const [O, inputs, kh, kw] = weight.shape as Shape<4>;
  if (x.rank !== 4 || weight.rank !== 4 || inputs !== C) {
    throw new RangeError(
      `Cannot convolve ${x} with ${weight}: expected [B, C, H, W] and [O, C, kh, kw] with the same C`,
    );
  }
  const outH = Math.floor((H * upsample + top + bottom - kh) / stride) + 1;
  const outW = Math.floor((W * upsample + left + right - kw) / stride) + 1;
  if (outH < 1 || outW < 1) {
    throw new RangeError(
      `Cannot convolve ${x} with ${weight}: the picture is smaller than the kernel; pad it`,
    );
  }
  const image = x.strides[1] === 1 && x.strides[2] === W * x.strides[3]! ? x : x.channelsLast();
  const adapter = lowRank(image, weight, options); // in front of the product, whose `store` then takes the sum
  const kernel = weight.contiguous(channelsLastStrides(weight.shape)); // [O, kh, kw, C]: how checkpoints are uploaded
  const y = C === 0 ? zeros([B, O, outH, outW]) : gemm({
    x: image,
    w: kernel,
    batch: [B, 1],
    m: outH * outW,
    n: O,
    k: C,
    taps: kh * kw,
    xLayout: { z0: image.strides[0]!, z1: 0, row: image.strides[W > 1 ? 3 : 2]! }, // a single column has no stride
    wLayout: { z0: 0, z1: 0, row: kh * kw * C },
    order: "nk",
    conv: {
      x_image: 0, // images are batches, so that epilogues may differ from image to image
      in_h: H,
      in_w: W,
      out_h: outH,
      out_w: outW,
      kernel_w: kw,
      stride,
      pad_top: top,
      pad_left: left,
      upsample: upsample - 1,
    },
    shape: [B, O, outH, outW],
  });
  const adapted = adapter ? y.add(adapter) : y;
  return bias ? adapted.add(bias.reshape([O, 1, 1])) : adapted;
}

/** What hangs on a weight adds to its convolution of x. */
function lowRank(x: Tensor, weight: Tensor, options: Conv2dOptions): Tensor | undefined {
  const adapter = adapterOf(weight);
  if (!adapter) return undefined;
  const hidden = conv2d(x, { weight: adapter.down }, options);
  const scaled = hidden.mul(adapter.scale().reshape([-1, 1, 1])).cast(x.dtype);
  return conv2d(scaled, { weight: adapter.up });
}
