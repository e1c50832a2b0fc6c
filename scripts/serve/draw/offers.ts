import type { AnyPipeline } from "denoise/pipelines";
import { isFlow, misfits, schedulerNamed } from "denoise/schedulers";
import { samplers } from "../../../src/schedulers/names.ts";
import { type Addition, forAdditions } from "../../generate/contents.ts";
import { takesReferences } from "../../generate/task_pipelines.ts";
import { takes } from "../../generate/misfits.ts";
import { type Sides, STEPS, usualSides } from "../../generate/usual.ts";
import type { Models, OfferedModel } from "../models/models.ts";
import { MOST_PARTS, requestKeys } from "../request/request.ts";
import type { Limits } from "../request/limits.ts";

/** A model, and what requests may say about it. */
export interface ModelOffer extends Sides {
  /** What requests call it. */
  readonly name: string;
  /** The class of its pipeline. */
  readonly pipeline: string;
  /** The settings that it takes, by their names in a request. */
  readonly settings: readonly string[];
  /** What may be named beside it, by the settings that name it. */
  readonly additions: Readonly<Record<Addition, readonly string[]>>;
  /** The class of its own scheduler. */
  readonly scheduler: string;
  /** Names of schedulers that fit it, as A1111 writes them, with and without Karras' spread of the steps. */
  readonly schedulers: readonly string[];
  /** Pictures to change, at most; where there may be several, they are what the prompt is about. */
  readonly images: number;
  /** Kinds of step caches that fit it, as `cache` names them. */
  readonly caches: readonly string[];
  /** Sides of its pictures with each of the other autoencoders that fit it, by their names. */
  readonly sidesWith: Readonly<Record<string, Sides>>;
  /** Steps where none are said. */
  readonly steps: number;
  /** Guidance where none is said; undefined where that is the pipeline's own. */
  readonly guidance: number | undefined;
}

/** All that a drawer draws with. */
export interface Offers {
  /** The first is drawn with where a request names none. */
  readonly models: readonly ModelOffer[];
  /** Names of the LoRAs. */
  readonly loras: readonly string[];
  /** Textual inversions with their tokens, which prompts may have where a request names them. */
  readonly embeddings: readonly { readonly name: string; readonly token: string }[];
  /** The most that a request may ask for. */
  readonly limits: Limits;
}

/** Tells what is offered. */
export function offersOf(models: Models, limits: Limits): Offers {
  const { shelf } = models;
  return {
    models: models.names.map((name) => offerOf(models.find(name))),
    loras: shelf.of("lora").map(({ name }) => name),
    embeddings: shelf.of("embedding").map(({ name, token }) => ({ name, token: token! })),
    limits,
  };
}

function offerOf(model: OfferedModel): ModelOffer {
  const { name, pipeline, usual, fits } = model;
  const settings = requestKeys.filter((key) => isTaken(key, model));
  return {
    name,
    pipeline: pipeline.constructor.name,
    settings,
    additions: forAdditions((setting) => [...fits[setting]]),
    scheduler: model.scheduler.constructor.name,
    schedulers: settings.includes("scheduler") ? schedulersOf(model) : [],
    images: !settings.includes("image") ? 0 : takesReferences(pipeline) ? MOST_PARTS : 1,
    caches: settings.includes("cache") ? cachesFor(pipeline) : [],
    ...usualSides(pipeline.parts),
    sidesWith: Object.fromEntries(model.sidesWith),
    steps: usual.steps ?? STEPS,
    guidance: usual.guidance,
  };
}

/** True for a setting that the model takes, alone or with those that it belongs to, and with what is offered for it. */
function isTaken(key: string, { pipeline, fits }: OfferedModel): boolean {
  const { name } = pipeline.constructor;
  const isOffered = (setting: Addition) => fits[setting].size > 0;
  switch (key) {
    case "embedding":
    case "vae":
    case "controlnet":
    case "t2i-adapter":
    case "ip-adapter":
      return isOffered(key);
    case "ip-image":
      return isOffered("ip-adapter");
    case "control-mode":
      return isOffered("controlnet") && takes(name, key, { controlnet: [true] });
    case "control":
      return isOffered("controlnet") || isOffered("t2i-adapter") ||
        takes(name, key, isOffered("lora") ? { lora: [true] } : {});
    case "resize":
    case "strength":
    case "mask":
      return takes(name, key, { image: [true] });
    case "mask-blur":
    case "mask-content":
      return takes(name, key, { image: [true], mask: [true] });
    default:
      return takes(name, key);
  }
}

/** The first block is that of transformers; TeaCache's coefficients are FLUX.1's. */
function cachesFor({ parts }: AnyPipeline): string[] {
  if (!("transformer" in parts)) return ["easy"];
  return "textEncoder2" in parts ? ["first-block", "tea", "easy"] : ["first-block", "easy"];
}

const KARRAS = " Karras";

function schedulersOf({ pipeline: { parts }, scheduler }: OfferedModel): string[] {
  const use = { flow: isFlow(scheduler), latents: "vae" in parts };
  const names = samplers.map(({ names }) => names[0]!);
  const spread = use.flow ? [] : names.map((name) => name + KARRAS);
  return [...names, ...spread].filter((name) => {
    try {
      return misfits(schedulerNamed(name).from(scheduler), use).length === 0;
    } catch {
      return false; // e.g. a sampler that knows no other spread
    }
  });
}
