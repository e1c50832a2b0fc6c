import { type Image, inMode } from "../../io/images/image.ts";
import { imageTensor } from "../../io/images/tensors.ts";
import type { Tensor } from "../../tensor/mod.ts";

/** The pixels of a file as pipelines take pictures: in [0, 1], without alpha. → [1, 3, H, W]. */
export function pictureOf(image: Image): Tensor {
  return imageTensor(inMode(image, "RGB"));
}

/** The luma of a file as pipelines take masks, rounded as in PIL. → [1, 1, H, W]. */
export function maskOf(image: Image): Tensor {
  return imageTensor(inMode(image, "L"));
}
