import { sameNumbers, type Shape } from "../../core/shape.ts";
import { release, retain, type Tensor, tensor } from "../../tensor/mod.ts";
import { headWidth, type ZImageTransformer2DConfig } from "./config.ts";

const MULTIPLE = 32; // of tokens, to which a picture and each caption are filled up

/** A number of tokens filled up by learned ones. */
export function padded(tokens: number): number {
  return Math.ceil(tokens / MULTIPLE) * MULTIPLE;
}

/** Tokens of a batch: those of pictures of one size, and those of a caption each. */
export interface TokenCounts {
  /** Tokens of a picture along frames, rows and columns. */
  readonly grid: Shape<3>;
  /** Tokens of each caption, one number for each row of the batch. */
  readonly captions: readonly number[];
  /** Tokens of all captions as they are given, each filled up behind its own. */
  readonly given: number;
}

/**
 * Positions of tokens, and which of them are read. L are those of a picture, N those of the longest caption, both
 * filled up.
 */
export type ZImageLayout = {
  /** 1 where a token of the captions is not given, and a learned one stands, else 0. [B, N, 1] */
  capPads: Tensor;
  /** Added to the scores of all tokens, lowest at those that are only in the batch; absent if there are none. [B, 1, 1, L + N] */
  mask?: Tensor;
  /** Cosines and sines of the tokens' angles, pictures first; for each row where the captions' lengths differ. [L + N or B, L + N, D / 2] */
  cos: Tensor;
  sin: Tensor;
};

const MASKED = -3.4028234663852886e38; // the lowest f32, as in transformers

/**
 * Layout of a batch. A caption's tokens stand at 1 + i on the first axis, its learned ones counted on; a picture's
 * behind them, at the frame, row and column; its learned ones at 0. Learned tokens are read like others. Only those
 * that fill up a shorter caption further, to the longest of the batch, are not.
 */
export function layoutOf(counts: TokenCounts, config: ZImageTransformer2DConfig): ZImageLayout {
  const { captions } = counts;
  const lengths = captions.map(padded);
  const B = captions.length;
  const L = padded(counts.grid.reduce((a, b) => a * b));
  const N = Math.max(padded(counts.given), ...lengths);
  const pads = new Float32Array(B * N);
  captions.forEach((length, row) => pads.fill(1, row * N + length, (row + 1) * N));

  const alike = lengths.every((length) => length === lengths[0]);
  const tables = (alike ? lengths.slice(0, 1) : lengths).map((length) =>
    angles(counts.grid, L, length, N, config)
  );
  const shape = alike ? [L + N, headWidth(config) / 2] : [B, L + N, headWidth(config) / 2];
  const joined = (name: "cos" | "sin") => {
    const all = new Float32Array(shape.reduce((a, b) => a * b));
    tables.forEach((table, i) => all.set(table[name], i * table[name].length));
    return tensor(all, shape);
  };
  const layout: ZImageLayout = {
    capPads: tensor(pads, [B, N, 1]),
    cos: joined("cos"),
    sin: joined("sin"),
  };
  if (lengths.every((length) => length === N)) return layout;
  const mask = new Float32Array(B * (L + N));
  lengths.forEach((length, row) => mask.fill(MASKED, row * (L + N) + L + length, (row + 1) * (L + N)));
  return { ...layout, mask: tensor(mask, [B, 1, 1, L + N]) };
}

/**
 * Cosines and sines by which one row's heads rotate: axis a has axes_dims[a] values of a head, of which pair i rotates by
 * position · θ^(−2i / axes_dims[a]), as in diffusers' RopeEmbedder. Angles are computed in f64 and rounded to f32.
 * → [L + N, D / 2] each
 */
function angles(
  [frames, rows, columns]: Shape<3>,
  L: number,
  caption: number,
  N: number,
  { axes_dims, rope_theta }: ZImageTransformer2DConfig,
): Record<"cos" | "sin", Float32Array> {
  const frequencies = axes_dims.map((dims) =>
    Array.from({ length: dims / 2 }, (_, i) => 1 / rope_theta ** (2 * i / dims))
  );
  const width = frequencies.flat().length;
  const cos = new Float32Array((L + N) * width);
  const sin = new Float32Array((L + N) * width);
  const put = (token: number, position: Shape<3>) => {
    let at = token * width;
    for (const [axis, list] of frequencies.entries()) {
      for (const frequency of list) {
        const angle = Math.fround(position[axis]! * frequency);
        cos[at] = Math.cos(angle);
        sin[at++] = Math.sin(angle);
      }
    }
  };
  let token = 0;
  for (let frame = 0; frame < frames; frame++) {
    for (let row = 0; row < rows; row++) {
      for (let column = 0; column < columns; column++) put(token++, [caption + 1 + frame, row, column]);
    }
  }
  while (token < L) put(token++, [0, 0, 0]);
  for (let i = 0; i < N; i++) put(token++, i < caption ? [1 + i, 0, 0] : [0, 0, 0]);
  return { cos, sin };
}

/** Throws where the model has no positions for a batch's tokens. */
export function expectPositions(
  { grid, captions }: TokenCounts,
  { axes_lens }: ZImageTransformer2DConfig,
): void {
  const longest = Math.max(...captions.map(padded));
  const wanted = [longest + 1 + grid[0], grid[1], grid[2]];
  const axis = wanted.findIndex((n, i) => n > axes_lens[i]!);
  if (axis < 0) return;
  const [what, advice] = [
    ["positions for caption and frames", "shorten the prompt"],
    ["rows of tokens", "draw a lower picture"],
    ["columns of tokens", "draw a narrower picture"],
  ][axis]!;
  throw new RangeError(
    `Cannot denoise: expected at most ${axes_lens[axis]} ${what}, as axes_lens says, got ${
      wanted[axis]
    }; ${advice}`,
  );
}

/** The layout of the last batch: in a loop it stays the same, so its tensors are neither made nor sent again. */
export class LayoutCache {
  #counts: TokenCounts | undefined;
  #layout: ZImageLayout | undefined;

  /** Layout of a batch whose positions the model has. */
  of(counts: TokenCounts, config: ZImageTransformer2DConfig): ZImageLayout {
    if (this.#layout && isSame(counts, this.#counts!)) return this.#layout;
    this.clear();
    this.#counts = counts;
    this.#layout = layoutOf(counts, config);
    for (const one of Object.values(this.#layout)) retain(one);
    return this.#layout;
  }

  /** Gives the tensors' memory back. */
  clear(): void {
    for (const one of Object.values(this.#layout ?? {})) release(one);
    this.#layout = undefined;
  }
}

function isSame(a: TokenCounts, b: TokenCounts): boolean {
  return a.given === b.given && sameNumbers(a.grid, b.grid) && sameNumbers(a.captions, b.captions);
}
