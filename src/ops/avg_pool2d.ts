import { expectOptions } from "../core/error.ts";
import type { Shape } from "../core/shape.ts";
import { Tensor } from "../tensor/mod.ts";

/** Options of `avgPool2d`. */
export interface PoolOptions {
  /** Side of a window, in pixels. */
  kernel: number;
  /** Pixels from one window to the next; by default `kernel`, so that windows do not overlap. */
  stride?: number | undefined;
}

/** Mean of each kernel × kernel window, as torch's avg_pool2d. x [B, C, H, W] → [B, C, H', W']. */
export function avgPool2d(x: Tensor, options: PoolOptions): Tensor {
  expectOptions("pool", options, ["kernel", "stride"]);
  const { kernel, stride = kernel } = options;
  const [B, C, H, W] = x.shape as Shape<4>;
  if (H < kernel || W < kernel) {
    throw new RangeError(
      `Cannot pool ${x}: expected a picture of at least ${kernel} × ${kernel}, got ${H} × ${W}`,
    );
  }
  const shape = [B, C, Math.floor((H - kernel) / stride) + 1, Math.floor((W - kernel) / stride) + 1];
  const [b, c, h, w] = x.strides as Shape<4>;
  let sum: Tensor | undefined;
  for (let i = 0; i < kernel * kernel; i++) {
    const offset = x.offset + Math.floor(i / kernel) * h + (i % kernel) * w;
    const corner = new Tensor(x.device, x.node, shape, [b, c, h * stride, w * stride], offset); // one pixel of each window
    sum = sum ? sum.add(corner) : corner;
  }
  return sum!.div(kernel * kernel);
}
