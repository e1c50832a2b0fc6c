import type { Shape } from "../core/shape.ts";
import type { Tensor } from "../tensor/mod.ts";
import { conv2d } from "./conv2d.ts";
import type { Affine } from "./linear.ts";
import { type Pair, pairOf } from "./windows.ts";

/** Options of `convTranspose2d`, as in torch; pairs are [vertical, horizontal]. */
export interface ConvTranspose2dOptions {
  /** Pixels of the result from one pixel of x to the next; 1 by default. */
  stride?: Pair | undefined;
  /** Pixels cut off on all sides of the result; none by default. */
  padding?: Pair | undefined;
  /** Pixels more at the bottom and on the right of the result; none by default. */
  outputPadding?: Pair | undefined;
  /** Parts into which channels are cut, each convolved by itself; 1 by default. */
  groups?: number | undefined;
  /** Pixels from tap to tap of the kernel; 1 by default. */
  dilation?: Pair | undefined;
}

/**
 * Transposed convolution, as torch.nn.functional.conv_transpose2d: a convolution of x, with zeros between its pixels,
 * by the flipped kernel. x [B, C, H, W], weight [C, O / groups, kh, kw] → [B, O, H', W'].
 */
export function convTranspose2d(
  x: Tensor,
  { weight, bias }: Affine,
  options: ConvTranspose2dOptions = {},
): Tensor {
  const { stride = 1, padding = 0, outputPadding = 0, groups = 1, dilation = 1 } = options;
  const [C, out, kh, kw] = weight.shape as Shape<4>;
  if (x.rank !== 4 || weight.rank !== 4 || x.shape[1] !== C || C % groups !== 0) {
    throw new RangeError(
      `Cannot convolve ${x} with ${weight}: expected [B, C, H, W] and [C, O / groups, kh, kw] with the same C`,
    );
  }
  const [[dy, dx], [py, px], [ey, ex]] = [pairOf(dilation), pairOf(padding), pairOf(outputPadding)];
  const [top, left] = [dy * (kh - 1) - py, dx * (kw - 1) - px];
  const flipped = weight.flip([2, 3]).reshape([groups, C / groups, out, kh, kw])
    .permute([0, 2, 1, 3, 4]).reshape([groups * out, C / groups, kh, kw]);
  const [sy, sx] = pairOf(stride);
  return conv2d(spread(spread(x, 2, sy), 3, sx), { weight: flipped, bias }, {
    padding: [left, left + ex, top, top + ey],
    dilation,
    groups,
  });
}

/** An axis with `step` - 1 zeros between its elements. */
function spread(x: Tensor, axis: number, step: number): Tensor {
  if (step === 1) return x;
  const n = x.shape[axis]!;
  const behind = Array(x.rank - axis - 1).fill([0, 0]).flat(); // pad() counts from the last axis
  const each = x.unsqueeze(axis + 1).pad([...behind, 0, step - 1]);
  return each.reshape(x.shape.with(axis, n * step)).slice(axis, 0, (n - 1) * step + 1);
}
