import { Buffer } from "node:buffer";
import { z } from "zod";
import { expectOptions } from "../../../src/core/error.ts";
import { positive, problemOf } from "../../../src/io/config.ts";
import type { Size } from "../../command_line/options.ts";
import { maskContents, resizings } from "../../generate/begin_change.ts";
import { readCache } from "../../generate/cache.ts";
import { readMode } from "../../generate/control_mode.ts";
import { type HiresSettings, upscalerNames } from "../../generate/hires.ts";
import { MOST_BLUR } from "../../generate/mask_blur.ts";
import { misfitOfPrompts, misfitTogether } from "../../generate/misfits.ts";
import {
  readControlNet,
  readEmbedding,
  readLora,
  readScaled,
  STRONGEST,
} from "../../generate/named_files.ts";
import { readVariation } from "../../generate/variation.ts";
import { RefusalError } from "./refusal.ts";

/**
 * What is to be drawn: settings under their names in a recipe, as generate.ts writes it into a picture's file. What is left
 * out is as in generate.ts, or as the model was made for it. Nothing in it is a path or an address.
 */
export interface DrawRequest extends HiresSettings {
  /** What is to be drawn. */
  readonly prompt?: string | undefined;
  /** What is not to be drawn. */
  readonly negative?: string | undefined;
  /** The name of a model that is offered; by default the first. */
  readonly model?: string | undefined;
  /** Names of LoRAs that are offered, with or without a scale, blocks and parts of the steps: "style", "style:0.8:to=0.5". */
  readonly lora?: readonly string[] | undefined;
  /** Names of textual inversions that are offered, with or without a token for the prompt: "cat", "cat=<my-cat>". */
  readonly embedding?: readonly string[] | undefined;
  /** The name of an autoencoder that is offered, in place of the model's own. */
  readonly vae?: string | undefined;
  /**
   * Names of ControlNets that are offered, with or without a scale, parts of the steps, what counts more, and one of two passes:
   * "canny", "canny:0.8:to=0.5", "canny:favor=prompt", "canny:pass=1".
   */
  readonly controlnet?: readonly string[] | undefined;
  /** Names of T2I-Adapters that are offered, likewise. */
  readonly "t2i-adapter"?: readonly string[] | undefined;
  /** The bytes of pictures that control, such as edges: one for each ControlNet or T2I-Adapter, or for FLUX.1 Depth or Canny. */
  readonly control?: readonly Uint8Array[] | undefined;
  /** Kinds of these pictures for union ControlNets of FLUX.1, one for each: a number as their pages have it, or "none". */
  readonly "control-mode"?: readonly string[] | undefined;
  /** Names of IP-Adapters that are offered, with or without a scale. */
  readonly "ip-adapter"?: readonly string[] | undefined;
  /** The bytes of the pictures that they see beside the prompt, one for each. */
  readonly "ip-image"?: readonly Uint8Array[] | undefined;
  /** A class or a name as in docs/schedulers.md. */
  readonly scheduler?: string | undefined;
  /** Steps of the scheduler. */
  readonly steps?: number | undefined;
  /** How closely the picture follows the prompt. */
  readonly guidance?: number | undefined;
  /** FLUX: guidance by the negative prompt. */
  readonly "true-cfg"?: number | undefined;
  /** Stable Diffusion and XL: guidance away from what a model with perturbed attention draws. */
  readonly pag?: number | undefined;
  /** Leaves the model out where it would change little, e.g. "first-block:0.1"; see docs/step_caches.md. */
  readonly cache?: string | undefined;
  /** The syntax of weights in the prompts; plain words by default. */
  readonly "prompt-syntax"?: "a1111" | "compel" | undefined;
  /** Stable Diffusion and XL: layers of the text encoders that are left out at their end. */
  readonly "clip-skip"?: number | undefined;
  /** Tokens of the prompt that are read, for models with long ones. */
  readonly "max-sequence-length"?: number | undefined;
  /** Of the noise of the first picture; the others take those after it. 0 by default. */
  readonly seed?: bigint | undefined;
  /** Mixes the noise with that of another seed, "7:0.3"; then pictures have the same seed, and other ones after this. */
  readonly variation?: string | undefined;
  /** The size whose noise is in the middle, in pixels. */
  readonly "seed-size"?: Size | undefined;
  /** Pictures; 1 by default. */
  readonly count?: number | undefined;
  /** In pixels; by default that of the first of `image`, or the size for which the model was trained. */
  readonly size?: Size | undefined;
  /** The bytes of pictures: one that is changed or, where the model takes them so, those that the prompt is about. */
  readonly image?: readonly Uint8Array[] | undefined;
  /** How much of it is replaced, above 0 to 1. */
  readonly strength?: number | undefined;
  /** The bytes of a picture that is white where `image` is drawn anew. */
  readonly mask?: Uint8Array | undefined;
  /** Keeps what the mask leaves out, to the last bit, behind an edge of this standard deviation in pixels, above 0 to 32. */
  readonly "mask-blur"?: number | undefined;
  /** What is within the mask before it is drawn anew: `fill` are the colours around it, blurred; by default as it is. */
  readonly "mask-content"?: "original" | "fill" | "noise" | "nothing" | undefined;
  /** How `image` gets the size that is drawn: as pixels, or as latents, which are drawn of it as it is. */
  readonly resize?: "pixels" | "latents" | undefined;
}

const MOST_TEXT = 20_000; // characters: prompts are cut after hundreds of words anyway
/** LoRAs of a request, its pictures and so on, at most. */
export const MOST_PARTS = 16;

/** A prompt. */
export const text = z.string().max(MOST_TEXT).refine((value) => !value.includes("\0"), "a text without NUL"); // which no PNG keeps
const name = z.string().min(1).max(200).refine(isName, "a name without control characters");
/** A whole number above 0 without an upper bound of its own: whoever draws has one, and says it. */
const count = z.number().refine(Number.isInteger, "a whole number").gt(0).meta({ type: "integer" });
const guidance = z.number().gte(-STRONGEST).lte(STRONGEST);
const seed = z.union([z.int(), z.bigint(), z.string().regex(/^[+-]?\d{1,20}$/, "a whole number")])
  .transform((value) => BigInt(typeof value === "string" ? value.replace("+", "") : value))
  .refine((value) => value >= -(2n ** 63n) && value < 2n ** 64n, "a whole number from -2^63 to 2^64 - 1");
const side = z.number().refine(Number.isInteger, "a whole number").meta({ type: "integer" });
const SIDES = /^(\d{1,15})(?:[xX×](\d{1,15}))?$/;
const size = z.union([
  z.string().regex(SIDES, "WIDTHxHEIGHT in pixels, e.g. 512x512").transform((value) => {
    const [, width, height = width] = SIDES.exec(value)!;
    return { width: Number(width), height: Number(height) };
  }),
  z.object({ width: side, height: side }),
]).refine(({ width, height }) => width > 0 && height > 0, "sides above 0");
const picture = z.union([
  z.custom<Uint8Array>((value) => value instanceof Uint8Array, "bytes"),
  z.base64("a picture in base64").min(1).transform((value) => new Uint8Array(Buffer.from(value, "base64"))),
]);
const pictures = z.union([picture.transform((one) => [one]), z.array(picture).min(1).max(MOST_PARTS)]);
const named = (read: (text: string) => unknown, expected: string) =>
  z.array(z.string().max(1000).refine((value) => isName(value) && isRead(read)(value), expected)).max(
    MOST_PARTS,
  );
const scaled = named(readScaled, "NAME or NAME:0.8").min(1);
const mode = z.union([
  z.int().min(0).transform(String),
  z.string().max(10).refine(isRead(readMode), "a whole number or none"),
]);

/**
 * A request in JSON: pictures in base64, seeds as numbers or, beyond 2^53, as texts; and as `readRequest` gives it, so that
 * it may be read again.
 */
const keys = {
  prompt: text,
  negative: text,
  model: name,
  lora: named(readLora, "NAME or NAME:0.8, perhaps with :blocks=OUTALL, :from=0.1, :to=0.6 behind"),
  embedding: named(readEmbedding, "NAME or NAME=TOKEN").min(1),
  vae: name,
  controlnet: named(
    readControlNet,
    "NAME or NAME:0.8, perhaps with :from=0.1, :to=0.6, :favor=prompt, :pass=1 behind",
  ).min(1),
  "t2i-adapter": scaled,
  control: pictures,
  "control-mode": z.array(mode).min(1).max(MOST_PARTS),
  "ip-adapter": scaled,
  "ip-image": pictures,
  scheduler: z.string().max(100),
  steps: count,
  guidance,
  "true-cfg": guidance,
  pag: z.number().gt(0).lte(STRONGEST),
  cache: z.string().max(100).refine(isRead(readCache), "KIND or KIND:0.1, e.g. first-block:0.1"),
  "prompt-syntax": z.enum(["a1111", "compel"]),
  "clip-skip": positive,
  "max-sequence-length": positive,
  seed,
  variation: z.string().max(100).refine(isRead(readVariation), "SEED:STRENGTH, e.g. 7:0.3"),
  "seed-size": size,
  count,
  size,
  hires: size,
  "hires-upscaler": z.enum(upscalerNames),
  "hires-strength": z.number().gt(0).lte(1),
  "hires-steps": count,
  "hires-scheduler": z.string().max(100),
  "hires-prompt": text,
  "hires-negative": text,
  image: pictures,
  strength: z.number().gt(0).lte(1),
  mask: picture,
  "mask-blur": z.number().gt(0).lte(MOST_BLUR),
  "mask-content": z.enum(maskContents),
  resize: z.enum(resizings),
};

/** The schema of a request, for those who write it down, e.g. as JSON Schema. */
export const requestSchema: z.ZodType<DrawRequest> & Pick<z.ZodObject, "shape"> = z.object(keys).partial();

/** Settings that are pictures, of which logs and recipes have none. */
export const PICTURES = ["image", "mask", "control", "ip-image"] as const satisfies (keyof DrawRequest)[];

/** A request without its pictures. */
export type RequestSettings = Omit<DrawRequest, "image" | "mask" | "control" | "ip-image">;

/** Names of all settings of a request. */
export const requestKeys: readonly string[] = Object.keys(keys);

/** Names of diffusers and of other programs for settings that are called otherwise here. */
const OTHERS: Readonly<Record<string, string>> = {
  ...{ negative_prompt: "negative", num_inference_steps: "steps", guidance_scale: "guidance" },
  ...{ true_cfg_scale: "true-cfg", pag_scale: "pag", max_sequence_length: "max-sequence-length" },
  ...{ num_images_per_prompt: "count", n: "count", batch_size: "count", cfg_scale: "guidance" },
  ...{ width: "size", height: "size", sampler: "scheduler", sampler_name: "scheduler", loras: "lora" },
  ...{ control_image: "control", control_mode: "control-mode", ip_adapter_image: "ip-image" },
};

/** Tells the name of a setting here by another program's, for messages. */
export function ownName(name: string): string | undefined {
  return Object.hasOwn(OTHERS, name) ? `it is ${OTHERS[name]} here` : undefined;
}

/** Checks a request, whoever wrote it. Throws a RefusalError of one sentence for what is wrong. */
export function readRequest(value: unknown): DrawRequest {
  try {
    expectOptions("draw", value as object, requestKeys, ownName);
  } catch (error) {
    throw new RefusalError("invalid", (error as Error).message);
  }
  const { success, data, error } = requestSchema.safeParse(value);
  if (!success) {
    const param = String(error.issues[0]?.path[0] ?? "");
    throw new RefusalError("invalid", `Cannot draw: ${problemOf(error, shortened(value))}`, param);
  }
  const odd = misfitTogether({ ...data }, { setting: (name) => name }) ??
    misfitOfPrompts({ ...data }, "lora NAME:SCALE");
  if (odd) throw new RefusalError("invalid", odd.message, odd.name);
  return data;
}

/** True for what may be a name of a model or a LoRA, without control characters and halves of others: it stands in lines of logs and messages. */
export function isName(text: string): boolean {
  return !/[\p{Cc}\p{Cs}]/u.test(text);
}

/** True for texts that are read without an error. */
function isRead(read: (text: string) => unknown): (text: string) => boolean {
  return (text) => {
    try {
      read(text);
      return true;
    } catch {
      return false;
    }
  };
}

/** The same for messages: without the bytes of pictures, and with numbers that JSON has. */
function shortened(value: unknown): unknown {
  if (typeof value === "bigint") return String(value);
  if (value instanceof Uint8Array) return "bytes";
  if (typeof value === "string") return value.slice(0, 100);
  if (Array.isArray(value)) return value.slice(0, MOST_PARTS + 1).map(shortened);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, shortened(inner)]));
}
