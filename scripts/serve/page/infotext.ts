import type { FileSettings } from "./request.ts";

type Given = Readonly<Record<string, string>>;

/**
 * Settings by A1111's words for them, sizes in two (https://github.com/AUTOMATIC1111/stable-diffusion-webui/wiki/Features#png-info);
 * undefined where these are none.
 */
export function settingsOfInfotext(given: Given): FileSettings | undefined {
  const { Steps: steps, Seed: seed, Sampler: sampler, Model: model, Prompt: prompt = "" } = given;
  if (steps === undefined || sampler === undefined) return undefined;
  const { words, loras } = split(prompt);
  const [negative, cfg, size] = [given["Negative prompt"], given["CFG scale"], sizeIn(given, "Size")];
  const skip = Number(given["Clip skip"] ?? 1);
  const [variation, part] = [given["Variation seed"], given["Variation seed strength"]];
  const from = sizeIn(given, "Seed resize from");
  return {
    prompt: words,
    "prompt-syntax": "a1111",
    ...negative ? { negative } : {},
    ...model === undefined ? {} : { model },
    ...loras.length > 0 ? { lora: loras } : {},
    scheduler: schedulerOf(sampler, given["Schedule type"]),
    ...size ? { size } : {},
    steps: Number(steps),
    ...cfg === undefined ? {} : { guidance: Number(cfg) },
    ...skip > 1 ? { "clip-skip": skip - 1 } : {},
    seed: seed ?? "",
    ...variation !== undefined && Number(part) > 0 ? { variation: `${variation}:${Number(part)}` } : {},
    ...from ? { "seed-size": from } : {},
    ...secondPassIn(given, sampler),
  };
}

/** What else decided the pixels, by our names: the picture that was changed, its mask, ControlNets. Files have none of it. */
export function leftOfInfotext(given: Given): string[] {
  const isChange = given["Denoising strength"] !== undefined && given["Hires upscaler"] === undefined;
  const isMasked = ["Mask blur", "Masked content", "Inpaint area"].some((name) => given[name] !== undefined);
  const isControlled = Object.keys(given).some((name) => /^ControlNet \d+$/.test(name));
  return [...isChange ? ["image"] : [], ...isMasked ? ["mask"] : [], ...isControlled ? ["controlnet"] : []];
}

/** The settings of a second pass, where there was one. */
function secondPassIn(given: Given, sampler: string): Partial<FileSettings> {
  const hires = sizeIn(given, "Hires resize") ?? scaledIn(given);
  const upscaler = given["Hires upscaler"];
  if (hires === undefined || upscaler === undefined) return {};
  const [strength, steps] = [given["Denoising strength"], given["Hires steps"]];
  const [own, spread] = [given["Hires sampler"], given["Hires schedule type"]];
  const [prompt, negative] = [given["Hires prompt"], given["Hires negative prompt"]];
  return {
    hires,
    "hires-upscaler": upscaler === "None"
      ? "lanczos"
      : upscaler.toLowerCase().replaceAll(/[ ()]+/g, " ").trim().replaceAll(" ", "-"),
    ...strength === undefined ? {} : { "hires-strength": Number(strength) },
    ...steps === undefined ? {} : { "hires-steps": Number(steps) },
    ...own === undefined && spread === undefined
      ? {}
      : { "hires-scheduler": schedulerOf(own ?? sampler, spread ?? given["Schedule type"]) },
    ...prompt ? { "hires-prompt": split(prompt).words } : {},
    ...negative ? { "hires-negative": negative } : {},
  };
}

/** The words of a prompt, and the LoRAs that it names. */
function split(prompt: string): { readonly words: string; readonly loras: readonly string[] } {
  const loras = [...prompt.matchAll(/<lora:([^:>]+):?([^:>]*)[^>]*>/g)].map(([, name, scale]) =>
    `${name}:${scale || 1}`
  );
  return { words: prompt.replaceAll(/<lora:[^>]*>/g, "").trim(), loras };
}

function schedulerOf(sampler: string, spread: string | undefined): string {
  const isKarras = spread?.toLowerCase() === "karras";
  return sampler.endsWith(" Karras") || !isKarras ? sampler : `${sampler} Karras`;
}

function sizeIn(given: Given, name: string): string | undefined {
  const [width, height] = [given[`${name}-1`], given[`${name}-2`]];
  return width === undefined ? undefined : `${width}x${height}`;
}

/** The size of a second pass that is so many times as large. */
function scaledIn(given: Given): string | undefined {
  const [scale, width, height] = ["Hires upscale", "Size-1", "Size-2"].map((name) => Number(given[name]));
  if (!scale || !width || !height) return undefined;
  return [width, height].map((side) => Math.floor(side * scale)).join("x");
}
