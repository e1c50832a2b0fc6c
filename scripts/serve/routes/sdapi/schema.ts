import { z } from "zod";
import { problemOf } from "../../../../src/io/config.ts";
import { RefusalError } from "../../request/refusal.ts";
import { text } from "../../request/request.ts";

/** ControlNets of a request, at most. */
export const MOST_UNITS = 16;

/** What has one value here: others are refused, as they would have no effect. */
const off = {
  restore_faces: z.literal(false),
  tiling: z.literal(false),
  s_churn: z.literal(0),
  s_tmin: z.literal(0),
  s_noise: z.literal(1),
  s_min_uncond: z.literal(0),
  refiner_checkpoint: z.enum(["", "None"]),
  script_name: z.literal(""),
  inpainting_fill: z.int().min(0).max(3),
  initial_noise_multiplier: z.literal(1),
  alwayson_scripts: z.record(
    z.string(),
    z.looseObject({ args: z.array(z.unknown()).max(MOST_UNITS) }).partial(),
  ),
};
/** Settings of A1111's that decide pixels; others are not looked at. */
export const optionsSchema = z.looseObject({
  sd_model_checkpoint: z.string(),
  CLIP_stop_at_last_layers: z.int().min(1).max(12),
  eta_noise_seed_delta: z.literal(0),
  sd_vae: z.string().max(200),
}).partial();
/** A picture in base64, or its data URL. */
export const picture = z.string().transform((text) => text.replace(/^data:image\/[\w.+-]+;base64,/, ""));
const shape = {
  prompt: text,
  negative_prompt: text,
  seed: z.int(),
  subseed: z.int(),
  subseed_strength: z.number().min(0).max(1),
  seed_resize_from_w: z.int().max(2 ** 16),
  seed_resize_from_h: z.int().max(2 ** 16),
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
const side = z.int().min(0).max(2 ** 16);
/** A request of txt2img; other names are not looked at, as in A1111. */
export const txt2imgSchema = z.looseObject({
  ...shape,
  denoising_strength: z.number(),
  enable_hr: z.boolean(),
  hr_scale: z.number().gt(0).lte(64),
  hr_resize_x: side,
  hr_resize_y: side,
  hr_second_pass_steps: z.int().min(0),
  hr_upscaler: z.string().max(100),
  hr_sampler_name: z.string().max(100),
  hr_scheduler: z.string().max(100),
  hr_prompt: text,
  hr_negative_prompt: text,
  hr_checkpoint_name: z.enum(["", "Use same checkpoint"]),
  firstphase_width: z.literal(0),
  firstphase_height: z.literal(0),
}).partial();
/** A request of img2img. */
export const img2imgSchema = z.looseObject({
  ...shape,
  init_images: z.array(picture).min(1),
  denoising_strength: z.number(),
  resize_mode: z.int().min(0).max(3),
  mask: picture,
  mask_blur: z.int().min(0),
  mask_blur_x: z.int().min(0),
  mask_blur_y: z.int().min(0),
  inpaint_full_res: z.union([z.boolean(), z.int()]),
  inpaint_full_res_padding: z.int().min(0),
  inpainting_mask_invert: z.union([z.literal(0), z.literal(1)]),
  include_init_images: z.boolean(),
}).partial();

/** A request of txt2img, as it was sent. */
export type Txt2img = z.infer<typeof txt2imgSchema>;
/** A request of img2img, as it was sent. */
export type Img2img = z.infer<typeof img2imgSchema>;

/** Reads JSON by a schema; null is as left out. Throws a RefusalError of one sentence. */
export function parsed<T>(schema: z.ZodType<T>, value: unknown, within?: string): T {
  const given = typeof value === "object" && value !== null && !Array.isArray(value)
    ? Object.fromEntries(Object.entries(value).filter(([, inner]) => inner !== null))
    : value;
  const { data, error } = schema.safeParse(given);
  if (!error) return data;
  const param = within ?? String(error.issues[0]?.path[0] ?? "");
  throw new RefusalError("invalid", `Cannot draw: ${problemOf(error, given)}`, param);
}

/** A picture's bytes from base64. */
export function bytesOf(name: string, base64: string): Uint8Array {
  try {
    return Uint8Array.fromBase64(base64);
  } catch {
    throw new RefusalError("invalid", `Cannot draw: expected ${name} to be pictures in base64`, name);
  }
}
