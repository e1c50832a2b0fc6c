import { randomInt } from "node:crypto";
import type { AnyParts } from "denoise/pipelines";
import type { Fit } from "../../../../src/io/images/resize.ts";
import type { Drawer } from "../../draw/drawer.ts";
import { RefusalError } from "../../request/refusal.ts";
import type { DrawRequest } from "../../request/request.ts";
import type { Size } from "../../../command_line/options.ts";
import { multipleOf, usualSize } from "../../../generate/usual.ts";
import { controlOf } from "./controlnet.ts";
import { hiresOf } from "./hires.ts";
import { type InpaintWork, inpaintWork, prepared } from "./inpaint.ts";
import { bytesOf, type Img2img, img2imgSchema, parsed, type Txt2img, txt2imgSchema } from "./schema.ts";
import { schedulerOf, splitLoras } from "./words.ts";

/** A request of A1111's API. */
export interface SdapiParams {
  /** Without the names of LoRAs and with the client's settings alone. */
  readonly request: DrawRequest;
  /** As it came. */
  readonly prompt: string;
  /** As it came. */
  readonly negative: string;
  /** The sampler's name; undefined for the model's own. */
  readonly sampler: string | undefined;
  /** The spread of the steps, where one was named. */
  readonly schedule: string | undefined;
  /** A1111's n_iter and batch_size: its jobs, and the pictures of each. */
  readonly jobs: { readonly jobs: number; readonly batch: number };
  /** True if the answer has the pictures. */
  readonly send: boolean;
  /** The parameters that were read, by their own names, without pictures. */
  readonly echo: Readonly<Record<string, unknown>>;
  /** What becomes of what is drawn, where it is drawn within a mask. */
  readonly finish: InpaintWork["finish"] | undefined;
  /** A1111's number of the layer of CLIP that counts: 1 is the last. */
  readonly clipSkip: number;
  /** Settings that stay for the requests that come. */
  readonly keep: Partial<Usual>;
}

/** Settings of requests that say nothing else. */
export interface Usual {
  /** The model's name. */
  model: string;
  /** As A1111 counts: the layer of CLIP that counts, from its end. */
  clipSkip: number;
  /** The autoencoder's name, or one for the model's own. */
  vae: string;
}

/** How pictures get the shape of what is drawn, by A1111's numbers; with the last their latents get it. */
const FITS: readonly Fit[] = ["default", "crop", "fill", "default"];
const AS_LATENTS = 3;

/** What is within a mask before it is drawn anew, by A1111's numbers. */
const CONTENTS: readonly NonNullable<DrawRequest["mask-content"]>[] = [
  "fill",
  "original",
  "noise",
  "nothing",
];

/** Names of the model's own autoencoder. */
export const OWN_VAE: readonly string[] = ["Automatic", "None", ""];

/** Reads a request of txt2img or img2img. */
export async function readSdapi(
  kind: "txt2img" | "img2img",
  value: unknown,
  { usual, drawer }: { usual: Usual; drawer: Drawer },
): Promise<SdapiParams> {
  const data = parsed(kind === "txt2img" ? txt2imgSchema : img2imgSchema, value) as Txt2img & Img2img;
  const { prompt = "", negative_prompt: negative = "", seed = -1, width, height } = data;
  const { batch_size = 1, n_iter = 1, override_settings = {}, send_images = true } = data;
  const { sampler, schedule, scheduler } = schedulerOf(data);
  const model = override_settings.sd_model_checkpoint ?? usual.model;
  const clipSkip = override_settings.CLIP_stop_at_last_layers ?? usual.clipSkip;
  const skips = clipSkip > 1 && readsLayers(drawer.partsOf(model));
  const { words, loras } = splitLoras(prompt);
  const isTwice = kind === "txt2img" && data.enable_hr === true;
  const usualSides = isTwice ? usualSize(drawer.partsOf(model)) : undefined;
  const size = width === undefined && height === undefined
    ? usualSides
    : { width: width ?? height!, height: height ?? width! };
  const images = kind === "img2img" ? picturesOf(data) : undefined;
  const inpaint = images && await inpaintOf(data, images, size);
  const hires = isTwice ? hiresOf(data, size!, multipleOf(drawer.partsOf(model))) : undefined;
  const { sd_vae: vae = usual.vae } = override_settings;
  const plain: DrawRequest = {
    ...hires,
    ...await controlOf(data.alwayson_scripts ?? {}, {
      first: images?.[0],
      size,
      twice: isTwice,
      part: inpaint?.part,
    }),
    vae: OWN_VAE.includes(vae) ? undefined : vae,
    prompt: words,
    negative: negative === "" ? undefined : negative,
    model,
    embedding: embeddingsIn(
      [words, negative, hires?.["hires-prompt"], hires?.["hires-negative"]].join("\n"),
      drawer,
      model,
    ),
    lora: loras.length > 0 && !data.disable_extra_networks ? loras : undefined,
    scheduler,
    steps: data.steps,
    guidance: data.cfg_scale,
    "clip-skip": skips ? clipSkip - 1 : undefined,
    size,
    seed: BigInt(someSeed(seed)),
    ...noiseOf(data),
    count: batch_size * n_iter,
    image: inpaint ? [inpaint.image] : images &&
      await Promise.all(images.map((image) => prepared(image, size, FITS[data.resize_mode ?? 0]!))),
    mask: inpaint?.mask,
    "mask-content": inpaint && CONTENTS[data.inpainting_fill ?? 0],
    resize: images && !inpaint && data.resize_mode === AS_LATENTS ? "latents" : undefined,
  };
  const { init_images: _images, mask: _mask, ...echo } = data;
  return {
    request: {
      ...plain,
      ...drawer.takes("prompt-syntax", plain) ? { "prompt-syntax": "a1111" } : {},
      ...plain.image && drawer.takes("strength", plain) ? { strength: data.denoising_strength ?? 0.75 } : {},
    },
    jobs: { jobs: n_iter, batch: batch_size },
    ...{ prompt, negative, sampler, schedule, send: send_images, finish: inpaint?.finish },
    echo: data.include_init_images ? data : echo,
    clipSkip: skips ? clipSkip : 1,
    keep: data.override_settings_restore_afterwards === false ? { model, clipSkip, vae } : {},
  };
}

/** The textual inversions of which a text has the token, as words: "art" is not in "party". */
function embeddingsIn(words: string, drawer: Drawer, model: string): string[] | undefined {
  const names = drawer.offered("embedding", model).filter(({ token }) => hasWords(words, token!))
    .map(({ name }) => name);
  return names.length > 0 ? names : undefined;
}

/** True if a text has others as words: where these end with letters, none stand beside them, as CLIP takes texts apart. */
function hasWords(text: string, words: string): boolean {
  const before = /^\p{L}/u.test(words) ? "(?<!\\p{L})" : "";
  const after = /\p{L}$/u.test(words) ? "(?!\\p{L})" : "";
  return new RegExp(before + RegExp.escape(words) + after, "u").test(text);
}

/** A variation's seed and the size of the noise, where they count. */
function noiseOf(
  { subseed = -1, subseed_strength: strength = 0, seed_resize_from_w: w = 0, seed_resize_from_h: h = 0 }:
    Txt2img,
): Pick<DrawRequest, "variation" | "seed-size"> {
  return {
    variation: strength >= 1e-6 ? `${someSeed(subseed)}:${Number(strength.toFixed(6))}` : undefined,
    "seed-size": w > 0 && h > 0 ? { width: w, height: h } : undefined,
  };
}

/** A seed, or any where none is said. */
function someSeed(seed: number): number {
  return seed < 0 ? randomInt(2 ** 32) : seed;
}

/** True for models whose layers of CLIP A1111 leaves out: Stable Diffusion 1's, not those with OpenCLIP's. */
function readsLayers(parts: AnyParts): boolean {
  return "unet" in parts && "textEncoder" in parts && !("textEncoder2" in parts) &&
    parts.textEncoder.config.hidden_act === "quick_gelu";
}

/** The pictures that are changed. */
function picturesOf({ init_images }: Img2img): Uint8Array[] {
  if (init_images) return init_images.map((text) => bytesOf("init_images", text));
  throw new RefusalError("not found", "Cannot draw: expected init_images, got none", "init_images");
}

/** What is drawn within a mask; undefined without one. */
async function inpaintOf(
  data: Img2img,
  images: readonly Uint8Array[],
  size: Size | undefined,
): Promise<InpaintWork | undefined> {
  if (data.mask === undefined) return undefined;
  const { resize_mode: mode = 0, inpaint_full_res: onlyMasked = true } = data;
  if (mode > 0 && !onlyMasked) { // else the part around the mask is drawn, in its own shape
    throw new RefusalError(
      "invalid",
      `Cannot take resize_mode ${mode} with a mask: expected 0`,
      "resize_mode",
    );
  }
  if (images.length > 1) {
    throw new RefusalError("invalid", "Cannot draw: expected one picture with a mask", "init_images");
  }
  return await inpaintWork(images[0]!, bytesOf("mask", data.mask), {
    blur: { x: data.mask_blur ?? data.mask_blur_x ?? 4, y: data.mask_blur ?? data.mask_blur_y ?? 4 },
    onlyMasked: Boolean(onlyMasked),
    padding: data.inpaint_full_res_padding ?? 0,
    invert: data.inpainting_mask_invert === 1,
    size,
  });
}
