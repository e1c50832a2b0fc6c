import { randomInt } from "node:crypto";
import { z } from "zod";
import { expectOptions } from "../../../../src/core/error.ts";
import { problemOf } from "../../../../src/io/config.ts";
import type { Drawer } from "../../draw/drawer.ts";
import { type Format, FORMATS } from "../../http/formats.ts";
import { maskOfAlpha } from "../../request/pictures.ts";
import { RefusalError } from "../../request/refusal.ts";
import { type DrawRequest, ownName, PICTURES, requestKeys, requestSchema } from "../../request/request.ts";

/** How a request is to be answered. */
export interface Answer {
  /** Pictures as text, or as addresses where this server has them for an hour. */
  readonly response_format: "b64_json" | "url";
  /** Of the pictures' files. */
  readonly output_format: Format;
  /** Quality of a JPEG or WebP, up to 100. */
  readonly output_compression: number;
  /** Events as they happen, in place of one answer in the end. */
  readonly stream: boolean;
  /** Small pictures on the way to each, in a stream. */
  readonly partial_images: number;
  /** The size as it was asked for. */
  readonly size: string;
}

/** A request of OpenAI's images API. */
export interface ImageParams {
  readonly request: DrawRequest;
  readonly answer: Answer;
}

/** What OpenAI's parameters may be here: what is not said here is refused, as it would have no effect. */
const shape = {
  prompt: z.string(),
  model: z.string(),
  n: z.int().min(1),
  size: z.string(),
  response_format: z.enum(["b64_json", "url"]),
  output_format: z.enum(FORMATS),
  output_compression: z.int().min(0).max(100),
  quality: z.enum(["auto", "standard"]),
  background: z.enum(["auto", "opaque"]),
  moderation: z.enum(["auto", "low"]),
  stream: z.boolean(),
  partial_images: z.int().min(0).max(3),
  user: z.string(),
};
const schema = z.object(shape).partial();
/** Our own settings that a client may say beside them, e.g. in the Python client's extra_body. */
const OWN = requestKeys.filter((name) =>
  !["prompt", "model", "count", "size", "image", "mask"].includes(name)
);

/** The schema of a request of images/generations. */
export const generationSchema: z.ZodObject = z.object({
  ...Object.fromEntries(OWN.map((name) => [name, requestSchema.shape[name]!])),
  ...shape,
}).partial();

const files = z.union([z.file(), z.array(z.file())]);

/** The schema of the form of images/edits. */
export const editSchema: z.ZodObject = generationSchema.extend({
  image: files,
  mask: z.file().optional(),
  control: files.optional(),
  "ip-image": files.optional(),
});

/** Reads a request's JSON. */
export function readImageParams(value: unknown): ImageParams {
  try {
    expectOptions(
      "draw",
      value as object,
      [...Object.keys(shape), ...OWN],
      (name) => name === "count" || name === "num_images_per_prompt" ? "it is n here" : ownName(name),
    );
  } catch (error) {
    throw new RefusalError("invalid", (error as Error).message);
  }
  const given = Object.entries(value as object).filter(([, value]) => value !== null); // as left out, as clients write it
  const { data, error } = schema.safeParse(Object.fromEntries(given));
  if (error) {
    const param = String(error.issues[0]?.path[0] ?? "");
    throw new RefusalError("invalid", `Cannot draw: ${problemOf(error, value)}`, param);
  }
  if (data.prompt === undefined) {
    throw new RefusalError("invalid", "Cannot draw: expected a prompt, got none", "prompt");
  }
  const { prompt, model, n = 1, size = "auto", response_format = "b64_json" } = data;
  const { output_format = "png", output_compression = 100, stream = false, partial_images = 0 } = data;
  const own = Object.fromEntries(given.filter(([name]) => OWN.includes(name)));
  return {
    request: {
      seed: BigInt(randomInt(2 ** 32)),
      ...own,
      prompt,
      model,
      count: n,
      ...size === "auto" ? {} : { size: size as never }, // read with the rest of the request
    },
    answer: { response_format, output_format, output_compression, stream, partial_images, size },
  };
}

/** Parameters that are numbers, lists or flags, which a form has as texts. */
const NUMBERS = [
  "n",
  "output_compression",
  "partial_images",
  "steps",
  "guidance",
  "true-cfg",
  "pag",
  "clip-skip",
  "max-sequence-length",
  "strength",
  "mask-blur",
  "hires-strength",
  "hires-steps",
];
const LISTS = ["lora", "embedding", "controlnet", "t2i-adapter", "control-mode", "ip-adapter"];
const FLAGS = ["stream"];

/**
 * Reads the form of an edit: a picture or several, perhaps a mask, whose transparent parts are drawn anew, and pictures that
 * control or stand beside the prompt.
 */
export async function readEditForm(form: FormData, drawer: Drawer): Promise<ImageParams> {
  const files: Record<typeof PICTURES[number], Uint8Array[]> = {
    "image": [],
    "mask": [],
    "control": [],
    "ip-image": [],
  };
  const fields: Record<string, unknown> = {};
  for (const [key, value] of form) {
    const name = key.replace(/\[\]$/, "");
    if (isPicture(name)) {
      if (typeof value === "string") {
        throw new RefusalError("invalid", `Cannot draw: expected ${name} to be a file, got a text`, name);
      }
      const bytes = new Uint8Array(await value.arrayBuffer());
      if (name === "mask" && files.mask.length > 0) throw twice(name);
      files[name].push(bytes);
    } else {
      if (typeof value !== "string") {
        throw new RefusalError("invalid", `Cannot draw: expected ${name} to be a text, got a file`, name);
      }
      if (Object.hasOwn(fields, name) && !LISTS.includes(name)) throw twice(name);
      if (LISTS.includes(name)) fields[name] = [...fields[name] as string[] ?? [], value];
      else if (NUMBERS.includes(name)) fields[name] = value.trim() === "" ? value : numberOr(value);
      else if (FLAGS.includes(name)) {
        fields[name] = value === "true" ? true : value === "false" ? false : value;
      } else fields[name] = value;
    }
  }
  const { image: images, mask: [mask], control, "ip-image": ip } = files;
  const [first] = images;
  if (!first) throw new RefusalError("invalid", "Cannot edit: expected an image, got none", "image");
  const { request, answer } = readImageParams(fields);
  const beside = { ...control.length > 0 ? { control } : {}, ...ip.length > 0 ? { "ip-image": ip } : {} };
  const plain = { ...request, image: images, ...beside };
  const mayBeMask = images.length === 1 && drawer.takes("mask", { ...plain, mask: first }); // others see it as it is
  const seen = await maskOfAlpha("mask", mask) ?? mask ??
    (mayBeMask ? await maskOfAlpha("image", first) : undefined);
  return { request: { ...plain, mask: seen }, answer };
}

function isPicture(name: string): name is typeof PICTURES[number] {
  return (PICTURES as readonly string[]).includes(name);
}

function twice(name: string): RefusalError {
  return new RefusalError("invalid", `Cannot draw: expected ${name} once, got it twice`, name);
}

function numberOr(text: string): number | string {
  return Number.isFinite(Number(text)) ? Number(text) : text;
}
