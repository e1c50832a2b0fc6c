import type { Device } from "denoise";
import type { Image } from "../../../src/io/images/image.ts";
import { additionContents, type Contents, forAdditions, pictureContents } from "../../generate/contents.ts";
import { picturesAtOnce, seedsOf, seesAsTheyAre } from "../../generate/draw.ts";
import { drawingSizeOf } from "../../generate/drawing_size.ts";
import { fingerprintOfBytes } from "../../generate/fingerprint.ts";
import { firstSize, STEPS } from "../../generate/usual.ts";
import type { Holding } from "../request/holding.ts";
import { expectAtMost, type Limits } from "../request/limits.ts";
import type { Models, ModelWork, OfferedModel } from "../models/models.ts";
import { additionsOf, type NamedAdditions } from "../models/named.ts";
import { type ReadPictures, readPictures } from "../request/pictures.ts";
import type { DrawRequest, RequestSettings } from "../request/request.ts";
import { ownSize, sizeFor } from "../request/sizes.ts";
import {
  expectContent,
  expectModes,
  expectPrompt,
  expectReferences,
  expectSecondPass,
  expectTaken,
  expectValues,
} from "./taken.ts";

/** A request that can be drawn: checked against its model, with all that it left out. */
export interface Task extends ModelWork {
  readonly model: OfferedModel;
  /** Without its pictures. */
  readonly settings: RequestSettings & { readonly steps: number };
  /** One for each picture. */
  readonly seeds: readonly bigint[];
  readonly pictures: ReadPictures;
  readonly contents: Contents;
  /** Pictures at once. */
  readonly batch: number;
}

/**
 * Checks a request against what is offered and allowed; nothing waits for it. `holding` counts its pictures. Throws a
 * RefusalError of one sentence.
 */
export async function taskOf(
  request: DrawRequest,
  models: Models,
  limits: Limits,
  { device, holding }: { readonly device: Device; readonly holding: Holding },
): Promise<Task> {
  const model = models.find(request.model);
  const { image: _, mask: __, control: ___, "ip-image": ____, ...given } = request;
  const { usual } = model;
  const settings = {
    ...given,
    steps: given.steps ?? usual.steps ?? STEPS,
    guidance: given.guidance ?? usual.guidance,
  };
  const { steps, count = 1, seed = 0n, variation } = settings;
  expectAtMost("steps", steps, limits.steps);
  expectAtMost("count", count, limits.count);
  expectTaken(request, model);
  const additions = additionsOf(request, model, models.shelf);
  expectValues(settings, request.image !== undefined, model, limits);

  const planned = await model.room.partsWith(additions);
  const { parts } = planned;
  expectModes(parts, settings);
  expectContent(parts, settings);
  const { name: className } = model.pipeline.constructor;
  const asTheyAre = seesAsTheyAre(className);
  const size = settings.size && sizeFor(settings.size, parts, limits);
  if (settings.hires) sizeFor(settings.hires, parts, limits, "hires");
  const pictures = await readPictures(request, asTheyAre ? undefined : size, holding);
  const { images: [first = pictures.control[0]] } = pictures;
  if (settings.resize === "latents" && first) {
    expectAtMost("image", first.width * first.height, limits.pixels);
  }
  if (!size) sizeFor(ownSize(parts, asTheyAre ? undefined : first), parts, limits); // has its bounds, too
  expectSecondPass(firstSize(parts, { size }, pictures.control), settings.hires);
  const sides = ({ height, width }: Image) => [height, width] as const;
  const seen = { images: pictures.images.map(sides), control: pictures.control.map(sides) };
  const workOf = (batch: number) => ({
    ...planned,
    size: drawingSizeOf(className, { ...settings, size }, batch, seen),
    cache: settings.cache,
  });
  expectPrompt(request, model);
  expectReferences(seen.images, model);
  model.room.expectRoom(workOf(1));
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
