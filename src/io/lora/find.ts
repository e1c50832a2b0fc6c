import { basename, dirname, join } from "node:path/posix";
import { fileOnHub } from "../hub/address.ts";
import { isFile } from "../hub/cache.ts";
import { type ResolveOptions, resolveRepo } from "../hub/resolve_repo.ts";
import { processEnv } from "../hub/settings.ts";
import { isSingleFile } from "../single_file/options.ts";
import { adapterConfigOf } from "./peft_config.ts";

/** A kind of file that is added to models. */
export interface AdditionKind {
  /** With its article, as errors name it, e.g. "a LoRA". */
  readonly name: string;
  /** The usual name of such a file, without its ending. */
  readonly usual: string;
}

const LORA: AdditionKind = { name: "a LoRA", usual: "pytorch_lora_weights" };

/** Options of finding the file of a LoRA, or of another addition. */
export interface LoraFileOptions extends Omit<ResolveOptions, "files"> {
  /** The file's name, where the folder or repository has several. */
  weightName?: string | undefined;
  /** Its folder in the repository. */
  subfolder?: string | undefined;
}

/**
 * The path of the file of a LoRA, or of another kind. `pathOrRepo` names the file itself (a path, owner/name/file or an address), or a
 * folder or repository that has it. Files of the hub are downloaded.
 */
export async function findLora(
  pathOrRepo: string,
  options: LoraFileOptions = {},
  kind: AdditionKind = LORA,
): Promise<string> {
  const place = await fileOnHub(pathOrRepo, options.env ?? processEnv);
  if (isSingleFile(pathOrRepo) && !place) {
    if (await isFile(pathOrRepo)) return pathOrRepo;
    throw new Error(`Cannot load ${pathOrRepo}: no such file; check the path`);
  }
  const { repo = pathOrRepo, revision = options.revision, path } = place ?? {};
  const { folder, files } = await resolveRepo(repo, {
    ...options,
    revision,
    files: (listing) => {
      const chosen = path !== undefined && isSingleFile(path)
        ? path
        : chooseLora(listing, pathOrRepo, { ...options, subfolder: path ?? options.subfolder }, kind);
      return [chosen, ...adapterConfigOf(listing, chosen)];
    },
  });
  return join(folder, files[0]!);
}

/** Chooses the file that is named, else the usual name, else the only one; safetensors before pickles. */
export function chooseLora(
  listing: readonly string[],
  pathOrRepo: string,
  { weightName, subfolder }: LoraFileOptions = {},
  { name: what, usual: usualName }: AdditionKind = LORA,
): string {
  if (weightName !== undefined) return subfolder ? `${subfolder}/${weightName}` : weightName;
  const here = listing.filter((name) => dirname(name) === (subfolder ?? "."));
  for (const ending of [".safetensors", ".bin", ".pt"]) {
    const usual = here.find((name) => name.endsWith(`${usualName}${ending}`)) ??
      here.find((name) => adapterConfigOf(here, name).length > 0 && name.endsWith(ending));
    if (usual) return usual;
    // Training leaves these in the folder of a LoRA.
    const files = here.filter((name) =>
      name.endsWith(ending) && !/scheduler|optimizer|checkpoint/.test(name)
    );
    if (files.length === 1) return files[0]!;
    if (files.length > 1) {
      throw new Error(
        `Cannot choose ${what} of ${pathOrRepo}: expected one file, got ${files.sort().join(", ")}; ` +
          `name one, e.g. ${pathOrRepo}/${basename(files[0]!)}`,
      );
    }
  }
  const isModel = here.some((name) => /^(model_index|config)\.json$/.test(name));
  if (isModel) {
    throw new Error(`Cannot find ${what} in ${pathOrRepo}: expected a .safetensors file, got a model`);
  }
  throw new Error(
    `Cannot find ${what} in ${pathOrRepo}: expected a .safetensors file, got ${here.join(", ") || "none"}; ` +
      `name it, e.g. ${pathOrRepo}/style.safetensors`,
  );
}
