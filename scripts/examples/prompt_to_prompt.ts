/**
 * Draws a prompt, and another one in the same layout: for most of the steps its pixels see the words as those of the
 * first do (Hertz et al. 2022, https://arxiv.org/abs/2208.01626). Words are replaced one for one.
 * Run: deno run -A scripts/examples/prompt_to_prompt.ts "a red apple" "a green apple" --seed 0
 */
import "../plain_errors.ts";
import "../command_line/shown_only.ts";
import { cat, manualSeed, openDevice, savePng } from "denoise";
import type { Edit, UNet2DConditionModel } from "denoise/models";
import { StableDiffusionPipeline } from "denoise/pipelines";
import { readArguments } from "../command_line/arguments.ts";
import * as option from "../command_line/options.ts";

/** Gives all rows the first one's maps of the prompt, in each of so many parts of a batch, as far as `share` says. */
export function replaceMaps(unet: UNet2DConditionModel, parts: number, share = 1): Edit[] {
  const layers = unet.paths.filter((path) => path.endsWith(".attn2.attention_probs"));
  return layers.map((path) =>
    unet.edit(path, (probs, _inputs, { share }) => {
      const first = cat(probs.chunk(parts).map((part) => part.slice(0, 0, 1).expand(part.shape)));
      return probs.lerp(first, share!);
    }, { values: { share } })
  );
}

if (import.meta.main) {
  const { prompt, other, model, seed } = readArguments(
    "scripts/examples/prompt_to_prompt.ts [prompt] [other]",
    "Draws two prompts, apart and in one layout: prompt_to_prompt.png.",
    {
      prompt: option.text("what gives the layout", "a red apple"),
      other: option.text("what is drawn in it", "a green apple"),
      model: option.model("of Stable Diffusion", "emoji-diffusion"),
      seed: option.seed(),
    },
  );
  const numInferenceSteps = 25;
  const crossReplaceSteps = 0.8; // the share of the steps in which maps are replaced
  using _device = await openDevice();
  using pipeline = await StableDiffusionPipeline.fromPretrained(model);
  const draw = (onStep?: (step: number) => void) => {
    const generator = [manualSeed(seed), manualSeed(seed)];
    return pipeline.run({ prompt: [prompt, other], numInferenceSteps, generator, onStep });
  };
  const { images: apart } = await draw();
  const edits = replaceMaps(pipeline.parts.unet, 2); // parts: without the prompts, and with them
  const { images } = await draw((step) => {
    if (step + 1 >= crossReplaceSteps * numInferenceSteps) {
      for (const edit of edits) edit.set({ share: 0 });
    }
  });
  await savePng("prompt_to_prompt.png", cat([apart, images]), { grid: 2, prompt, other, model, seed });
}
