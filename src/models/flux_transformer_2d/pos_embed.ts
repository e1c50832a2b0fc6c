import { nameOfKind } from "../../core/error.ts";
import { release, retain, type Tensor, tensor } from "../../tensor/mod.ts";

/** Positions of tokens, one row each with a number for every axis of the config's axes_dims_rope. */
export type Positions = readonly (readonly number[])[];

/** Positions in the picture of the tokens of latents [h, w], 2×2 of them each: rows [0, y, x]. → [h/2 · w/2, 3] */
export function imageIds([h, w]: readonly [h: number, w: number]): Positions {
  return Array.from({ length: (h / 2) * (w / 2) }, (_, i) => [0, Math.floor(i / (w / 2)), i % (w / 2)]);
}

/** Positions of a prompt's tokens, which have none in the picture: rows [0, 0, 0]. → [N, 3] */
export function textIds(N: number): Positions {
  return Array.from({ length: N }, () => [0, 0, 0]);
}

/** The keys of a config that say how positions become angles. */
export interface RotaryConfig {
  /** Width of a head. */
  attention_head_dim: number;
  /** Number of a head's values that rotate by each axis of a position. */
  axes_dims_rope: number[];
  /** Base θ of the angles' frequencies; 10000 in FLUX.1, whose config has no such key. */
  rope_theta?: number | undefined;
}

/**
 * Cosines and sines of the angles by which rotary embeddings rotate heads: each axis of a token's position has
 * `axesDims[axis]` of a head's D values, and pair i of them rotates by position · θ^(−2i / dims), as in diffusers'
 * FluxPosEmbed. In f64, rounded to f32 at the end, since shaders lose the digits of large angles. ids [tokens, axes]
 * → [tokens, D / 2] twice.
 */
export function fluxPosEmbed(
  ids: Positions,
  axesDims: readonly number[],
  theta = 10000,
): { cos: Float32Array<ArrayBuffer>; sin: Float32Array<ArrayBuffer> } {
  const frequencies = axesDims.map((dims) =>
    Array.from({ length: dims / 2 }, (_, i) => 1 / theta ** (2 * i / dims))
  );
  const pairs = frequencies.reduce((sum, list) => sum + list.length, 0);
  const cos = new Float32Array(ids.length * pairs);
  const sin = new Float32Array(ids.length * pairs);
  let at = 0;
  for (const position of ids) {
    for (const [axis, list] of frequencies.entries()) {
      for (const frequency of list) {
        const angle = Math.fround(position[axis]!) * frequency;
        cos[at] = Math.cos(angle);
        sin[at++] = Math.sin(angle);
      }
    }
  }
  return { cos, sin };
}

/** The tables of the last positions: in a loop these stay the same, so their tables are neither made nor sent again. */
export class PositionCache {
  #ids: Positions = [];
  #tables: { cos: Tensor; sin: Tensor } | undefined;

  /** → [tokens, attention_head_dim / 2] twice */
  of(ids: Positions, config: RotaryConfig): { cos: Tensor; sin: Tensor } {
    if (this.#tables && samePositions(ids, this.#ids)) return this.#tables;
    this.clear();
    const { cos, sin } = fluxPosEmbed(ids, config.axes_dims_rope, config.rope_theta);
    const shape = [ids.length, config.attention_head_dim / 2];
    this.#ids = ids.map((id) => [...id]);
    return this.#tables = { cos: retain(tensor(cos, shape)), sin: retain(tensor(sin, shape)) };
  }

  /** Gives the tables' memory back. */
  clear(): void {
    if (!this.#tables) return;
    release(this.#tables.cos);
    release(this.#tables.sin);
    this.#tables = undefined;
  }
}

function samePositions(a: Positions, b: Positions): boolean {
  return a.length === b.length && a.every((id, i) => id.every((n, axis) => n === b[i]![axis]));
}

/** Checks the positions of `count` tokens; `name` is that of the option. */
export function expectPositions(
  name: string,
  ids: Positions,
  count: number,
  config: RotaryConfig,
): void {
  const axes = config.axes_dims_rope.length;
  if (!Array.isArray(ids)) {
    throw new TypeError(
      `Cannot use ${name}: expected a list of ${count} lists of ${axes} numbers, got ${nameOfKind(ids)}`,
    );
  }
  const odd = ids.find((id) => id.length !== axes);
  if (ids.length === count && !odd) return;
  throw new RangeError(
    `Cannot use ${name}: expected ${count} tokens with ${axes} numbers each, got ` +
      `${ids.length} tokens${odd ? `, one with ${odd.length}` : ""}`,
  );
}
