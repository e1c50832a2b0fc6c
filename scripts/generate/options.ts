import { schedulerNamed } from "denoise/schedulers";
import type { Values } from "../command_line/options.ts";
import * as option from "../command_line/options.ts";
import { maskContents, resizings } from "./begin_change.ts";
import { readCache } from "./cache.ts";
import { readMode } from "./control_mode.ts";
import { upscalerNames } from "./hires.ts";
import { MOST_BLUR } from "./mask_blur.ts";
import { readControlNet, readEmbedding, readLora, readScaled, STRONGEST } from "./named_files.ts";
import { readPreview } from "./preview.ts";
import { EMBEDDED, STEPS } from "./usual.ts";
import { readVariation } from "./variation.ts";

/** The command in the first line of `--help`. */
export const usage = "scripts/generate.ts [prompt]";

/** The purpose in the second. */
export const about = "Draws pictures from words, with any pipeline that is built.";

/** Options of the command line, most of which a picture's file keeps too. */
export const options = {
  prompt: option.text("what is to be drawn", "a nice flower"),
  model: {
    ...option.model(
      "a folder, a repository such as CompVis/stable-diffusion-v1-4, or one file: .safetensors, .ckpt, .gguf",
      "emoji-diffusion",
    ),
    value: EMBEDDED, // as recipes name it, on any machine
  },
  base: option.model("for one file: where tokenizers are, and what else it lacks; default: its family's"),
  variant: option.text("weights of another precision or training, e.g. fp16; default: the plain ones"),
  config: option.model("for one file: whose configs it has; default: what its tensors tell"),
  lora: option.list({
    ...checked(
      "a style to add, e.g. style.safetensors:0.8; blocks= are strengths of blocks by the lists of LoRA Block Weight, e.g. " +
        "OUTALL or 17 numbers; from= and to= parts of the steps between which it counts, e.g. style.safetensors:0.8:to=0.5",
      readLora,
    ),
    takes: "PATH_OR_REPO[:SCALE][:blocks=LIST][:from=N][:to=N]",
  }),
  embedding: option.list({
    ...checked("a textual inversion, whose token may stand in the prompt, e.g. cat.bin=<cat>", readEmbedding),
    takes: "PATH_OR_REPO[=TOKEN]",
  }),
  vae: option.model("another autoencoder, e.g. madebyollin/taesd"),
  controlnet: option.list({
    ...checked(
      "a ControlNet, for which --control has a picture, e.g. lllyasviel/sd-controlnet-canny:0.8; from= and to= are parts of " +
        "the steps between which it counts, favor=prompt or favor=control says what counts more (A1111's control modes), " +
        "pass=1 or pass=2 which of two passes it controls",
      readControlNet,
    ),
    takes: "PATH_OR_REPO[:SCALE][:from=N][:to=N][:favor=WHAT][:pass=N]",
  }),
  "t2i-adapter": option.list({
    ...checked(
      "a T2I-Adapter, likewise, e.g. TencentARC/t2i-adapter-sketch-sdxl-1.0:0.8",
      readScaled,
    ),
    takes: "PATH_OR_REPO[:SCALE]",
  }),
  control: option.list(
    option.file(
      "the picture that controls, such as edges or a pose: one for each --controlnet or --t2i-adapter; one for FLUX.1 " +
        "Depth or Canny",
    ),
  ),
  "control-mode": option.list({
    ...checked(
      "kind of the picture for a union ControlNet of FLUX.1, as its page numbers them: one for each --control; none for others",
      readMode,
    ),
    takes: "N|none",
  }),
  "ip-adapter": option.list({
    ...checked("lets pictures stand beside the prompt, e.g. ip-adapter_sd15.safetensors:0.6", readScaled),
    takes: "FILE_OR_REPO[:SCALE]",
  }),
  "ip-image": option.list(option.file("the picture that it sees: one for each --ip-adapter")),
  negative: option.text("what is not to be drawn"),
  "prompt-syntax": option.choice(
    'of weights in the prompts: "(red:1.3) apple" as in A1111, "(red)1.3 apple" as in compel; default: plain words',
    ["a1111", "compel"],
  ),
  steps: option.count("of the scheduler; FLUX.2 klein: 4, Z-Image-Turbo: 8", STEPS),
  guidance: option.number(
    "how closely the picture follows the prompt; up to 1 guidance is left out, except of FLUX, and of Z-Image at 0; " +
      "default: the pipeline's, 4.5 with the embedded model, 0 with Z-Image-Turbo",
  ),
  pag: option.number(
    "Stable Diffusion and XL: guidance away from what a model with perturbed attention draws, e.g. 3; half as much time again",
    { over: 0, most: STRONGEST },
  ),
  "true-cfg": option.number("FLUX: guidance by --negative beside its own; over 1, in twice the time"),
  cache: {
    ...checked(
      "leaves the model out where it would change little: first-block (transformers), tea (FLUX.1) or easy (any), up " +
        "to a threshold, e.g. first-block:0.1; see docs/step_caches.md",
      readCache,
    ),
    takes: "KIND[:THRESHOLD]",
  },
  "clip-skip": option.count(
    "Stable Diffusion and XL: layers of the text encoders that are left out at their end; A1111's number less 1",
  ),
  "max-sequence-length": option.count(
    "FLUX, FLUX.2 and Z-Image: tokens of the prompt that are read, at most 512 of T5",
  ),
  seed: option.seed("of the noise; further pictures of --count take the seeds after it"),
  variation: {
    ...checked(
      "mixes the noise with that of another seed, e.g. 7:0.3; further pictures of --count take the other seeds after it",
      readVariation,
    ),
    takes: "SEED:STRENGTH",
  },
  "seed-size": option.size("whose noise is in the middle, so that --size changes what is drawn less"),
  scheduler: {
    ...checked('a class or a name as in docs/schedulers.md, e.g. "DPM++ 2M Karras"', schedulerNamed),
    takes: "NAME",
  },
  size: option.size("in pixels; default: what the model was trained for, or the size of --image"),
  hires: option.size(
    "Stable Diffusion, XL, FLUX.1 and Z-Image: draws what came of --size once more in this size, from its latents, made larger",
  ),
  "hires-upscaler": option.choice("how they are made larger; default: latent", upscalerNames),
  "hires-strength": option.number("how much is drawn anew then; default: 0.7", { over: 0, most: 1 }),
  "hires-steps": option.count("of the scheduler then; default: --steps"),
  "hires-scheduler": {
    ...checked("then; default: --scheduler", schedulerNamed),
    takes: "NAME",
  },
  "hires-prompt": option.text("what is to be drawn then; default: the prompt"),
  "hires-negative": option.text("what is not to be drawn then; default: --negative"),
  image: option.list(option.file(
    "a picture to change instead of drawing from noise: a PNG, JPEG or WebP; FLUX.2: one that the prompt is about, " +
      "or several",
  )),
  strength: option.number("how much of it is replaced: near 0 little, 1 all; default: the pipeline's", {
    over: 0,
    most: 1,
  }),
  mask: option.file("white where --image is drawn anew"),
  "mask-blur": option.number(
    "keeps what the mask leaves out, to the last bit, behind an edge that is soft by so many pixels, e.g. 4; default: all " +
      "is decoded, which changes it a little",
    { over: 0, most: MOST_BLUR },
  ),
  "mask-content": option.choice(
    "what is within --mask before it is drawn anew: fill are the colours around it, blurred, noise and nothing are latents; " +
      "default: original",
    maskContents,
  ),
  resize: option.choice(
    "how --image gets --size: as pixels, or as latents, which are drawn of it as it is; default: pixels",
    resizings,
  ),
  count: option.count("pictures", 1, 1, 1_000_000),
  dtype: option.choice("of weights; default: f16 on a GPU that computes in it", ["f32", "f16"]),
  memory: option.memory(
    "of the GPU, for the models: what does not fit leaves in turn, or comes with fewer bits; default: nine tenths",
  ),
  quantize: option.choice("stores matrices in fewer bits", ["int8", "int4"]),
  engine: option.choice("of WebGPU; default: Dawn, else Deno's", ["dawn", "deno"]),
  check: option.choice(
    "looks for NaN and infinity in every result: where there is one, says which layer made it, of what; up to twice the time",
    ["finite"],
  ),
  plan: option.flag(
    "prints what the models take of the memory with these options, from the headers of their files, and ends",
  ),
  preview: {
    ...checked(
      "small pictures of the steps: in terminals that show pictures, or in FILE.png; N takes each Nth step, kitty, " +
        "iterm2 or sixel says how the terminal takes them; e.g. 5,preview.png",
      readPreview,
    ),
    takes: "N,FILE.png",
    bare: true,
  },
  "preview-vae": option.model(
    "a small autoencoder of the same latents that decodes them, up to 512 pixels wide, e.g. madebyollin/taesd; " +
      "default: a pixel for each latent, by colours",
  ),
  out: option.output("the picture", /\.png$/i, "denoise.png", "denoise.png"),
  replay: option.file("draws a picture again with the settings in its PNG"),
};

/** A text that `read` takes. */
function checked(help: string, read: (text: string) => unknown): option.Option<string | undefined> {
  return { ...option.text(help), read: (text) => (read(text), text) };
}

/** Values of all options. */
export type Settings = Values<typeof options>;

/** The values that were given, on the command line or in a recipe. */
export type Given = Partial<Settings>;
