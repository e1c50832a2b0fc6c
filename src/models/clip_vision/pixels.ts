import { resizedImage } from "../../io/images/resize.ts";
import { inMode } from "../../io/images/image.ts";
import { imagesOf, imageTensor } from "../../io/images/tensors.ts";
import { scope, type Tensor, tensor } from "../../tensor/mod.ts";

/** Mean and standard deviation of red, green and blue in the pictures that CLIP was trained on. */
const MEAN = [0.48145466, 0.4578275, 0.40821073];
const STD = [0.26862954, 0.26130258, 0.27577711];

/**
 * Pictures as CLIP's vision model takes them: resized by a bicubic filter so that the shorter side has so many pixels,
 * cut to the middle, normalised; as transformers' CLIPImageProcessor does it with pictures of PIL. image [B, 3, H,
 * W] in [0, 1] → [B, 3, side, side].
 */
export async function clipPixels(image: Tensor, side: number): Promise<Tensor> {
  const images = await imagesOf(image, "Cannot see a picture");
  const [first, ...rest] = images.map((image) =>
    resizedImage(inMode(image, "RGB"), { width: side, height: side }, { fit: "crop", resample: "bicubic" })
  );
  using made = scope();
  const pixels = imageTensor(first!, ...rest);
  return made.keep(pixels.sub(tensor(MEAN, [3, 1, 1])).div(tensor(STD, [3, 1, 1])));
}
