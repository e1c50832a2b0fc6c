import type { Device } from "denoise";
import { FluxControlNetModel } from "denoise/models";
import type { AnyParts } from "denoise/pipelines";
import { schedulerNamed } from "denoise/schedulers";
import type { Image } from "../../src/io/images/image.ts";
import { modesOf } from "../../src/pipelines/flux/begin_control.ts";
import { additionContents, type Contents, forAdditions, pictureContents } from "../generate/contents.ts";
import { readMode } from "../generate/control_mode.ts";
import { picturesAtOnce, seedsOf, seesAsTheyAre } from "../generate/draw.ts";
import { drawingSizeOf } from "../generate/drawing_size.ts";
import { fingerprintOfBytes } from "../generate/fingerprint.ts";
import { expectHires } from "../generate/hires.ts";
import { expectCounting } from "../generate/lora.ts";
import { misfitOf, takes } from "../generate/misfits.ts";
import { STEPS, usualOf } from "../generate/usual.ts";
import type { Models, ModelWork, OfferedModel } from "./models.ts";
import { additionsOf, type NamedAdditions } from "./named.ts";
import { type ReadPictures, readPictures } from "./pictures.ts";
import { RefusalError } from "./refusal.ts";
import type { DrawRequest, Words } from "./request.ts";
import { ownSize, sizeFor } from "./sizes.ts";

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
export interface Task extends ModelWork {
  readonly model: OfferedModel;
  /** Without its pictures. */
  readonly settings: Words & { readonly steps: number };
  /** One for each picture. */
  readonly seeds: readonly bigint[];
  readonly pictures: ReadPictures;
  readonly contents: Contents;
  /** Pictures at once. */
  readonly batch: number;
}

/** Checks a request against what is offered and allowed; nothing waits for it. Throws a RefusalError of one sentence. */
export async function taskOf(
  request: DrawRequest,
  models: Models,
  limits: Limits,
  device: Device,
): Promise<Task> {
  const model = models.find(request.model);
  const { image: _, mask: __, control: ___, "ip-image": ____, ...given } = request;
  const usual = { ...usualOf(model.path), ...usualOf(model.name) };
  const settings = {
    ...given,
    steps: given.steps ?? usual.steps ?? STEPS,
    guidance: given.guidance ?? usual.guidance,
  };
  const { steps, count = 1, seed = 0n } = settings;
  expectAtMost("steps", steps, limits.steps);
  expectAtMost("count", count, limits.count);
  expectTaken(request, model);
  const additions = additionsOf(request, model, models.shelf);
  for (const name of settings.lora ?? []) {
    refusing("lora", () => expectCounting(name, { ...settings, image: request.image }));
  }
  for (const name of [settings.scheduler, settings["hires-scheduler"]]) {
    if (name !== undefined) expectScheduler(name, model);
  }
  refusing("hires", () => expectHires(settings));
  expectAtMost("hires-steps", settings["hires-steps"] ?? 0, limits.steps);
  const { hires, variation, "seed-size": seedSize } = settings;
  if (seedSize) expectAtMost("seed-size", seedSize.width * seedSize.height, limits.pixels);
  expectLayers(settings["clip-skip"] ?? 0, model);

  const planned = await model.room.partsWith(additions);
  const { parts } = planned;
  expectModes(parts, settings);
  const { name: className } = model.pipeline.constructor;
  const asTheyAre = seesAsTheyAre(className);
  const size = settings.size && sizeFor(settings.size, parts, limits);
  if (hires) sizeFor(hires, parts, limits);
  const pictures = await readPictures(request, asTheyAre ? undefined : size);
  const { images: [first = pictures.control[0]] } = pictures;
  if (!size) sizeFor(ownSize(parts, asTheyAre ? undefined : first), parts, limits); // has its bounds, too
  const sides = ({ height, width }: Image) => [height, width] as const;
  const seen = { images: pictures.images.map(sides), control: pictures.control.map(sides) };
  const workOf = (batch: number) => ({
    ...planned,
    size: drawingSizeOf(className, { ...settings, size }, batch, seen),
    cache: settings.cache,
  });
  expectPrompt(request, className);
  model.room.expect(workOf(1));
  const batch = model.room.batchOf(workOf(1), Math.min(count, picturesAtOnce(device, settings)));
  const plan = model.room.plan(workOf(batch));
  return {
    model,
    settings,
    loras: settings.lora ?? [],
    embeddings: settings.embedding ?? [],
    ipAdapters: settings["ip-adapter"] ?? [],
    beside: additions,
    seeds: seedsOf({ seed, count, variation }),
    pictures,
    contents: await contentsOf(request, model, additions),
    batch,
    works: Object.fromEntries(plan.parts.map(({ name, activations }) => [name, activations])),
    bytes: plan.runs === "resident" ? plan.together : plan.largest,
  };
}

/** Fingerprints of all files that decide how a request's pictures look. */
async function contentsOf(
  request: DrawRequest,
  model: OfferedModel,
  additions: NamedAdditions,
): Promise<Contents> {
  const each = (files: readonly Uint8Array[] = []) => Promise.all(files.map(fingerprintOfBytes));
  return {
    weights: additions.vae.length > 0 ? model.weightsWithoutVae : model.weights,
    ...additionContents(forAdditions((setting) => additions[setting].map(({ content }) => content))),
    ...pictureContents({
      image: await each(request.image),
      mask: await each(request.mask && [request.mask]),
      control: await each(request.control),
      "ip-image": await each(request["ip-image"]),
    }),
  };
}

function expectAtMost(name: string, value: number, most: number): void {
  if (value <= most) return;
  throw new RefusalError("invalid", `Cannot draw: expected ${name} of at most ${most}, got ${value}`, name);
}

/** True if a model takes a setting in such a request. */
export function takesSetting(
  name: keyof DrawRequest,
  request: DrawRequest,
  { pipeline }: OfferedModel,
): boolean {
  const { image, mask } = request;
  return takes(pipeline.constructor.name, name, { image, mask });
}

/** Refuses settings that the model's pipeline does not take. */
function expectTaken(request: DrawRequest, { name, pipeline }: OfferedModel): void {
  const { model: _, ...said } = request;
  const odd = misfitOf(pipeline.constructor.name, said, { setting: (name) => name, model: name });
  if (odd) throw new RefusalError("invalid", odd.message, odd.name);
}

function expectPrompt({ prompt }: DrawRequest, className: string): void {
  if (prompt !== undefined || !takes(className, "prompt")) return;
  throw new RefusalError("invalid", "Cannot draw: expected a prompt, got none", "prompt");
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

/** Refuses kinds of pictures that the union ControlNets of FLUX.1 do not know. */
function expectModes(parts: AnyParts, { "control-mode": modes }: Words): void {
  const { controlnet } = parts as { controlnet?: unknown };
  const nets = [controlnet].flat().filter((net) => net instanceof FluxControlNetModel);
  if (nets.length > 0) refusing("control-mode", () => void modesOf(nets, modes?.map(readMode)));
}
