import type { Positions } from "../flux_transformer_2d/pos_embed.ts";

/** Positions of a picture's h × w tokens: rows (time, y, x, 0), where the picture that is drawn is at time 0. → [h · w, 4] */
export function flux2ImageIds([h, w]: readonly [h: number, w: number], time = 0): Positions {
  return Array.from({ length: h * w }, (_, i) => [time, Math.floor(i / w), i % w, 0]);
}

/** Positions of a prompt's tokens: rows (0, 0, 0, i) of token i. → [N, 4] */
export function flux2TextIds(N: number): Positions {
  return Array.from({ length: N }, (_, i) => [0, 0, 0, i]);
}

const APART = 10; // in time, from one picture to the next

/** Positions of the tokens of reference pictures, the first at time 10, the next at 20, … → [Σ h · w, 4] */
export function referenceIds(sizes: readonly (readonly [h: number, w: number])[]): Positions {
  return sizes.flatMap((size, k) => flux2ImageIds(size, APART * (k + 1)));
}
