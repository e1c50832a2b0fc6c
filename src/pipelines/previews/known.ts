import type { AutoencoderConfig } from "../../models/mod.ts";
import type { KnownColors, LatentColors } from "./colors.ts";
import { publishedColors } from "./published.ts";

const known: readonly KnownColors[] = [
  ...publishedColors,
  { // models/emoji-diffusion, made by scripts/fit_preview.ts
    config: { scaling_factor: 0.7472, latent_channels: 4, block_out_channels: [32, 64, 64] },
    colors: [
      [0.1627, -0.006, -0.014, -0.1229, 0.8552],
      [-0.0311, 0.0453, 0.014, -0.2341, 0.7934],
      [-0.1964, 0.201, -0.0983, -0.3617, 0.7192],
    ],
  },
];

/** The colours of an autoencoder's latents as the denoiser takes them, where they were fitted before. */
export function knownColors(config: AutoencoderConfig): LatentColors | undefined {
  const same = (a: unknown, b: unknown) => JSON.stringify(a) === JSON.stringify(b);
  return known.find((entry) =>
    Object.entries(entry.config).every(([key, value]) => same(value, config[key as keyof AutoencoderConfig]))
  )?.colors;
}
