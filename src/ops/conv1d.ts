import type { Tensor } from "../tensor/mod.ts";
import { conv2d } from "./conv2d.ts";
import type { Affine } from "./linear.ts";

/** Options of `conv1d`, as in torch. */
export interface Conv1dOptions {
  /** Elements from one window to the next; 1 by default. */
  stride?: number | undefined;
  /** Zeros at both ends; "same" keeps the length, "valid" is none. */
  padding?: number | "same" | "valid" | undefined;
  /** Elements from tap to tap of the kernel; 1 by default. */
  dilation?: number | undefined;
  /** Parts into which channels are cut, each convolved by itself; 1 by default. */
  groups?: number | undefined;
}

/** Convolution along one axis, as torch.nn.functional.conv1d. x [B, C, L], weight [O, C / groups, k] → [B, O, L']. */
export function conv1d(x: Tensor, { weight, bias }: Affine, options: Conv1dOptions = {}): Tensor {
  const { stride = 1, padding = 0, dilation = 1, groups } = options;
  const line = x.unsqueeze(-2); // a picture of one row
  const y = conv2d(line, { weight: weight.unsqueeze(2), bias }, {
    stride: typeof padding === "string" ? stride : [1, stride],
    padding: typeof padding === "number" ? [0, padding] : padding,
    dilation: [1, dilation],
    groups,
  });
  return y.squeeze(-2);
}
