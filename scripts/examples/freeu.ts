/**
 * Draws the same noise without and with FreeU (Si et al. 2023, https://arxiv.org/abs/2309.11497): on the way up, half of
 * the features' channels are strengthened, and the low frequencies of the skip connections are weakened.
 * Run: deno run -A scripts/examples/freeu.ts "a nice flower" --seed 0
 */
import "../plain_errors.ts";
import "../command_line/shown_only.ts";
import { cat, manualSeed, openDevice, savePng, type Tensor, tensor } from "denoise";
import type { Edit, UNet2DConditionModel } from "denoise/models";
import { fft2, ifft2 } from "denoise/ops";
import { StableDiffusionPipeline } from "denoise/pipelines";
import { readArguments } from "../command_line/arguments.ts";
import * as option from "../command_line/options.ts";

/** Edits the first two blocks on the way up: features by b, skip connections by s. */
export function freeU(unet: UNet2DConditionModel, { b, s }: { b: number[]; s: number[] }): Edit[] {
  return [0, 1].flatMap((block) => {
    const inputs = unet.paths.filter((path) =>
      path.startsWith(`up_blocks.${block}.`) && path.endsWith(".input")
    );
    return inputs.map((path) =>
      unet.edit(path, (_joined, [x, skip]) => {
        const [first, second] = x!.chunk(2, 1);
        return cat([first.mul(b[block]!), second!, weakened(skip!, s[block]!)], 1);
      })
    );
  });
}

/** The lowest frequencies, 0 and −1 along both sides, times `scale`. x [B, C, H, W] */
function weakened(x: Tensor, scale: number): Tensor {
  const [H, W] = x.shape.slice(-2) as [number, number];
  const low = (row: number, column: number) => row % (H - 1) === 0 && column % (W - 1) === 0;
  const factors = Array.from({ length: H * W }, (_, i) => low(Math.floor(i / W), i % W) ? scale : 1);
  const mask = tensor(factors, [H, W]);
  const { real, imag } = fft2(x.cast("f32"));
  return ifft2({ real: real.mul(mask), imag: imag.mul(mask) }).real;
}

if (import.meta.main) {
  const { prompt, model, seed } = readArguments(
    "scripts/examples/freeu.ts [prompt]",
    "Draws a prompt without and with FreeU, side by side: freeu.png.",
    {
      prompt: option.text("what is to be drawn", "a nice flower"),
      model: option.model("of Stable Diffusion", "emoji-diffusion"),
      seed: option.seed(),
    },
  );
  using _device = await openDevice();
  using pipeline = await StableDiffusionPipeline.fromPretrained(model);
  const draw = () => pipeline.run({ prompt, numInferenceSteps: 25, generator: manualSeed(seed) });
  const { images: plain } = await draw();
  freeU(pipeline.parts.unet, { b: [1.2, 1.4], s: [0.9, 0.2] });
  const { images } = await draw();
  await savePng("freeu.png", cat([plain, images]), { grid: 2, prompt, model, seed });
}
