import { chooseWeights, usualName, type WeightOptions } from "./weight_names.ts";

/** What is wanted from a repository's folder. */
export interface Wanted extends WeightOptions {
  /** A pipeline is its model_index.json; its components are asked for one by one. */
  kind: "model" | "scheduler" | "tokenizer" | "pipeline";
  /** Folder of the component; the repository's root serves where it is absent, as in google/ddpm-cat-256. */
  subfolder?: string | undefined;
}

const tokenizerFiles = [
  "tokenizer.json",
  "tokenizer_config.json",
  "special_tokens_map.json",
  "added_tokens.json",
  "vocab.json",
  "merges.txt",
  "spiece.model",
];

/**
 * Chooses the files of one component from a listing. An absent file is returned under its usual name.
 * An index stands for its shards, which resolveRepo() reads from it.
 *
 * ```ts
 * const listing = ["unet/config.json", "unet/model.safetensors", "unet/model.bin", "vae/config.json"];
 * const files = neededFiles(listing, { kind: "model", subfolder: "unet" });
 * console.assert(files.join() === "unet/config.json,unet/model.safetensors");
 * ```
 */
export function neededFiles(listing: readonly string[], { kind, subfolder, ...weights }: Wanted): string[] {
  if (kind === "pipeline") return ["model_index.json"];

  const folder = subfolder && listing.some((name) => name.startsWith(`${subfolder}/`)) ? `${subfolder}/` : "";
  const present = new Set(
    listing.filter((name) => name.startsWith(folder)).map((name) => name.slice(folder.length)),
  );
  const names = {
    model: () => ["config.json", chooseWeights(present, weights, subfolder) ?? usualName(weights.library)],
    scheduler: () => ["scheduler_config.json"],
    tokenizer: () => chooseTokenizer(present),
  }[kind]();
  return names.map((name) => folder + name);
}

function chooseTokenizer(present: ReadonlySet<string>): string[] {
  const found = tokenizerFiles.filter((name) => present.has(name));
  const readable = ["tokenizer.json", "vocab.json", "spiece.model"].some((name) => present.has(name));
  return readable ? found : [...found, "tokenizer.json"];
}
