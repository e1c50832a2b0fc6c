import assert from "node:assert/strict";
import { Drawer, type DrawRequest, RefusalError } from "denoise/serve";
import { emoji } from "../../../support/emoji.ts";
import { fixture } from "../../../support/fixtures.ts";

const EMOJI = { name: "emoji-diffusion", path: emoji };
const FLUX = { name: "flux", path: fixture("flux/pipeline") };
const FLUX2 = { name: "flux2", path: fixture("flux2/pipeline") };
const LORA = { name: "style", path: fixture("flux/lora/kohya.safetensors") };
const size = { width: 32, height: 32 };
const flower: DrawRequest = { prompt: "a nice flower", steps: 2, size, seed: 3n };
const photo = Deno.readFileSync(fixture("pictures/files/turned_6.jpg"));

let drawer: Drawer;
Deno.test.beforeAll(async () => {
  drawer = await Drawer.open({ models: [EMOJI, FLUX, FLUX2], lora: [LORA] });
});
Deno.test.afterAll(() => drawer[Symbol.asyncDispose]());

const refused: Record<string, [request: unknown, kind: string, param: string | undefined, message: RegExp]> =
  {
    "an unknown setting": [
      { stepz: 3 },
      "invalid",
      undefined,
      /stepz: no such option; did you mean steps\?$/,
    ],
    "no object": [5, "invalid", undefined, /^Cannot draw: expected options in an object, .*, got 5$/],
    "no steps": [{ steps: 0 }, "invalid", "steps", /^Cannot draw: expected steps to be more than 0, got 0$/],
    "too many steps": [
      { steps: 1000 },
      "invalid",
      "steps",
      /^Cannot draw: expected steps of at most 150, got 1000$/,
    ],
    "steps that a scheduler does not take": [
      { ...flower, scheduler: "LCM", steps: 60 },
      "invalid",
      "steps",
      /expected 1 to 50 steps, .*got 60$/,
    ],
    "a second pass of too many pixels": [
      { hires: "8000x8000" },
      "invalid",
      "hires",
      /^Cannot take hires 8000x8000: expected at most 2097152 pixels, got 64000000$/,
    ],
    "a second pass that keeps next to nothing of the first": [
      { ...flower, size: "4x1024", hires: "1024x4", "hires-upscaler": "lanczos" },
      "invalid",
      "hires",
      /^Cannot draw 4x1024 once more in 1024x4: expected a shape more like its own, /,
    ],
    "a second pass of a picture": [
      { ...flower, hires: "64x64", image: [photo] },
      "invalid",
      "hires",
      /^Cannot take hires with image: the first of two passes draws from noise$/,
    ],
    "a cache of blocks that a UNet does not have": [
      { ...flower, cache: "first-block" },
      "invalid",
      "cache",
      /^Cannot take cache first-block with emoji-diffusion: expected a transformer; easy is for any model$/,
    ],
    "a cache of FLUX.1 with FLUX.2": [
      { ...flower, cache: "tea:0.2", model: "flux2" },
      "invalid",
      "cache",
      /^Cannot take cache tea with flux2: expected FLUX\.1; easy is for any model$/,
    ],
    "a picture that is too small to be referred to": [
      { prompt: "a cat", model: "flux2", image: [photo] },
      "invalid",
      "image",
      /^Cannot refer to a picture of \d+x\d+: expected sides from 64, /,
    ],
    "a strength that leaves no step": [
      { ...flower, image: [photo], steps: 5, strength: 0.01 },
      "invalid",
      "strength",
      /^Cannot slice by strength 0\.01: none of 5 steps is left/,
    ],
    "a LoRA in a weighted prompt": [
      { prompt: "a <lora:style:1>", "prompt-syntax": "a1111" },
      "invalid",
      "prompt",
      /^Cannot read <lora:style:1> in a prompt: say lora NAME:SCALE, and leave it out there$/,
    ],
    "sides of six digits": [
      { size: "100000x64" },
      "invalid",
      "size",
      /^Cannot take size 100000x64: expected at most 2097152 pixels, got 6400000$/,
    ],
    "too many pictures": [{ count: 11 }, "invalid", "count", /expected count of at most 10, got 11$/],
    "sides that the model cannot draw": [
      { size: "30x32" },
      "invalid",
      "size",
      /^Cannot take size 30x32: expected multiples of 4 with this model; 32x32 would do$/,
    ],
    "too many pixels": [
      { size: "8000x8000" },
      "invalid",
      "size",
      /expected at most 2097152 pixels, got 64000000$/,
    ],
    "an unknown model": [
      { model: "flx" },
      "not found",
      "model",
      /^Cannot find the model flx: nearest is flux$/,
    ],
    "an unknown LoRA": [{ lora: ["stile:2"] }, "not found", "lora", /lora stile: nearest is style$/],
    "a path in place of a LoRA": [
      { lora: [LORA.path] },
      "not found",
      "lora",
      /^Cannot find the lora .*kohya/,
    ],
    "a LoRA of another model": [
      { prompt: "a cat", lora: ["style"], steps: 1, size },
      "invalid",
      "lora",
      /made for another model$/,
    ],
    "blocks that a model does not have": [
      { prompt: "a cat", lora: ["style:blocks=OUTALL"], model: "flux" },
      "invalid",
      "lora",
      /^Cannot use 17 block weights for this FLUX: expected 4 or 8; lists by name, such as OUTALL, are for UNets$/,
    ],
    "a LoRA twice": [
      { lora: ["style", "style:2"], model: "flux" },
      "invalid",
      "lora",
      /style twice: say it once/,
    ],
    "a LoRA that counts in no step": [
      { lora: ["style:0.8:from=0.4:to=0.5"], model: "flux", steps: 4 },
      "invalid",
      "lora",
      /^Cannot take the LoRA style:.* in 4 steps: expected a whole step between its parts, got none; take more/,
    ],
    "a LoRA between parts that are none": [
      { lora: ["style:from=2"] },
      "invalid",
      "lora",
      /expected lora\[0\] to be NAME or NAME:0\.8, perhaps with :blocks=OUTALL, :from=0\.1, :to=0\.6 behind, got/,
    ],
    "a ControlNet that favors neither": [
      { controlnet: ["canny:favor=both"], control: [photo] },
      "invalid",
      "controlnet",
      /expected controlnet\[0\] to be NAME or NAME:0\.8, perhaps with .*:favor=prompt, :pass=1 behind, got/,
    ],
    "perturbed attention beyond reason": [{ pag: 1e30 }, "invalid", "pag", /1000/],
    "a scheduler that follows no flow": [
      { scheduler: "TCD", model: "flux" },
      "invalid",
      "scheduler",
      /^Cannot draw with TCDScheduler: expected a scheduler for flows, .*; take Flow/,
    ],
    "an unknown scheduler": [{ scheduler: "dpm 2mm" }, "invalid", "scheduler", /did you mean "DPM/],
    "a setting of another model": [
      { "true-cfg": 2 },
      "invalid",
      "true-cfg",
      /^Cannot take true-cfg with .*Flux/,
    ],
    "a cache of no kind": [{ cache: "much" }, "invalid", "cache", /expected cache to be KIND or KIND:0\.1, /],
    "a prompt that its syntax does not read": [
      { negative: "a AND b", "prompt-syntax": "a1111" },
      "invalid",
      "negative",
      /^Cannot read the prompt "a AND b": AND, .* is not built; write one prompt for all steps$/,
    ],
    "a setting that requests do not have": [
      { base: "x" },
      "invalid",
      undefined,
      /base: no such option/,
    ],
    "no base64": [
      { image: ["/etc/passwd."] },
      "invalid",
      "image",
      /image\[0\] to be bytes or a picture in base64/,
    ],
    "no picture": [
      { image: [new Uint8Array(9)] },
      "invalid",
      "image",
      /^Cannot load image: expected a PNG, JPEG/,
    ],
    "a damaged picture": [
      { image: [photo.subarray(0, 500)] },
      "invalid",
      "image",
      /^Cannot load image: expected /,
    ],
    "several pictures": [
      { image: [photo, photo] },
      "invalid",
      "image",
      /^Cannot take several image with emoji-diffusion: it changes one picture$/,
    ],
    "a mask's edge alone": [
      { "mask-blur": 4, "image": photo },
      "invalid",
      "mask-blur",
      /^Cannot take mask-blur alone: expected mask too/,
    ],
    "a mask alone": [{ mask: photo }, "invalid", "mask", /^Cannot take mask alone: expected image too/],
    "a NUL in the prompt": [
      { prompt: "a\0b" },
      "invalid",
      "prompt",
      /expected prompt to be a text without NUL, /,
    ],
    "a line in a model's name": [
      { model: "a\nb" },
      "invalid",
      "model",
      /to be a name without control characters, /,
    ],
    "too much guidance": [
      { guidance: 1e30 },
      "invalid",
      "guidance",
      /expected guidance to be at most 1000, /,
    ],
    "a seed of 65 bits": [{ seed: "18446744073709551616" }, "invalid", "seed", /from -2\^63 to 2\^64 - 1/],
  };
for (const [what, [request, kind, param, message]] of Object.entries(refused)) {
  Deno.test(`a request is refused in one sentence: ${what}`, async () => {
    await assert.rejects(drawer.draw(request as DrawRequest), (error) => {
      assert.ok(error instanceof RefusalError, String(error));
      assert.match(error.message, message);
      assert.doesNotMatch(error.message, /\n/);
      assert.deepEqual([error.kind, error.param], [kind, param]);
      return true;
    });
  });
}
