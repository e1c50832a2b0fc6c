import { Buffer } from "node:buffer";
import { type Recipe, version } from "denoise";
import { decodePng } from "../../../../src/io/images/png.ts";
import { infotext } from "../../../../src/io/images/infotext.ts";
import { joinChunk, PNG_SIGNATURE, splitChunks, textChunk } from "../../../../src/io/images/png_text.ts";
import type { DrawnPicture } from "../../draw/drawing.ts";
import { readVariation, type Variation } from "../../../generate/variation.ts";
import { sidesIn } from "../../../command_line/options.ts";
import { RefusalError } from "../../request/refusal.ts";
import type { DrawRequest } from "../../request/request.ts";
import type { SdapiParams } from "./params.ts";

const KEYWORD = "parameters"; // of the PNG text that A1111 writes and reads

/** A picture's settings as A1111 writes them under it: the prompts as they came, and a line of names with values. */
export function infotextOf({ recipe, width, height }: DrawnPicture, params: SdapiParams): string {
  const { prompt, negative, sampler, schedule, request, echo, finish } = params;
  const { hires, size } = request;
  const variation = variationIn(recipe);
  const settings = {
    "Steps": recipe["steps"],
    "Sampler": sampler ?? recipe["sampler"] ?? recipe["schedulerClass"],
    "Schedule type": schedule ?? recipe["schedule"],
    "CFG scale": recipe["guidance"],
    "Seed": recipe["seed"],
    "Size": hires ? size && sidesIn(size) : sidesIn({ width, height }),
    "Variation seed": variation?.seed,
    "Variation seed strength": variation?.strength,
    "Seed resize from": recipe["seed-size"],
    "Model": recipe["model"],
    "Clip skip": params.clipSkip > 1 ? params.clipSkip : undefined,
    "Denoising strength": request["hires-strength"] ?? request.strength,
    ...finish ? maskIn(echo, request) : {},
    "Hires resize": hires && sidesIn(hires),
    "Hires steps": request["hires-steps"],
    "Hires upscaler": hires && (echo["hr_upscaler"] ?? "Latent"),
    "Hires sampler": hires && request["hires-scheduler"],
    "Hires prompt": request["hires-prompt"],
    "Hires negative prompt": request["hires-negative"],
    "Version": `Denoise ${version}`,
  };
  return infotext({ prompt, negative, settings });
}

/** A1111's names of what is within a mask before it is drawn anew, but for that which is left out. */
const CONTENTS = { original: undefined, fill: "fill", noise: "latent noise", nothing: "latent nothing" };

/** What A1111 tells of a mask. */
function maskIn(
  { mask_blur: blur = 4, inpaint_full_res: onlyMasked = true, inpaint_full_res_padding: padding = 0 }:
    SdapiParams["echo"],
  { "mask-content": content = "original" }: DrawRequest,
): Record<string, unknown> {
  const area = onlyMasked ? { "Inpaint area": "Only masked", "Masked area padding": padding } : {};
  return { "Mask blur": blur === 0 ? undefined : blur, ...area, "Masked content": CONTENTS[content] };
}

/** A picture's variation. */
export function variationIn(recipe: Recipe): Variation | undefined {
  return recipe["variation"] === undefined ? undefined : readVariation(String(recipe["variation"]));
}

/** A picture's file with an infotext in place of other parameters, beside its recipe where it has one. */
export function withInfotext(png: Uint8Array, infotext: string): Uint8Array {
  const [header, ...others] = splitChunks(png, "the picture");
  const text = textChunk(KEYWORD, infotext.replaceAll("\0", ""));
  const chunks = [header!, text, ...others.filter((chunk) => !isParameters(chunk))];
  return Buffer.concat([Uint8Array.from(PNG_SIGNATURE), ...chunks.map(joinChunk)]);
}

/** A PNG's texts as A1111 tells them: its infotext, what stands in that, and all other texts. */
export function pngInfoOf(png: Uint8Array): { info: string; items: object; parameters: object } {
  try {
    const { [KEYWORD]: info = "", ...items } = decodePng(png, "image").text;
    return { info, items, parameters: readInfotext(info) };
  } catch (error) {
    throw new RefusalError("invalid", (error as Error).message, "image");
  }
}

const SETTING = /(\w[\w \-/]{1,99}):\s{0,9}("(?:\\.|[^\\"]){1,9999}"|[^,]*)(?:,|$)/g; // bounded, as files are hostile
const FEW = 3; // settings that make a line one of settings, as A1111 counts
const LONGEST = 10_000; // characters of a line of settings

/** Reads an infotext, also one that A1111 wrote. */
export function readInfotext(info: string): Record<string, string> {
  const lines = info.trim().split("\n");
  const line = lines.at(-1)!;
  const last = line.length <= LONGEST ? [...line.matchAll(SETTING)] : [];
  const isSettings = last.length >= FEW;
  const words = isSettings ? lines.slice(0, -1) : lines;
  const at = words.findIndex((line) => line.trim().startsWith("Negative prompt:"));
  const text = (some: readonly string[]) => some.map((line) => line.trim()).join("\n");
  const settings = isSettings ? last.map(([, name, value]) => [name!, unquoted(value!.trim())] as const) : [];
  const sizes = settings.flatMap(([name, value]) => {
    const [, width, height] = /^(\d+)x(\d+)$/.exec(value) ?? [];
    return width === undefined ? [[name, value]] : [[`${name}-1`, width], [`${name}-2`, height!]];
  });
  return {
    "Prompt": text(at < 0 ? words : words.slice(0, at)),
    "Negative prompt": at < 0 ? "" : text(words.slice(at)).slice("Negative prompt:".length).trim(),
    ...Object.fromEntries(sizes),
  };
}

function isParameters({ type, data }: { type: string; data: Uint8Array }): boolean {
  return /^(tEXt|zTXt|iTXt)$/.test(type) && new TextDecoder("latin1").decode(data).startsWith(`${KEYWORD}\0`);
}

function unquoted(text: string): string {
  if (!text.startsWith('"')) return text;
  try {
    return String(JSON.parse(text));
  } catch {
    return text;
  }
}
