/**
 * Draws several prompts in one style: the pixels of each picture also attend to those of the first (after Hertz et al.
 * 2023, https://arxiv.org/abs/2312.02133).
 * Run: deno run -A scripts/examples/attention_sharing.ts "a red apple" "a cat" --seed 0
 */
import "../plain_errors.ts";
import "../command_line/shown_only.ts";
import { cat, manualSeed, openDevice, savePng, type Tensor } from "denoise";
import type { Edit, UNet2DConditionModel } from "denoise/models";
import { attention } from "denoise/ops";
import { StableDiffusionPipeline } from "denoise/pipelines";
import { readArguments } from "../command_line/arguments.ts";
import * as option from "../command_line/options.ts";

/** Lets all rows attend to the first one's tokens too, in each of so many parts of a batch. */
export function shareAttention(unet: UNet2DConditionModel, parts: number): Edit[] {
  const withFirst = (x: Tensor) =>
    // [B, heads, N, D] → [B, heads, 2 N, D]
    cat(x.chunk(parts).map((part) => cat([part.slice(0, 0, 1).expand(part.shape), part], 2)));
  const layers = unet.paths.filter((path) => path.endsWith(".attn1.attention"));
  return layers.map((path) =>
    unet.edit(
      path,
      (_mixed, [queries, keys, values]) => attention(queries!, withFirst(keys!), withFirst(values!)),
    )
  );
}

if (import.meta.main) {
  const { prompt, other, model, seed } = readArguments(
    "scripts/examples/attention_sharing.ts [prompt] [other]",
    "Draws two prompts apart, then with shared attention: attention_sharing.png.",
    {
      prompt: option.text("what gives the style", "a red apple"),
      other: option.text("what is drawn in it", "a cat"),
      model: option.model("of Stable Diffusion", "emoji-diffusion"),
      seed: option.seed(),
    },
  );
  using _device = await openDevice();
  using pipeline = await StableDiffusionPipeline.fromPretrained(model);
  const draw = () => {
    const generator = [manualSeed(seed), manualSeed(seed + 1n)];
    return pipeline.run({ prompt: [prompt, other], numInferenceSteps: 25, generator });
  };
  const { images: apart } = await draw();
  shareAttention(pipeline.parts.unet, 2); // parts: without the prompts, and with them
  const { images } = await draw();
  await savePng("attention_sharing.png", cat([apart, images]), { grid: 2, prompt, other, model, seed });
}
