import { join } from "node:path";
import { z } from "zod";
import { parseConfig, readJson } from "../../src/io/config.ts";
import { resolveRepo } from "../../src/io/hub/resolve_repo.ts";
import { isSingleFile } from "../../src/io/single_file/options.ts";
import { readIndex } from "../../src/pipelines/model_index.ts";
import { pipelinesWith } from "../../src/pipelines/run_options.ts";
import type { Size } from "../command_line/options.ts";
import type { Given, Settings } from "./options.ts";

/** The option of `run` that each option becomes, whose pipelines take it. */
const IN_RUN: Partial<Record<keyof Given, string>> = {
  negative: "negativePrompt",
  "prompt-syntax": "promptSyntax",
  guidance: "guidanceScale",
  "true-cfg": "trueCfgScale",
  pag: "pagScale",
  cache: "cache",
  "clip-skip": "clipSkip",
  "max-sequence-length": "maxSequenceLength",
  size: "width",
  image: "image",
  strength: "strength",
  mask: "mask",
  scheduler: "prompt", // what is drawn from noise alone keeps its own
  lora: "prompt",
  embedding: "ipAdapterImage", // as Stable Diffusion and XL
  "ip-adapter": "ipAdapterImage",
  "control-mode": "controlMode",
  prompt: "prompt",
};

const FAMILY =
  /^(DDPM|DDIM|StableDiffusionXL|StableDiffusion|Flux2Klein|Flux2|FluxControl|FluxFill|FluxKontext|Flux|ZImage)(Img2Img|Inpaint)?Pipeline$/;

/**
 * Throws where the command line says what the model cannot be told, before it is loaded, and downloaded: all that the
 * names of its parts decide, and the sides that its autoencoder divides. → the class of its pipeline
 */
export async function expectFitting(model: string, settings: Settings, given: Given): Promise<string> {
  const { base, config } = settings;
  for (const name of ["base", "config"] as const) {
    if (given[name] === undefined || isSingleFile(model)) continue;
    throw new TypeError(
      `Cannot take --${name} with ${settings.model}: it is for one file; folders and repositories have all`,
    );
  }
  if (given.variant !== undefined && isSingleFile(model)) {
    throw new TypeError(
      `Cannot take --variant with ${settings.model}: one file has one; it is for folders and repositories`,
    );
  }
  const { className } = await readIndex(model, { base, config });
  const family = FAMILY.exec(className)?.[1];
  if (!family) return className; // refused by whoever loads it
  const task = settings.mask !== undefined ? "Inpaint" : settings.image !== undefined ? "Img2Img" : "";
  const hasTasks = !/^(DD|Flux2|FluxFill|FluxKontext)/.test(family); // FLUX.2 takes pictures beside words
  const isControlled = settings.controlnet !== undefined && settings.controlnet.length > 0;
  if (isControlled && !/^(StableDiffusion(XL)?|Flux|ZImage)$/.test(family)) {
    throw new TypeError(
      `Cannot take --controlnet with ${className}: it is for Stable Diffusion, XL, FLUX.1 and Z-Image`,
    );
  }
  if (family === "ZImage" && settings.controlnet !== undefined && settings.controlnet.length > 1) {
    throw new TypeError("Cannot take several --controlnet with Z-Image: it takes one");
  }
  const isAdapted = settings["t2i-adapter"] !== undefined && settings["t2i-adapter"].length > 0;
  if (isAdapted && !/^StableDiffusion/.test(family)) {
    throw new TypeError(`Cannot take --t2i-adapter with ${className}: it is for Stable Diffusion and XL`);
  }
  if (isAdapted && task !== "") {
    throw new TypeError("Cannot take --t2i-adapter with --image: it draws from noise");
  }
  if (isControlled && family === "ZImage" && task === "Img2Img") {
    throw new TypeError(
      "Cannot take --controlnet with --image of Z-Image: it draws from noise, or within a --mask",
    );
  }
  if (!isControlled && !isAdapted) expectControl(className, family, settings);
  if (settings.vae !== undefined && /^DD/.test(family)) {
    throw new TypeError(
      `Cannot take --vae with ${className}: it draws without one`,
    );
  }
  const kind = isControlled ? "ControlNet" : isAdapted ? "Adapter" : "";
  const pipeline = hasTasks ? `${family}${kind}${task}Pipeline` : `${family}Pipeline`;
  if (!family.startsWith("Flux2") && settings.image !== undefined && settings.image.length > 1) {
    throw new TypeError(`Cannot take several --image with ${pipeline}: it changes one picture`);
  }
  const odd = refusalOf(pipeline, given);
  if (odd) {
    const what = odd.name === "prompt" ? "a prompt" : `--${odd.name}`;
    throw new TypeError(`Cannot take ${what} with ${pipeline}: ${odd.why}`);
  }
  if (given.size && !isSingleFile(settings.vae ?? model)) {
    const { width, height } = given.size;
    const wrong = wrongSides(given.size, await multipleOf(model, family, settings.vae));
    if (wrong) throw new RangeError(`Cannot take --size ${width}x${height}: ${wrong}`);
  }
  return className;
}

/** The first setting that a pipeline does not take, and the reason. */
export function refusalOf(
  pipeline: string,
  given: Readonly<Record<string, unknown>>,
): { name: string; why: string } | undefined {
  for (const [name, option] of Object.entries(IN_RUN)) {
    const others: string[] = pipelinesWith(option!);
    if (given[name] === undefined || others.includes(pipeline)) continue;
    const fromNoise = /^DD/.test(pipeline);
    return {
      name,
      why: fromNoise
        ? "it draws from noise alone, at the size of its model"
        : `it is for ${whose(others, pipeline).join(", ")}`,
    };
  }
  return undefined;
}

/** The families of pipelines, once each, or the pipelines themselves where the family of `own` is among them. */
function whose(pipelines: readonly string[], own: string): string[] {
  const familyOf = (name: string) => name.replace(/(ControlNet|Adapter)?(Img2Img|Inpaint)?Pipeline$/, "");
  const families = [...new Set(pipelines.map(familyOf))];
  return families.includes(familyOf(own)) ? [...pipelines] : families;
}

/** Throws unless what follows a picture without ControlNets has one: FLUX.1 Depth and Canny, as models or LoRAs. */
function expectControl(className: string, family: string, { control = [], lora, plan }: Settings): void {
  const count = control.length;
  if (family === "FluxControl" && (count === 1 || plan && count === 0)) return;
  if (family === "FluxControl") {
    throw new TypeError(
      `Cannot draw with ${className}: expected one --control, the depth or edges to follow, got ${
        count || "none"
      }`,
    );
  }
  if (count === 0 || family === "Flux" && lora && count === 1) return;
  throw new TypeError(
    `Cannot take --control with ${className}: it belongs to --controlnet or --t2i-adapter, or to FLUX.1 Depth or Canny, as model or --lora`,
  );
}

/** Divisor of a picture's sides, in pixels, by the autoencoder in use; a token of FLUX and Z-Image covers 2×2 latents. */
async function multipleOf(model: string, family: string, vae: string | undefined): Promise<number> {
  const name = vae === undefined ? "vae/config.json" : "config.json";
  const { folder } = await resolveRepo(vae ?? model, { files: () => [name] });
  const path = join(folder, name);
  const { block_out_channels } = parseConfig(vaeConfig, await readJson(path), path);
  return 2 ** (block_out_channels.length - 1) * (/^(Flux|ZImage)/.test(family) ? 2 : 1);
}

const vaeConfig = z.looseObject({ block_out_channels: z.array(z.number()).default([64]) });

/** A sentence on sides that a model cannot draw; undefined where it can. */
export function wrongSides({ width, height }: Size, multiple: number): string | undefined {
  if (width % multiple === 0 && height % multiple === 0) return undefined;
  const near = (side: number) => Math.max(1, Math.round(side / multiple)) * multiple;
  return `expected multiples of ${multiple} with this model; ${near(width)}x${near(height)} would do`;
}
