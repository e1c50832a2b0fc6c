import type { Device } from "denoise";
import { schedulerNamed } from "denoise/schedulers";
import type { Image } from "../../src/io/images/image.ts";
import type { Size } from "../command_line/options.ts";
import { picturesAtOnce, pipelineOf, seedsOf, seesAsTheyAre, takesReferences } from "../generate/draw.ts";
import { drawingSizeOf } from "../generate/drawing_size.ts";
import { fingerprintOfBytes } from "../generate/fingerprint.ts";
import { refusalOf, wrongSides } from "../generate/fitting.ts";
import { expectCounting } from "../generate/lora.ts";
import { readLora } from "../generate/named_files.ts";
import { type Contents, oneOrSeveral, unlessNone } from "../generate/recipe.ts";
import { usualSize } from "../generate/start.ts";
import { STEPS, usualOf } from "../generate/usual.ts";
import type { Models, OfferedModel } from "./models.ts";
import { type ReadPictures, readPictures } from "./pictures.ts";
import { RefusalError } from "./refusal.ts";
import type { DrawRequest } from "./request.ts";

/** The most that one request may ask for. */
export interface Limits {
  /** Pixels of a picture. */
  readonly pixels: number;
  /** Steps of the scheduler. */
  readonly steps: number;
  /** Pictures. */
  readonly count: number;
  /** Seconds from its turn to its last picture. */
  readonly seconds: number;
  /** Requests that wait. */
  readonly waiting: number;
}

/** Limits where an operator says nothing else. */
export const LIMITS: Limits = { pixels: 2 ** 21, steps: 150, count: 10, seconds: 1800, waiting: 64 };

/** A request that can be drawn: checked against its model, with all that it left out. */
export interface Task {
  readonly model: OfferedModel;
  /** Without its pictures. */
  readonly settings: Omit<DrawRequest, "image" | "mask"> & { readonly steps: number };
  /** Names of LoRAs, with their scales. */
  readonly loras: readonly string[];
  /** One for each picture. */
  readonly seeds: readonly bigint[];
  readonly pictures: ReadPictures;
  readonly contents: Contents;
  /** Pictures at once. */
  readonly batch: number;
  /** Bytes of the work beside the weights, by the names of the model's parts. */
  readonly works: Readonly<Record<string, number>>;
  /** Bytes that the model takes together with this. */
  readonly bytes: number;
}

/** Checks a request against what is offered and allowed; nothing waits for it. Throws a RefusalError of one sentence. */
export async function taskOf(
  request: DrawRequest,
  models: Models,
  limits: Limits,
  device: Device,
): Promise<Task> {
  const model = models.find(request.model);
  const { image = [], mask, ...given } = request;
  const usual = { ...usualOf(model.path), ...usualOf(model.name) };
  const settings = {
    ...given,
    steps: given.steps ?? usual.steps ?? STEPS,
    guidance: given.guidance ?? usual.guidance,
  };
  const { steps, count = 1, seed = 0n, lora = [] } = settings;
  expectAtMost("steps", steps, limits.steps);
  expectAtMost("count", count, limits.count);
  expectTaken(request, model);
  const worn = lora.map((name) => models.loraNamed(name));
  expectOnce(lora);
  for (const name of lora) refusing("lora", () => expectCounting(name, settings));
  if (settings.scheduler !== undefined) expectScheduler(settings.scheduler, model);
  expectLayers(settings["clip-skip"] ?? 0, model);

  const { pipeline } = model;
  const asTheyAre = seesAsTheyAre(pipeline.constructor.name);
  const size = settings.size && sizeFor(settings.size, model, limits);
  const resized = asTheyAre ? undefined : size;
  const pictures = await readPictures(image, mask, resized);
  if (!size) sizeFor(ownSize(model, asTheyAre ? undefined : pictures.images[0]), model, limits); // has its bounds, too
  const workOf = (batch: number) => {
    const seen = {
      images: pictures.images.map(({ height, width }) => [height, width] as const),
      control: [],
    };
    return {
      size: drawingSizeOf(pipeline.constructor.name, { ...settings, size }, batch, seen),
      cache: settings.cache,
    };
  };
  model.room.expect(workOf(1));
  const batch = model.room.batchOf(workOf(1), Math.min(count, picturesAtOnce(device, settings)));
  const plan = model.room.plan(workOf(batch));
  return {
    model,
    settings,
    loras: lora,
    seeds: seedsOf({ seed, count }),
    pictures,
    contents: {
      weights: model.weights,
      loraWeights: unlessNone(worn.map(({ fingerprint }) => fingerprint)),
      loraConfigs: unlessNone(worn.flatMap(({ configFingerprint }) => configFingerprint ?? [])),
      imageContent: oneOrSeveral(await Promise.all(image.map(fingerprintOfBytes))),
      maskContent: mask && await fingerprintOfBytes(mask),
    },
    batch,
    works: Object.fromEntries(plan.parts.map(({ name, activations }) => [name, activations])),
    bytes: plan.runs === "resident" ? plan.together : plan.largest,
  };
}

function expectAtMost(name: string, value: number, most: number): void {
  if (value <= most) return;
  throw new RefusalError("invalid", `Cannot draw: expected ${name} of at most ${most}, got ${value}`, name);
}

/** True if a model takes a setting in such a request. */
export function takesSetting(name: keyof DrawRequest, request: DrawRequest, model: OfferedModel): boolean {
  return refusalOf(classFor(request, model), { [name]: true }) === undefined;
}

/** The class of the pipeline that draws a request. */
function classFor({ image, mask }: DrawRequest, { pipeline }: OfferedModel): string {
  return pipelineOf(pipeline, { image: image !== undefined, mask: mask !== undefined }).constructor.name;
}

/** Refuses settings that the model's pipeline does not take. */
function expectTaken(request: DrawRequest, model: OfferedModel): void {
  const { name: modelName, pipeline } = model;
  const odd = refusalOf(classFor(request, model), { ...request });
  if (odd) {
    throw new RefusalError("invalid", `Cannot take ${odd.name} with ${modelName}: ${odd.why}`, odd.name);
  }
  if ((request.image?.length ?? 0) > 1 && !takesReferences(pipeline)) {
    const message = `Cannot take several pictures with ${modelName}: it changes one`;
    throw new RefusalError("invalid", message, "image");
  }
}

function expectOnce(loras: readonly string[]): void {
  const names = loras.map((text) => readLora(text).path);
  const twice = names.find((name, i) => names.indexOf(name) !== i);
  if (twice === undefined) return;
  throw new RefusalError(
    "invalid",
    `Cannot take the LoRA ${twice} twice: say it once, with its scale`,
    "lora",
  );
}

function expectScheduler(name: string, { scheduler }: OfferedModel): void {
  refusing("scheduler", () => void schedulerNamed(name).from(scheduler));
}

/** Refuses to leave out more layers of text encoders than there are; XL's prompts are read before the last one anyway. */
function expectLayers(skipped: number, { pipeline: { parts } }: OfferedModel): void {
  if (skipped === 0 || !("unet" in parts) || !("textEncoder" in parts)) return;
  const counts = "textEncoder2" in parts
    ? [parts.textEncoder, parts.textEncoder2].flatMap((one) => one ? [one.config.num_hidden_layers - 1] : [])
    : [parts.textEncoder.config.num_hidden_layers];
  expectAtMost("clip-skip", skipped, Math.min(...counts));
}

/** Refuses a request for what a check of one of its settings throws. */
function refusing(setting: string, check: () => void): void {
  try {
    check();
  } catch (error) {
    throw new RefusalError("invalid", (error as Error).message, setting);
  }
}

/** The size of a picture to change, less what the model cannot draw, else that which the model was trained for. */
function ownSize(model: OfferedModel, image: Image | undefined): Size {
  if (!image) return usualSize(model.pipeline.parts);
  const multiple = multipleOf(model);
  const [width, height] = [image.width, image.height].map((side) => side - side % multiple);
  if (width! > 0 && height! > 0) return { width: width!, height: height! };
  const message = `Cannot change a picture of ${image.width}x${image.height}: expected sides of at least ` +
    `${multiple} pixels; make it larger`;
  throw new RefusalError("invalid", message, "image");
}

/** Divisor of a picture's sides, in pixels; a token of transformers covers 2 x 2 latents. */
export function multipleOf({ pipeline: { parts } }: OfferedModel): number {
  return "vae" in parts ? parts.vae.scaleFactor * ("transformer" in parts ? 2 : 1) : 1;
}

/** A size that the model can draw, within the limits. */
function sizeFor(size: Size, model: OfferedModel, { pixels }: Limits): Size {
  const { width, height } = size;
  const wrong = width * height > pixels
    ? `expected at most ${pixels} pixels, got ${width * height}`
    : wrongSides(size, multipleOf(model));
  if (wrong === undefined) return size;
  throw new RefusalError("invalid", `Cannot take size ${width}x${height}: ${wrong}`, "size");
}
