import type { Placed } from "../../../io/lora/match.ts";

/**
 * Strength of an adapter: one number, or one for each part of the model whose layers' names begin so, such as
 * `{ "down_blocks.1": 0.5, "mid_block": 0 }`. Of several that fit a layer the longest counts; layers without one have 1.
 */
export type AdapterScale = number | Readonly<Record<string, number>>;

/** The scale for a layer. */
export function scaleOf(scale: AdapterScale, layer: string): number {
  if (typeof scale === "number") return scale;
  const parts = Object.keys(scale).filter((part) => isIn(layer, part));
  return parts.length > 0 ? scale[parts.reduce((a, b) => a.length >= b.length ? a : b)]! : 1;
}

/** Throws unless all numbers are finite, and parts are those of layers that the adapter changes. */
export function expectScale(name: string, scale: AdapterScale, { pairs, changes }: Placed): void {
  if (typeof scale === "number") return expectFactor(scale);
  const layers = [...pairs, ...changes.flatMap(({ layers }) => layers)].map(({ layer }) => layer);
  for (const [part, factor] of Object.entries(scale)) {
    expectFactor(factor);
    if (layers.some((layer) => isIn(layer, part))) continue;
    throw new Error(
      `Cannot set adapter "${name}" in "${part}": it changes no layer whose name begins so, but e.g. "${
        layers[0]
      }"`,
    );
  }
}

function isIn(layer: string, part: string): boolean {
  return layer === part || layer.startsWith(`${part}.`);
}

function expectFactor(scale: number): void {
  if (Number.isFinite(scale)) return;
  throw new RangeError(`Cannot set an adapter's scale to ${scale}: expected a finite number`);
}
