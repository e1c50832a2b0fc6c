import { formatShape } from "../../core/shape.ts";
import type { Tensor } from "../../tensor/mod.ts";
import { type AutoencoderKLConfig, scaleFactor } from "./config.ts";

/**
 * What a coder is about to hold: pictures of H × W pixels, and how many bytes an activation's element takes.
 */
export interface CoderLoad {
  verb: "encode" | "decode";
  B: number;
  H: number;
  W: number;
  bytes: number;
}

const NEIGHBOURS = 2; // rows of latents that a band may hold beside its own: more than the rows it sees of others

/**
 * In how few bands of rows a coder may take a picture, so that no activation is larger than `limit` bytes,
 * which is what the adapter binds at once. Throws, and proposes tiles, where even that is too much.
 */
export function bandsOf(x: Tensor, load: CoderLoad, config: AutoencoderKLConfig, limit: number): number {
  const f = scaleFactor(config);
  if (outerBytes(load, load.H / f, config) <= limit) return 1;
  const shared = Math.floor(load.H / f); // rows of latents; pixels left over go to the last band
  const least = Math.max(middleBytes(load, config), outerBytes(load, 1 + NEIGHBOURS, config));
  for (let bands = 2; bands <= shared && least <= limit; bands++) {
    const rows = Math.ceil(shared / bands);
    if (outerBytes(load, rows + NEIGHBOURS, config) <= limit) return Math.ceil(shared / rows); // none of them is empty
  }
  throw new RangeError(
    `Cannot ${load.verb} ${formatShape(x.shape)}: expected activations of at most ${limit} bytes on ` +
      `${x.device.adapterName}, got ${least}; ` +
      `${load.verb} in tiles, e.g. { tile: ${16 * smallestTile(config)} }, or in smaller batches`,
  );
}

/** Side in pixels of the least tile whose quarter is a whole latent; all others are multiples of it. */
export function smallestTile(config: AutoencoderKLConfig): number {
  return 4 * scaleFactor(config);
}

/** Bytes of the largest activation over so many rows of latents: the first or the last of a block. */
function outerBytes({ verb, B, W, bytes }: CoderLoad, rows: number, config: AutoencoderKLConfig): number {
  const channels = config.block_out_channels;
  const levels = channels.map((own, i) => {
    const source = (verb === "encode" ? channels[i - 1] : channels[i + 1]) ?? own; // of what comes in
    return B * Math.max(own, source) * (rows * scaleFactor(config) / 2 ** i) * Math.ceil(W / 2 ** i) * bytes;
  });
  return Math.max(...levels);
}

/** Bytes of an activation of the middle block, which is always whole: its pixels all see each other. */
function middleBytes({ B, H, W, bytes }: CoderLoad, config: AutoencoderKLConfig): number {
  const f = scaleFactor(config);
  return B * config.block_out_channels.at(-1)! * Math.ceil(H / f) * Math.ceil(W / f) * bytes;
}
