import one from "../../../shaders/norm/lib/picture_one.wgsl" with { type: "text" };
import two from "../../../shaders/norm/lib/picture_two.wgsl" with { type: "text" };
import { size } from "../../core/shape.ts";
import { partsOf, type Snippet, snippet, type Tensor } from "../../tensor/mod.ts";
import { pairsOrValuesOf } from "../values.ts";

const ONE = snippet("norm/lib/picture_one", one);
const TWO = snippet("norm/lib/picture_two", two);

/** A picture as kernels read it that go over groups of its channels. */
export interface Picture {
  /** [B, C, pixels, 1], channels last: one, or two whose channels lie side by side. */
  readonly inputs: readonly Tensor[];
  /** Snippets that read its pixels, `width` values of a group at a time. */
  readonly code: readonly Snippet[];
  readonly width: 1 | 2 | 4;
  readonly set: Readonly<Record<"X", string>>;
  /** The members of `struct Params` that say where channels lie. */
  readonly params: Readonly<Record<string, number>>;
}

/** Prepares a picture [B, C, ...] whose groups have so many channels. What `cat` would join is read where it lies. */
export function pictureOf(x: Tensor, width: number): Picture {
  const parts = partsOf(x, 1);
  const inputs = (parts?.length === 2 ? parts : [x]).map((part) => {
    const [B, C, ...sides] = part.shape;
    const flat = part.reshape([B!, C!, size(sides), 1]);
    return flat.strides[1] === 1 ? flat : flat.channelsLast();
  });
  const [first, second] = inputs as [Tensor, Tensor?];
  const places = inputs.flatMap(({ offset, strides }) => [offset, strides[0]!, strides[2]!]);
  const seam = first.shape[1]!;
  const values = pairsOrValuesOf(width, seam, ...places);
  const [x_offset, x_image, x_pixel, x1_offset = 0, x1_image = 0, x1_pixel = 0] = places as [
    number,
    number,
    number,
  ];
  return {
    inputs,
    code: [values.part, second ? TWO : ONE],
    width: values.width,
    set: { X: x.dtype },
    params: { seam, x_offset, x_image, x_pixel, x1_offset, x1_image, x1_pixel },
  };
}
