import { formatShape } from "../../core/shape.ts";
import { resizeImage } from "../../io/images/resize.ts";
import type { Autoencoder, Positions } from "../../models/mod.ts";
import { referenceIds } from "../../models/flux2_transformer_2d/positions.ts";
import { cat, scope, type Tensor } from "../../tensor/mod.ts";
import { fractionsOf } from "../latents/init_image.ts";
import { packLatents } from "../latents/packing.ts";
import { referenceSize } from "./sizes.ts";

/** Tokens of pictures that a prompt is about, which stand behind those of the picture that is drawn. */
export interface References {
  /** [1, L, 4 C] */
  readonly tokens: Tensor;
  /** [L, 4] */
  readonly ids: Positions;
}

const LEAST = 64; // pixels on a side
const SLIMMEST = 8; // times as long as wide

/** Throws where a picture is too small or too slim to be referred to. */
export function expectReference([H, W]: readonly [H: number, W: number], multiple: number): void {
  const least = Math.max(LEAST, multiple);
  if (Math.min(H, W) >= least && Math.max(H, W) <= SLIMMEST * Math.min(H, W)) return;
  throw new RangeError(
    `Cannot refer to a picture of ${W}x${H}: expected sides from ${least}, the longer at most ${SLIMMEST} times ` +
      "the shorter; resize or cut it",
  );
}

/**
 * A picture in [0, 1] as a reference in [-1, 1], as diffusers' Flux2ImageProcessor makes it: where it has more pixels than
 * 1024², resized by Lanczos, then cut around its middle to sides that `multiple` divides. [1, 3, H, W]
 */
export async function readReference(image: Tensor, multiple: number): Promise<Tensor> {
  if (image.rank !== 4 || image.shape[0] !== 1 || image.shape[1] !== 3) {
    throw new RangeError(
      `Cannot refer to a picture: expected [1, 3, H, W], got ${
        formatShape(image.shape)
      }; give several as a list`,
    );
  }
  const [H, W] = image.shape.slice(2) as [number, number];
  expectReference([H, W], multiple);
  await fractionsOf("a picture that is referred to", image);
  const size = referenceSize([H, W]);
  const isLarge = size[0] !== H || size[1] !== W;
  const fitting = isLarge ? await resizeImage(image, size) : image;
  using made = scope(...(isLarge ? [fitting] : []));
  const cut = fitting.shape.slice(2).reduce((x, side, i) => {
    const kept = side - side % multiple;
    const first = Math.floor((side - kept) / 2);
    return x.slice(2 + i, first, first + kept);
  }, fitting);
  return made.keep(cut.mul(2).sub(1));
}

/** The tokens of references: the likeliest latents, without any chance. */
export function encodeReferences(vae: Autoencoder, pictures: readonly Tensor[]): References {
  using made = scope();
  const tokens = pictures.map((picture) => packLatents(vae.scaleLatents(vae.mode(picture))));
  const side = 2 * vae.scaleFactor; // pixels of a token
  const sizes = pictures.map(({ shape: [, , H, W] }) => [H! / side, W! / side] as const);
  return { tokens: made.keep(cat(tokens, 1)), ids: referenceIds(sizes) };
}
