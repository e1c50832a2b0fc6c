import { join } from "node:path";
import { type Checkpoint, openCheckpoint, type TensorView } from "../formats/checkpoint.ts";
import { isHere, type ResolveOptions, resolveRepo } from "../hub/resolve_repo.ts";
import { fileOnHub } from "../hub/address.ts";
import { openRemoteWeights } from "../hub/remote_weights.ts";
import { processEnv } from "../hub/settings.ts";
import { families, type Family, type FamilyName, familyOf, knownOther } from "./families.ts";
import type { Infos } from "../names/keys.ts";
import { findParts, type Part } from "./parts.ts";

/** How a file is fetched that lies on the hub. */
export interface FetchOptions extends Omit<ResolveOptions, "files"> {
  /** Reads the header of a file on the hub, and leaves its tensors there. */
  headersOnly?: boolean | undefined;
}

/** A file that holds a model or a pipeline, without configs. */
export interface SingleFile {
  /** Where it lies. */
  readonly path: string;
  /** Of its repository; a local file has none. */
  readonly commit?: string | undefined;
  /** Opens it, for its tensors under other names. */
  open(view?: TensorView): Promise<Checkpoint>;
  /** Its tensors under its own names. */
  readonly tensors: Infos;
  /** The strings beside them. */
  readonly metadata: ReadonlyMap<string, string>;
  /** The models in it, by the folders that they would have; none where its names are diffusers' already. */
  readonly parts: ReadonlyMap<string, Part>;
  /** What its UNet or transformer is; a VAE or a text encoder alone has none. */
  readonly family?: FamilyName | undefined;
}

/** The family of a file, or what fits a file that is of several. */
export function familyDetails(file: SingleFile): Family | undefined {
  return file.family && families[file.family];
}

/**
 * Opens a file, a file of a repository (owner/name/file), or its address on the hub, and finds what is in it.
 */
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
  const other = knownOther(tensors);
  if (other) {
    throw new TypeError(
      `Cannot load ${place.path}: expected Stable Diffusion 1, 2 or XL, or FLUX.1, got ${other}, which is not built`,
    );
  }
  const parts = findParts(tensors);
  return { ...place, tensors, metadata, parts, family: familyOf(tensors, parts) };
}

/** Where a single file is, or is put: local ones come first, as folders do. */
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
