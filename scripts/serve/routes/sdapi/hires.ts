import type { UpscalerName } from "../../../generate/hires.ts";
import type { Size } from "../../../command_line/options.ts";
import { RefusalError } from "../../request/refusal.ts";
import type { DrawRequest } from "../../request/request.ts";
import type { Txt2img } from "./schema.ts";
import { schedulerOf, splitLoras } from "./words.ts";

/** Upscalers of latents and of pictures by A1111's names; it calls Lanczos None, too. */
const NAMES: Readonly<Record<string, UpscalerName>> = {
  "Latent": "latent",
  "Latent (antialiased)": "latent-antialiased",
  "Latent (bicubic)": "latent-bicubic",
  "Latent (bicubic antialiased)": "latent-bicubic-antialiased",
  "Latent (nearest)": "latent-nearest",
  "Latent (nearest-exact)": "latent-nearest-exact",
  "None": "lanczos",
  "Lanczos": "lanczos",
  "Nearest": "nearest",
};

/** Names of those that make latents larger. */
export const latentNames: readonly string[] = Object.keys(NAMES).filter((name) => name.startsWith("Latent"));
/** Names of those that make pictures larger. */
export const pictureNames: readonly string[] = Object.keys(NAMES).filter((name) =>
  !name.startsWith("Latent")
);

/** The second pass of a request whose first is drawn in `size`; its prompt names no other LoRAs than the first's. */
export function hiresOf(data: Txt2img, size: Size, multiple: number): DrawRequest {
  const { hr_prompt = "", hr_negative_prompt: negative = "", hr_upscaler = "Latent" } = data;
  const { hr_second_pass_steps: steps = 0 } = data;
  const upscaler = NAMES[hr_upscaler];
  if (upscaler === undefined) {
    const names = Object.keys(NAMES).join(", ");
    throw refusal("hr_upscaler", `expected ${names}, as networks are not built in`, hr_upscaler);
  }
  const { words, loras } = splitLoras(hr_prompt);
  const others = loras.filter((lora) => !splitLoras(data.prompt ?? "").loras.includes(lora));
  if (others.length > 0) throw refusal("hr_prompt", "expected no LoRA but those of the prompt", others[0]!);
  const own = sameAs(data.hr_sampler_name, "Use same sampler");
  const spread = sameAs(data.hr_scheduler, "Use same scheduler");
  const named = own !== undefined || spread !== undefined;
  const scheduler = named
    ? schedulerOf({
      sampler_name: own ?? data.sampler_name,
      sampler_index: data.sampler_index,
      scheduler: spread ?? data.scheduler,
    }).scheduler
    : undefined;
  return {
    hires: targetOf(data, size, multiple),
    "hires-upscaler": upscaler,
    "hires-strength": data.denoising_strength ?? 0.75,
    "hires-steps": steps > 0 ? steps : undefined,
    "hires-scheduler": scheduler,
    "hires-prompt": hr_prompt === "" ? undefined : words,
    "hires-negative": negative === "" ? undefined : negative,
  };
}

/** The size of the second pass: by both sides, by one with the shape of the first, or so many times as large. */
function targetOf(
  { hr_scale = 2, hr_resize_x: x = 0, hr_resize_y: y = 0 }: Txt2img,
  { width, height }: Size,
  multiple: number,
): Size {
  const [w, h] = x > 0 && y > 0
    ? [x, y]
    : x > 0
    ? [x, Math.floor(x * height / width)]
    : y > 0
    ? [Math.floor(y * width / height), y]
    : [Math.floor(width * hr_scale), Math.floor(height * hr_scale)];
  return { width: w - w % multiple, height: h - h % multiple };
}

/** A name, but for none and for that which says that it is the first pass's. */
function sameAs(name: string | undefined, same: string): string | undefined {
  return name === "" || name === same ? undefined : name;
}

function refusal(name: string, expected: string, got: string): RefusalError {
  return new RefusalError("invalid", `Cannot take ${name} ${got.slice(0, 100)}: ${expected}`, name);
}
