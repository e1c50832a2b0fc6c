import assert from "node:assert/strict";
import { recipeIn } from "../../../../scripts/serve/page/recipe.ts";

const infotext = { Steps: "5", Sampler: "Euler a", Seed: "3", Prompt: "a cat" };
const left: Record<string, [more: Record<string, string>, left: string[]]> = {
  "words alone": [{}, []],
  "two passes": [{ "Denoising strength": "0.6", "Hires upscaler": "Latent", "Hires upscale": "2" }, []],
  "a picture": [{ "Denoising strength": "0.6" }, ["image"]],
  "a picture with a mask": [{ "Denoising strength": "0.6", "Mask blur": "4" }, ["image", "mask"]],
  "a ControlNet": [{ "ControlNet 0": "Module: none, Model: canny" }, ["controlnet"]],
};
for (const [what, [more, want]] of Object.entries(left)) {
  Deno.test(`an infotext of a picture that was drawn with ${what} tells what no field can take from it`, () => {
    const recipe = recipeIn({ info: "", items: {}, parameters: { ...infotext, ...more } })!;
    assert.deepEqual(recipe.left, want);
    assert.equal(recipe.settings.prompt, "a cat");
  });
}
