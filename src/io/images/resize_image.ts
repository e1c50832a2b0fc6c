import type { Tensor } from "../../tensor/mod.ts";
import { expectResize, fitted, readSize, type ResizeOptions } from "./fit.ts";
import { imagesOf, imageTensor } from "./tensors.ts";

/**
 * Pictures of values in [0, 1] at another size, height and width or both in one number; x [B, C, H, W] with 1,
 * 3 or 4 channels, the fourth being alpha. → [B, C, height, width]
 *
 * The bytes are those of Pillow 13, so values are rounded to eight bits before and after. For gradients, and
 * for values of any range, there is `interpolate`.
 */
export async function resizeImage(
  x: Tensor,
  size: number | readonly [height: number, width: number],
  options: ResizeOptions = {},
): Promise<Tensor> {
  const to = readSize(size);
  expectResize(options);
  const [first, ...rest] = await imagesOf(x, "Cannot resize");
  return imageTensor(fitted(first, to, options), ...rest.map((image) => fitted(image, to, options)));
}
