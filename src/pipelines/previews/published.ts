import type { KnownColors, LatentColors } from "./colors.ts";

/**
 * Colours of the latents of published autoencoders, as ComfyUI measured them (comfy/latent_formats.py of
 * https://github.com/Comfy-Org/ComfyUI, latent_rgb_factors): a channel a row, red, green and blue in [-1, 1].
 */

/** Stable Diffusion 1 and 2 */
const sdColors = published([
  [0.3512, 0.2297, 0.3227],
  [0.325, 0.4974, 0.235],
  [-0.2829, 0.1762, 0.2721],
  [-0.212, -0.2616, -0.7177],
]);

/** Stable Diffusion XL */
const xlColors = published([
  [0.3651, 0.4232, 0.4341],
  [-0.2533, -0.0042, 0.1068],
  [0.1076, 0.1111, -0.0362],
  [-0.3165, -0.2492, -0.2188],
], [0.1084, -0.0175, -0.0011]);

/** FLUX.1 and Z-Image */
const fluxColors = published([
  [-0.0346, 0.0244, 0.0681],
  [0.0034, 0.021, 0.0687],
  [0.0275, -0.0668, -0.0433],
  [-0.0174, 0.016, 0.0617],
  [0.0859, 0.0721, 0.0329],
  [0.0004, 0.0383, 0.0115],
  [0.0405, 0.0861, 0.0915],
  [-0.0236, -0.0185, -0.0259],
  [-0.0245, 0.025, 0.118],
  [0.1008, 0.0755, -0.0421],
  [-0.0515, 0.0201, 0.0011],
  [0.0428, -0.0012, -0.0036],
  [0.0817, 0.0765, 0.0749],
  [-0.1264, -0.0522, -0.1103],
  [-0.028, -0.0881, -0.0499],
  [-0.1262, -0.0982, -0.0778],
], [-0.0329, -0.0718, -0.0851]);

/** FLUX.2 */
const flux2Colors = published([
  [0.0058, 0.0113, 0.0073],
  [0.0495, 0.0443, 0.0836],
  [-0.0099, 0.0096, 0.0644],
  [0.2144, 0.3009, 0.3652],
  [0.0166, -0.0039, -0.0054],
  [0.0157, 0.0103, -0.016],
  [-0.0398, 0.0902, -0.0235],
  [-0.0052, 0.0095, 0.0109],
  [-0.3527, -0.2712, -0.1666],
  [-0.0301, -0.0356, -0.018],
  [-0.0107, 0.0078, 0.0013],
  [0.0746, 0.009, -0.0941],
  [0.0156, 0.0169, 0.007],
  [-0.0034, -0.004, -0.0114],
  [0.0032, 0.0181, 0.008],
  [-0.0939, -0.0008, 0.0186],
  [0.0018, 0.0043, 0.0104],
  [0.0284, 0.0056, -0.0127],
  [-0.0024, -0.0022, -0.003],
  [0.1207, -0.0026, 0.0065],
  [0.0128, 0.0101, 0.0142],
  [0.0137, -0.0072, -0.0007],
  [0.0095, 0.0092, -0.0059],
  [0, -0.0077, -0.0049],
  [-0.0465, -0.0204, -0.0312],
  [0.0095, 0.0012, -0.0066],
  [0.029, -0.0034, 0.0025],
  [0.022, 0.0169, -0.0048],
  [-0.0332, -0.0457, -0.0468],
  [-0.0085, 0.0389, 0.0609],
  [-0.0076, 0.0003, -0.0043],
  [-0.0111, -0.046, -0.0614],
], [-0.0329, -0.0718, -0.0851]);

/** Those of one colour, in [0, 1]: of each channel, then a constant. */
function published(channels: readonly (readonly number[])[], bias = [0, 0, 0]): LatentColors {
  return bias.map((constant, color) => [...channels.map((row) => row[color]! / 2), (constant + 1) / 2]);
}

const block_out_channels = [128, 256, 512, 512]; // of all of them; toys with their other keys have fewer
const tiny = { encoder_block_out_channels: [64, 64, 64, 64], scaling_factor: 1 };

/** The published autoencoders, and small ones that share their latents where these tell whose they are. */
export const publishedColors: readonly KnownColors[] = [
  { config: { scaling_factor: 0.18215, latent_channels: 4, block_out_channels }, colors: sdColors },
  { config: { scaling_factor: 0.13025, latent_channels: 4, block_out_channels }, colors: xlColors },
  {
    config: { scaling_factor: 0.3611, shift_factor: 0.1159, latent_channels: 16, block_out_channels },
    colors: fluxColors,
  },
  { config: { ...tiny, latent_channels: 16 }, colors: fluxColors }, // TAEF1
  { config: { patch_size: [2, 2], latent_channels: 32, block_out_channels }, colors: flux2Colors },
  { config: { ...tiny, latent_channels: 32 }, colors: flux2Colors }, // TAEF2
];
