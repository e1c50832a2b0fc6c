/** Cosines and sines of positions, each [tokens, D / 2]. */
export interface PositionTables {
  cos: Float32Array<ArrayBuffer>;
  sin: Float32Array<ArrayBuffer>;
}

const THETA = 10000;

/**
 * The angles by which FLUX turns heads: each axis of a token's position has `axesDims[axis]` of a head's D
 * values, and pair i of them turns by position · θ^(−2i / dims), as in diffusers' FluxPosEmbed. In f64,
 * rounded to f32 at the end, since shaders lose the digits of large angles. ids [tokens, axes]
 * → [tokens, D / 2] twice.
 */
export function fluxPosEmbed(
  ids: readonly (readonly number[])[],
  axesDims: readonly number[],
): PositionTables {
  const frequencies = axesDims.map((dims) =>
    Array.from({ length: dims / 2 }, (_, i) => 1 / THETA ** (2 * i / dims))
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
