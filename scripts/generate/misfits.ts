import { expectReadable } from "../../src/pipelines/prompt_weights/weighted_prompt.ts";
import { pipelinesWith } from "../../src/pipelines/run_options.ts";
import { hiresNames } from "./hires.ts";
import { type NamedControlNet, readControlNet } from "./named_files.ts";
import type { Given } from "./options.ts";

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
  variation: "prompt", // what is drawn from noise alone has its seed's
  "seed-size": "prompt",
  size: "width",
  image: "image",
  strength: "strength",
  mask: "mask",
  "mask-blur": "mask",
  "mask-content": "mask",
  resize: "strength",
  scheduler: "prompt", // what is drawn from noise alone keeps its own
  lora: "prompt",
  embedding: "ipAdapterImage", // as Stable Diffusion and XL
  "ip-adapter": "ipAdapterImage",
  "control-mode": "controlMode",
  prompt: "prompt",
};

/** Those that draw in two passes: from noise, where others of their family change what came of that. */
const IN_TWO_PASSES = [
  ...["StableDiffusionPipeline", "StableDiffusionXLPipeline", "StableDiffusionControlNetPipeline"],
  ...["StableDiffusionXLControlNetPipeline", "FluxPipeline", "FluxControlPipeline", "FluxControlNetPipeline"],
  "ZImagePipeline",
];

/** The pipelines that take a setting, by its name. */
const TAKERS: readonly (readonly [name: string, pipelines: readonly string[]])[] = [
  ...Object.entries(IN_RUN).map(([name, option]) => [name, pipelinesWith(option)] as const),
  ...hiresNames.map((name) => [name, IN_TWO_PASSES] as const),
];

const FAMILY =
  /^(DDPM|DDIM|StableDiffusionXL|StableDiffusion|Flux2Klein|Flux2|FluxControl|FluxFill|FluxKontext|Flux|ZImage)(ControlNet|Adapter)?(Img2Img|Inpaint)?Pipeline$/;

/** A setting that does not fit, and the sentence that says so. */
export interface Misfit {
  readonly name: string;
  readonly message: string;
}

/** Settings by their names; of pictures, LoRAs and what else there may be several of, lists. */
export type Said = Readonly<Record<string, unknown>>;

/** How sentences name a setting and the model. */
export interface Words {
  /** E.g. "--steps" on the command line. */
  readonly setting: (name: string) => string;
  /** The model's name; by default the class of its pipeline. */
  readonly model?: string | undefined;
}

/** The family of a class, e.g. "StableDiffusionXL"; undefined where it is not known. */
export function familyOf(className: string): string | undefined {
  return FAMILY.exec(className)?.[1];
}

/** Settings that are said without those that they belong to. */
export function misfitTogether(said: Said, { setting }: Words): Misfit | undefined {
  if (said["controlnet"] && said["t2i-adapter"]) {
    const message = `Cannot take ${setting("t2i-adapter")} with ${
      setting("controlnet")
    }: expected one kind of control`;
    return { name: "t2i-adapter", message };
  }
  const net = said["t2i-adapter"] ? "t2i-adapter" : "controlnet";
  for (const [name, picture] of [[net, "control"], ["ip-adapter", "ip-image"]] as const) {
    const [names, pictures] = [countOf(said, name), countOf(said, picture)];
    if (names === pictures || name === "controlnet" && names === 0) continue; // FLUX.1 Depth and Canny follow one, too
    const message = `Cannot take ${names} ${setting(name)} with ${pictures} ${setting(picture)}: ` +
      "expected one picture for each";
    return { name: picture, message };
  }
  const belonging = [
    ["mask", "image", "the picture that it belongs to"],
    ["strength", "image", "the picture that it changes"],
    ["resize", "image", "the picture that gets its size so"],
    ["mask-blur", "mask", "whose edge it softens"],
    ["mask-content", "mask", "which it is in"],
    ...hiresNames.filter((name) => name !== "hires")
      .map((name) => [name, "hires", "the size of the second pass"] as const),
  ] as const;
  for (const [name, needed, what] of belonging) {
    if (said[name] === undefined || said[needed] !== undefined) continue;
    const message = `Cannot take ${setting(name)} alone: expected ${setting(needed)} too, ${what}`;
    return { name, message };
  }
  if (said["resize"] === "latents" && said["mask"] !== undefined) {
    const message = `Cannot take ${setting("resize")} latents with ${setting("mask")}: expected pixels`;
    return { name: "resize", message };
  }
  const ofPass = said["hires"] === undefined
    ? controlNetsIn(said).find(({ pass }) => pass !== undefined)
    : undefined;
  if (ofPass) {
    const message = `Cannot take pass=${ofPass.pass} of a ${setting("controlnet")}: expected ${
      setting("hires")
    } too, the size of the second pass`;
    return { name: "controlnet", message };
  }
  const other = said["hires"] === undefined
    ? undefined
    : (["image", "t2i-adapter"] as const).find((name) => said[name] !== undefined);
  if (other) {
    const why = other === "image"
      ? "the first of two passes draws from noise"
      : "these draw from noise, as a second pass does not";
    return { name: "hires", message: `Cannot take ${setting("hires")} with ${setting(other)}: ${why}` };
  }
  return undefined;
}

/** A prompt that its syntax does not read, or that names LoRAs as A1111's do; `lora` says where those belong. */
export function misfitOfPrompts(said: Said, lora: string): Misfit | undefined {
  const syntax = said["prompt-syntax"] as "a1111" | "compel" | undefined;
  if (syntax === undefined) return undefined;
  for (const name of ["prompt", "negative", "hires-prompt", "hires-negative"] as const) {
    const text = said[name] as string | undefined;
    if (text === undefined) continue;
    const [tag] = /<lora:[^<>]{1,999}>/.exec(text) ?? [];
    if (tag !== undefined) {
      return { name, message: `Cannot read ${tag} in a prompt: say ${lora}, and leave it out there` };
    }
    try {
      expectReadable(text, syntax);
    } catch (error) {
      return { name, message: (error as Error).message };
    }
  }
  return undefined;
}

/** The first of the settings that a pipeline does not take: all that the names of classes decide. */
export function misfitOf(className: string, said: Said, words: Words): Misfit | undefined {
  const [, family, own] = FAMILY.exec(className) ?? [];
  if (!family) return undefined;
  const { setting, model = className } = words;
  const has = (name: string) => countOf(said, name) > 0;
  const [isControlled, isAdapted] = [
    own === "ControlNet" || has("controlnet"),
    own === "Adapter" || has("t2i-adapter"),
  ];
  const task = said["mask"] !== undefined ? "Inpaint" : said["image"] !== undefined ? "Img2Img" : "";
  const hasTasks = !/^(DD|Flux2|FluxFill|FluxKontext)/.test(family); // FLUX.2 takes pictures beside words
  const refuse = (name: string, why: string): Misfit => ({
    name,
    message: `Cannot take ${setting(name)} ${why}`,
  });
  if (isControlled && !/^(StableDiffusion(XL)?|Flux|ZImage)$/.test(family)) {
    return refuse("controlnet", `with ${model}: it is for Stable Diffusion, XL, FLUX.1 and Z-Image`);
  }
  if (family === "ZImage" && countOf(said, "controlnet") > 1) {
    return {
      name: "controlnet",
      message: `Cannot take several ${setting("controlnet")} with Z-Image: it takes one`,
    };
  }
  if (!family.startsWith("StableDiffusion") && controlNetsIn(said).some(({ favor }) => favor !== undefined)) {
    return refuse("controlnet", `and favor= with ${model}: it is for Stable Diffusion and XL`);
  }
  if (family === "ZImage" && controlNetsIn(said).some(({ between }) => between !== undefined)) {
    return refuse("controlnet", "and from= or to= with Z-Image: its ControlNet counts in all steps");
  }
  if (isAdapted && !/^StableDiffusion/.test(family)) {
    return refuse("t2i-adapter", `with ${model}: it is for Stable Diffusion and XL`);
  }
  if (isAdapted && isControlled) {
    return refuse("t2i-adapter", `with ${model}: it has ControlNets, and expected is one kind of control`);
  }
  if (isAdapted && task !== "") return refuse("t2i-adapter", `with ${setting("image")}: it draws from noise`);
  if (isControlled && family === "ZImage" && task === "Img2Img") {
    return refuse(
      "controlnet",
      `with ${setting("image")} of Z-Image: it draws from noise, or within a ${setting("mask")}`,
    );
  }
  if (!isControlled && !isAdapted) {
    const odd = misfitOfControl(family, said, { setting, model });
    if (odd) return odd;
  }
  if (said["vae"] !== undefined && /^DD/.test(family)) {
    return refuse("vae", `with ${model}: it draws without one`);
  }
  const [cache] = typeof said["cache"] === "string" ? said["cache"].split(":") : [];
  if (cache === "first-block" && !/^(Flux|ZImage)/.test(family)) {
    return refuse("cache", `first-block with ${model}: expected a transformer; easy is for any model`);
  }
  if (cache === "tea" && !/^Flux(?!2)/.test(family)) {
    return refuse("cache", `tea with ${model}: expected FLUX.1; easy is for any model`);
  }
  const kind = isControlled ? "ControlNet" : isAdapted ? "Adapter" : "";
  const pipeline = hasTasks ? `${family}${kind}${task}Pipeline` : `${family}Pipeline`;
  const what = words.model ?? pipeline;
  if (!family.startsWith("Flux2") && countOf(said, "image") > 1) {
    return {
      name: "image",
      message: `Cannot take several ${setting("image")} with ${what}: it changes one picture`,
    };
  }
  const content = said["mask-content"];
  if ((content === "noise" || content === "nothing") && /^FluxFill|^ZImageControlNet/.test(pipeline)) {
    return refuse(
      "mask-content",
      `${content} with ${what}: it sees the picture beside it; take original or fill`,
    );
  }
  const odd = refusalOf(pipeline, said);
  if (!odd) return undefined;
  const name = odd.name === "prompt" ? "a prompt" : setting(odd.name);
  return { name: odd.name, message: `Cannot take ${name} with ${what}: ${odd.why}` };
}

/** True if a pipeline takes a setting beside others, and what it cannot do without. */
export function takes(className: string, setting: string, said: Said = {}): boolean {
  const needed = familyOf(className) === "FluxControl" ? { control: [true] } : {};
  const odd = misfitOf(className, { ...needed, ...said, [setting]: [true] }, { setting: (name) => name });
  return odd?.name !== setting;
}

/** Control without ControlNets: what follows a picture has one, FLUX.1 Depth and Canny, as models or LoRAs. */
function misfitOfControl(
  family: string,
  said: Said,
  { setting, model }: Required<Words>,
): Misfit | undefined {
  const count = countOf(said, "control");
  if (family === "FluxControl" && (count === 1 || said["plan"] && count === 0)) return undefined;
  if (family === "FluxControl") {
    const message = `Cannot draw with ${model}: expected one ${
      setting("control")
    }, the depth or edges to follow, got ${count || "none"}`;
    return { name: "control", message };
  }
  if (count === 0 || family === "Flux" && said["lora"] && count === 1) return undefined;
  const message = `Cannot take ${setting("control")} with ${model}: it belongs to ${
    setting("controlnet")
  } or ${setting("t2i-adapter")}, or to FLUX.1 Depth or Canny, as model or ${setting("lora")}`;
  return { name: "control", message };
}

/** The first setting that a pipeline does not take, and the reason. */
export function refusalOf(pipeline: string, said: Said): { name: string; why: string } | undefined {
  for (const [name, others] of TAKERS) {
    if (said[name] === undefined || others.includes(pipeline)) continue;
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
  const plain = (name: string) => name.replace(/(ControlNet|Adapter)?(Img2Img|Inpaint)?Pipeline$/, "");
  const families = [...new Set(pipelines.map(plain))];
  return families.includes(plain(own)) ? [...pipelines] : families;
}

/** The ControlNets that are named; where it is only said that there are some, none. */
function controlNetsIn(said: Said): NamedControlNet[] {
  const named = [said["controlnet"] ?? []].flat();
  return named.filter((text) => typeof text === "string").map(readControlNet);
}

function countOf(said: Said, name: string): number {
  return Array.isArray(said[name]) ? said[name].length : 0;
}
