import { join } from "node:path";
import { type Checkpoint, openCheckpoint, type TensorView } from "../formats/checkpoint.ts";
import type { StoredTensor } from "../formats/stored_tensor.ts";
import { fileOnHub } from "../hub/address.ts";
import { openRemoteWeights } from "../hub/remote_weights.ts";
import { isHere, type ResolveOptions, resolveRepo } from "../hub/resolve_repo.ts";
import { processEnv } from "../hub/settings.ts";
import type { Infos, Stored } from "../names/keys.ts";
import { notBuiltModel } from "../names/model_kinds.ts";
import { families, type Family, type FamilyName, familyOf } from "./families.ts";
import type { SingleFileOptions } from "./options.ts";
import { findParts, type Part } from "./parts.ts";

/** Options of fetching a file from the hub. */
export interface FetchOptions extends Omit<ResolveOptions, "files"> {
  /** Reads only the header of a file on the hub. */
  headersOnly?: boolean | undefined;
}

/** A file with the weights of a model or a pipeline, without configs. */
export interface SingleFile {
  /** Its path, or its name on the hub. */
  readonly path: string;
  /** The commit of its repository; a local file has none. */
  readonly commit?: string | undefined;
  /** Opens it, with its tensors under other names. */
  open(view?: TensorView): Promise<Checkpoint>;
  /** Its tensors under its own names. */
  readonly tensors: Infos;
  /** The metadata of its header. */
  readonly metadata: ReadonlyMap<string, string>;
  /** The models in it, by their folders in diffusers' layout; none where its names are diffusers' already. */
  readonly parts: ReadonlyMap<string, Part>;
  /** The family of its UNet or transformer; a VAE or a text encoder alone has none. */
  readonly family?: FamilyName | undefined;
}

/** Details of the file's family. */
export function familyDetails(file: SingleFile): Family | undefined {
  return file.family && families[file.family];
}

/** Opens a local file, or one of a repository (owner/name/file or its address), and finds its models. */
export async function openSingleFile(pathOrUrl: string, options: FetchOptions = {}): Promise<SingleFile> {
  const shards = Number(/-\d{5}-of-(\d{5})\.[^./?#]+(?:[?#].*)?$/.exec(pathOrUrl)?.[1] ?? 1);
  if (shards > 1) {
    throw new TypeError(
      `Cannot load ${pathOrUrl}: expected a whole file, got one of ${shards} shards; name the folder of its index`,
    );
  }
  const place = await locate(pathOrUrl, options);
  using checkpoint = await place.open();
  const { tensors, metadata } = checkpoint;
  const other = notBuiltModel(tensors);
  if (other) {
    throw new TypeError(
      `Cannot load ${place.path}: expected Stable Diffusion 1, 2 or XL, FLUX.1, FLUX.2 or Z-Image, got ${other}, which is not built`,
    );
  }
  const parts = findParts(tensors);
  return { ...place, tensors, metadata, parts, family: familyOf(tensors, parts) };
}

/** Finds a local file, or fetches one from the hub; local ones go first, as with folders. */
async function locate(
  pathOrUrl: string,
  { headersOnly, ...options }: FetchOptions,
): Promise<Pick<SingleFile, "path" | "commit" | "open">> {
  const place = await fileOnHub(pathOrUrl, options.env ?? processEnv);
  if (!place) return at(pathOrUrl);
  const { repo, path, revision = options.revision } = place;
  const wanted = { ...options, revision, files: () => [path] };
  if (headersOnly && !(await isHere(repo, wanted))) {
    const { where, commit, open } = await openRemoteWeights(repo, wanted);
    return { path: where, commit, open };
  }
  const { folder, commit } = await resolveRepo(repo, wanted);
  return { ...at(join(folder, path)), commit };
}

function at(path: string): Pick<SingleFile, "path" | "open"> {
  return { path, open: (view) => openCheckpoint(path, view) };
}

/** The prediction type of a model; a guess where nothing but its family tells. */
export interface Prediction {
  readonly type: "epsilon" | "v_prediction";
  readonly isGuess: boolean;
}

const STEPS_OF_SD2_BASE = "875000"; // of training of SD 2 at 512 pixels, which predicts the noise

/**
 * The prediction type of a file's model: by the option, a key of newer files, the metadata, or the training steps
 * of a .ckpt. SD 2 predicts v at 768 pixels and the noise at 512. Without any of these it is v, as in diffusers;
 * for inpainting the noise, as no other model was published.
 */
export function predictionOf(
  { family, tensors, metadata, parts }: Omit<SingleFile, "path" | "open">,
  { predictionType }: SingleFileOptions,
): Prediction {
  const known = (isV: boolean): Prediction => ({ type: isV ? "v_prediction" : "epsilon", isGuess: false });
  if (predictionType) return known(predictionType === "v_prediction");
  const said = metadata.get("modelspec.prediction_type");
  if (tensors.has("v_pred") || said?.startsWith("v")) return known(true);
  if (family !== "sd2" || said === "epsilon") return known(false);
  const steps = metadata.get("global_step");
  if (steps !== undefined) return known(steps !== STEPS_OF_SD2_BASE);
  const inpaints = parts.get("unet")?.config(tensors)["in_channels"] === 9;
  return { type: inpaints ? "epsilon" : "v_prediction", isGuess: true };
}

/** The keys of a file that none of its parts uses, such as EMA weights and states of training. */
export async function keysNotUsed({ open, parts }: SingleFile): Promise<string[]> {
  let unused: string[] = [];
  using _checkpoint = await open((tensors) => {
    unused = outside(tensors, [...parts.values()].flatMap(({ view }) => [...view(tensors).values()]));
    return new Map(tensors);
  });
  return unused;
}

/** Keys of tensors in whose bytes no view begins. */
function outside(tensors: Stored, views: readonly StoredTensor[]): string[] {
  const starts = views.flatMap(({ places }) => places.map(({ offset }) => offset)).sort((a, b) => a - b);
  return [...tensors.values()].filter(({ bytes, places: [first] }) => {
    const { offset } = first!;
    const next = starts[lowerBound(starts, offset)];
    return next === undefined || next >= offset + Math.max(bytes, 1);
  }).map(({ name }) => name);
}

/** The index of the first number that is not below `value`. */
function lowerBound(sorted: readonly number[], value: number): number {
  let [low, high] = [0, sorted.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (sorted[middle]! < value) low = middle + 1;
    else high = middle;
  }
  return low;
}
