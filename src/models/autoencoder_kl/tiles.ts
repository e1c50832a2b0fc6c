import { cat, type Tensor, tensor } from "../../tensor/mod.ts";
import { type KLConfig, scaleFactor, smallestTile } from "./config.ts";

/** Sides of a tile before and after it is encoded or decoded; multiples of 4. */
export interface TileSides {
  from: number;
  to: number;
}

/** Sides of tiles of `tile` pixels, or undefined where the picture is one; `verb` is done with x [B, C, H, W]. */
export function tileSides(
  verb: "encode" | "decode",
  x: Tensor,
  tile: number,
  config: KLConfig,
): TileSides | undefined {
  const least = smallestTile(config);
  if (!(tile > 0) || tile % least !== 0) {
    throw new RangeError(
      `Cannot work in tiles of ${tile}: expected a multiple of ${least}; e.g. { tile: ${8 * least} }`,
    );
  }
  const latents = tile / scaleFactor(config);
  const sides = verb === "encode" ? { from: tile, to: latents } : { from: latents, to: tile };
  return Math.max(...x.shape.slice(2)) > sides.from ? sides : undefined;
}

/**
 * Runs a coder on tiles that overlap by a quarter, and fades each into the next, as diffusers' enable_tiling
 * does. Seams are soft, but tiles are normalised and attended each by itself. x [B, C, H, W].
 */
export function tiled(x: Tensor, { from, to }: TileSides, run: (tile: Tensor) => Tensor): Tensor {
  let above: Tensor[] = [];
  const rows = cut(x, 2, from).map((strip) => {
    const row: Tensor[] = [];
    for (const [i, piece] of cut(strip, 3, from).entries()) {
      let tile = run(piece);
      // Neighbours are taken as faded themselves: corners, where four tiles meet, depend on it.
      if (above.length > 0) tile = fadeIn(above[i]!, tile, 2, to / 4);
      if (i > 0) tile = fadeIn(row[i - 1]!, tile, 3, to / 4);
      row.push(tile);
    }
    above = row;
    return join(row, 3, 3 * to / 4);
  });
  return join(rows, 2, 3 * to / 4);
}

/** Pieces of at most `side` along an axis, one every three quarters of it. */
function cut(x: Tensor, axis: number, side: number): Tensor[] {
  const pieces: Tensor[] = [];
  for (let start = 0; start < x.shape[axis]!; start += 3 * side / 4) {
    pieces.push(x.slice(axis, start, start + side));
  }
  return pieces;
}

/** A tile whose first `overlap` rows or columns are blended with the last ones of the tile before. */
function fadeIn(before: Tensor, tile: Tensor, axis: number, overlap: number): Tensor {
  const length = Math.min(overlap, tile.shape[axis]!);
  const weights = Array.from({ length }, (_, i) => i / length);
  const ramp = tensor(weights, axis === 2 ? [length, 1] : [length]);
  const head = before.slice(axis, -length).lerp(tile.slice(axis, 0, length), ramp);
  return cat([head, tile.slice(axis, length)], axis);
}

/** Tiles side by side, each without what it shares with the next. */
function join(tiles: readonly Tensor[], axis: number, most: number): Tensor {
  return cat(tiles.map((tile) => tile.slice(axis, 0, most)), axis);
}
