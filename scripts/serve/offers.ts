import { isFlow, misfits, schedulerNamed } from "denoise/schedulers";
import { samplers } from "../../src/schedulers/names.ts";
import type { Size } from "../command_line/options.ts";
import { pipelineOf } from "../generate/draw.ts";
import { refusalOf } from "../generate/fitting.ts";
import { usualSize } from "../generate/start.ts";
import { STEPS, usualOf } from "../generate/usual.ts";
import type { Models, OfferedModel } from "./models.ts";
import { requestKeys } from "./request.ts";
import { type Limits, multipleOf } from "./task.ts";

/** A model, and what requests may say about it. */
export interface ModelOffer {
  /** What requests call it. */
  readonly name: string;
  /** The class of its pipeline. */
  readonly pipeline: string;
  /** The settings that it takes, by their names in a request. */
  readonly settings: readonly string[];
  /** Names of schedulers that fit it, as A1111 writes them, with and without Karras' spread of the steps. */
  readonly schedulers: readonly string[];
  /** The size that is drawn where none is said, in pixels. */
  readonly size: Size;
  /** Divisor of a picture's sides, in pixels. */
  readonly multiple: number;
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
  /** The most that a request may ask for. */
  readonly limits: Limits;
}

/** Tells what is offered. */
export function offersOf(models: Models, limits: Limits): Offers {
  const offered = models.names.map((name) => offerOf(models.find(name)));
  return { models: offered, loras: models.loras, limits };
}

function offerOf(model: OfferedModel): ModelOffer {
  const { name, path, pipeline } = model;
  const usual = { ...usualOf(path), ...usualOf(name) };
  const settings = requestKeys.filter((key) => isTaken(key, model));
  return {
    name,
    pipeline: pipeline.constructor.name,
    settings,
    schedulers: settings.includes("scheduler") ? schedulersOf(model) : [],
    size: usualSize(pipeline.parts),
    multiple: multipleOf(model),
    steps: usual.steps ?? STEPS,
    guidance: usual.guidance,
  };
}

/** True for a setting that the model's pipeline takes, or the one for the task that the setting asks for. */
function isTaken(key: string, { pipeline }: OfferedModel): boolean {
  const mask = key === "mask";
  const image = mask || key === "image" || key === "strength";
  return !refusalOf(pipelineOf(pipeline, { image, mask }).constructor.name, { [key]: true });
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
