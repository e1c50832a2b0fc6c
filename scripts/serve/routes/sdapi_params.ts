import { randomInt } from "node:crypto";
import { z } from "zod";
import type { AnyParts } from "denoise/pipelines";
import { plainName, samplers } from "../../../src/schedulers/names.ts";
import { problemOf } from "../../../src/io/config.ts";
import type { Drawer } from "../drawer.ts";
import { RefusalError } from "../refusal.ts";
import { type DrawRequest, text } from "../request.ts";
import type { Size } from "../../command_line/options.ts";
import { flattened, type InpaintWork, inpaintWork } from "./sdapi_inpaint.ts";

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
  readonly echo: object;
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
}

/** What has one value here: others are refused, as they would have no effect. */
const off = {
  enable_hr: z.literal(false),
  restore_faces: z.literal(false),
  tiling: z.literal(false),
  subseed_strength: z.literal(0),
  seed_resize_from_h: z.int().max(0),
  seed_resize_from_w: z.int().max(0),
  s_churn: z.literal(0),
  s_tmin: z.literal(0),
  s_noise: z.literal(1),
  s_min_uncond: z.literal(0),
  refiner_checkpoint: z.enum(["", "None"]),
  script_name: z.literal(""),
  resize_mode: z.literal(0),
  inpainting_fill: z.union([z.literal(0), z.literal(1)]),
  initial_noise_multiplier: z.literal(1),
  alwayson_scripts: z.record(z.string(), z.object({ args: z.array(z.unknown()).max(0) }).partial()),
};
/** Settings of A1111's that decide pixels; others are not looked at. */
export const optionsSchema = z.looseObject({
  sd_model_checkpoint: z.string(),
  CLIP_stop_at_last_layers: z.int().min(1).max(12),
  eta_noise_seed_delta: z.literal(0),
  sd_vae: z.enum(["Automatic", "None"]),
}).partial();
const picture = z.string().transform((text) => text.replace(/^data:image\/[\w.+-]+;base64,/, ""));
const shape = {
  prompt: text,
  negative_prompt: text,
  seed: z.int(),
  steps: z.int(),
  cfg_scale: z.number(),
  width: z.int(),
  height: z.int(),
  batch_size: z.int().min(1),
  n_iter: z.int().min(1),
  sampler_name: z.string().max(100),
  sampler_index: z.string().max(100),
  scheduler: z.string().max(100),
  override_settings: optionsSchema,
  override_settings_restore_afterwards: z.boolean(),
  send_images: z.boolean(),
  disable_extra_networks: z.boolean(),
  ...off,
};
/** A request of txt2img; other names are not looked at, as in A1111. */
export const txt2imgSchema = z.looseObject(shape).partial();
/** A request of img2img. */
export const img2imgSchema = z.looseObject({
  ...shape,
  init_images: z.array(picture).min(1),
  denoising_strength: z.number(),
  mask: picture,
  mask_blur: z.int().min(0),
  mask_blur_x: z.int().min(0),
  mask_blur_y: z.int().min(0),
  inpaint_full_res: z.union([z.boolean(), z.int()]),
  inpaint_full_res_padding: z.int().min(0),
  inpainting_mask_invert: z.union([z.literal(0), z.literal(1)]),
  include_init_images: z.boolean(),
}).partial();

/** The spread that a sampler has where "Automatic" is asked for, if not its own. */
const AUTOMATIC: Readonly<Record<string, string>> = {
  "DPM++ 2M": "Karras",
  "DPM++ SDE": "Karras",
  "DPM++ 2M SDE": "Exponential",
  "DPM++ 2M SDE Heun": "Exponential",
  "DPM++ 2S a": "Karras",
  "DPM++ 3M SDE": "Exponential",
  "DPM2": "Karras",
  "DPM2 a": "Karras",
};

/** Reads a request of txt2img or img2img. */
export async function readSdapi(
  kind: "txt2img" | "img2img",
  value: unknown,
  { usual, drawer }: { usual: Usual; drawer: Drawer },
): Promise<SdapiParams> {
  const data = parsed(kind === "txt2img" ? txt2imgSchema : img2imgSchema, value) as z.infer<
    typeof img2imgSchema
  >;
  const { prompt = "", negative_prompt: negative = "", seed = -1, width, height } = data;
  const { batch_size = 1, n_iter = 1, override_settings = {}, send_images = true } = data;
  const { sampler, schedule, scheduler } = schedulerOf(data);
  const model = override_settings.sd_model_checkpoint ?? usual.model;
  const clipSkip = override_settings.CLIP_stop_at_last_layers ?? usual.clipSkip;
  const skips = clipSkip > 1 && readsLayers(drawer.partsOf(model));
  const { words, loras } = splitLoras(prompt);
  const size = width === undefined && height === undefined
    ? undefined
    : { width: width ?? height!, height: height ?? width! };
  const images = kind === "img2img" ? picturesOf(data) : undefined;
  const inpaint = images && await inpaintOf(data, images, size);
  const plain: DrawRequest = {
    prompt: words,
    negative: negative === "" ? undefined : negative,
    model,
    lora: loras.length > 0 && !data.disable_extra_networks ? loras : undefined,
    scheduler,
    steps: data.steps,
    guidance: data.cfg_scale,
    "clip-skip": skips ? clipSkip - 1 : undefined,
    size,
    seed: BigInt(seed < 0 ? randomInt(2 ** 32) : seed),
    count: batch_size * n_iter,
    image: inpaint ? [inpaint.image] : images && await Promise.all(images.map(flattened)),
    mask: inpaint?.mask,
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
    keep: data.override_settings_restore_afterwards === false ? { model, clipSkip } : {},
  };
}

/** Reads JSON by a schema; null is as left out. Throws a RefusalError of one sentence. */
export function parsed<T>(schema: z.ZodType<T>, value: unknown): T {
  const given = typeof value === "object" && value !== null && !Array.isArray(value)
    ? Object.fromEntries(Object.entries(value).filter(([, inner]) => inner !== null))
    : value;
  const { data, error } = schema.safeParse(given);
  if (!error) return data;
  const param = String(error.issues[0]?.path[0] ?? "");
  throw new RefusalError("invalid", `Cannot draw: ${problemOf(error, given)}`, param);
}

/** The scheduler by A1111's names for a sampler and a spread of the steps. */
function schedulerOf({ sampler_name, sampler_index, scheduler = "" }: z.infer<typeof txt2imgSchema>) {
  const named = sampler_name || sampler_index || undefined;
  const spread = /^(automatic)?$/i.test(scheduler) ? undefined : scheduler;
  const sampler = named ?? (spread === undefined ? undefined : "Euler");
  if (sampler === undefined) return { sampler, schedule: undefined, scheduler: undefined };
  const plain = plainName(sampler);
  const known = samplers.find(({ names }) => names.some((name) => plainName(name) === plain));
  const schedule = spread ?? AUTOMATIC[known?.names[0] ?? sampler];
  return {
    sampler,
    schedule: schedule ?? "Automatic",
    scheduler: schedule === undefined ? sampler : `${sampler} ${schedule}`,
  };
}

/** A prompt's words, and the LoRAs that it names as `<lora:name:0.8>`. */
function splitLoras(prompt: string): { words: string; loras: string[] } {
  const loras: string[] = [];
  const words = prompt.replace(/<(\w{1,99}):([^<>]{1,999})>/g, (tag, kind: string, rest: string) => {
    const [name, scale = "1", ...others] = rest.split(":");
    if (kind !== "lora" || others.length > 0 || !Number.isFinite(Number(scale))) {
      throw new RefusalError(
        "invalid",
        `Cannot take ${tag.slice(0, 100)} in a prompt: expected <lora:NAME> or <lora:NAME:0.8>`,
        "prompt",
      );
    }
    loras.push(`${name}:${scale}`);
    return "";
  });
  return { words: loras.length > 0 ? words.trim() : words, loras };
}

/** True for models whose layers of CLIP A1111 leaves out: Stable Diffusion 1's, not those with OpenCLIP's. */
function readsLayers(parts: AnyParts): boolean {
  return "unet" in parts && "textEncoder" in parts && !("textEncoder2" in parts) &&
    parts.textEncoder.config.hidden_act === "quick_gelu";
}

/** The pictures that are changed. */
function picturesOf({ init_images }: z.infer<typeof img2imgSchema>): Uint8Array[] {
  if (init_images) return init_images.map((text) => bytesOf("init_images", text));
  throw new RefusalError("not found", "Cannot draw: expected init_images, got none", "init_images");
}

/** What is drawn within a mask; undefined without one. */
async function inpaintOf(
  data: z.infer<typeof img2imgSchema>,
  images: readonly Uint8Array[],
  size: Size | undefined,
): Promise<InpaintWork | undefined> {
  if (data.mask === undefined) return undefined;
  if (images.length > 1) {
    throw new RefusalError("invalid", "Cannot draw: expected one picture with a mask", "init_images");
  }
  return await inpaintWork(images[0]!, bytesOf("mask", data.mask), {
    blur: { x: data.mask_blur ?? data.mask_blur_x ?? 4, y: data.mask_blur ?? data.mask_blur_y ?? 4 },
    onlyMasked: Boolean(data.inpaint_full_res ?? true),
    padding: data.inpaint_full_res_padding ?? 0,
    invert: data.inpainting_mask_invert === 1,
    size,
  });
}

/** A picture's bytes from base64. */
export function bytesOf(name: string, base64: string): Uint8Array {
  try {
    return Uint8Array.fromBase64(base64);
  } catch {
    throw new RefusalError("invalid", `Cannot draw: expected ${name} to be pictures in base64`, name);
  }
}
