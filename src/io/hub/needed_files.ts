import { basename } from "node:path/posix";

/** Which component is wanted. */
export interface Wanted extends WeightOptions {
  /**
   * The kind of component. Of a pipeline only its model_index.json is needed; its components are asked for
   * one by one.
   */
  kind: "model" | "scheduler" | "tokenizer" | "image processor" | "pipeline";
  /** The component's folder. Where it is absent the root is taken, as for google/ddpm-cat-256. */
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
  "chat_template.jinja",
  "chat_template.json",
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
    "image processor": () => ["preprocessor_config.json"],
  }[kind]();
  return names.map((name) => folder + name);
}

function chooseTokenizer(present: ReadonlySet<string>): string[] {
  const found = tokenizerFiles.filter((name) => present.has(name));
  const readable = ["tokenizer.json", "vocab.json", "spiece.model"].some((name) => present.has(name));
  return readable ? found : [...found, "tokenizer.json"];
}

/** Whose file names and order of preference count: transformers for text encoders, else diffusers. */
export type Library = "diffusers" | "transformers";

/** Which weights to look for. */
export interface WeightOptions {
  /** E.g. "fp16". Where there is no such file the plain weights are taken. */
  readonly variant?: string | undefined;
  /** The library whose names go first; diffusers by default. The other's are taken where there are none. */
  readonly library?: Library | undefined;
}

/**
 * Chooses the weights among the names of a component's files: one file, or the index of its shards. The
 * variant that is asked for goes first, then the plain weights, then the only variant that there is.
 * Undefined where there are no weights; throws where several variants are left. `where` is the folder that
 * errors name.
 */
export function chooseWeights(
  present: ReadonlySet<string>,
  { variant, library = "diffusers" }: WeightOptions = {},
  where = "this folder",
): string | undefined {
  const find = (variant?: string) => namesOf(library, variant).find((name) => present.has(name));
  const found = (variant ? find(variant) : undefined) ?? find();
  if (found) return found;
  const variants = variantsOf([...present]);
  if (variants.length <= 1) return find(variants[0]);
  throw new Error(
    `Cannot choose weights of ${where}: expected plain ones or one variant, got ${variants.join(", ")}; ` +
      "name one as variant",
  );
}

/** A notice where the chosen weights are not of the variant that was asked for. */
export function noticeOf(name: string, variant: string | undefined): string | undefined {
  const [taken] = variantsOf([basename(name)]);
  if (taken === variant) return undefined;
  return taken ? `${name} is taken, as there are no other weights` : `no ${variant} weights; taking ${name}`;
}

/** The name that weights have where nothing says otherwise. */
function usualName(library: Library = "diffusers"): string {
  return namesOf(library)[library === "diffusers" ? 1 : 0]!;
}

/** All names that weights may have, in order of preference. */
function namesOf(library: Library, variant?: string): string[] {
  const own = { diffusers: diffusersNames(variant), transformers: transformersNames(variant) };
  return [...own[library], ...library === "diffusers" ? own.transformers : own.diffusers];
}

/** diffusers takes shards before one file, of pickles one file before shards. */
function diffusersNames(variant?: string): string[] {
  const stem = "diffusion_pytorch_model";
  return [
    ...indicesOf(`${stem}.safetensors`, variant),
    fileOf(stem, "safetensors", variant),
    fileOf(stem, "bin", variant),
    ...indicesOf(`${stem}.bin`, variant),
  ];
}

/** transformers takes one file before shards. */
function transformersNames(variant?: string): string[] {
  return ([["model", "safetensors"], ["pytorch_model", "bin"]] as const).flatMap(([stem, extension]) => [
    fileOf(stem, extension, variant),
    ...indicesOf(`${stem}.${extension}`, variant),
  ]);
}

function fileOf(stem: string, extension: string, variant?: string): string {
  return variant ? `${stem}.${variant}.${extension}` : `${stem}.${extension}`;
}

/** Names of the index of a file's shards; that of a variant has an older form too. */
function indicesOf(file: string, variant?: string): string[] {
  return variant
    ? [`${file}.index.${variant}.json`, `${file}.${variant}.index.json`]
    : [`${file}.index.json`];
}

const STEM = "(?:diffusion_pytorch_model|model|pytorch_model)";
const VARIANT = [
  new RegExp(`^${STEM}\\.([\\w-]+?)(?:-\\d{5}-of-\\d{5})?\\.(?:safetensors|bin)$`),
  new RegExp(`^${STEM}\\.(?:safetensors|bin)\\.index\\.([\\w-]+)\\.json$`),
  new RegExp(`^${STEM}\\.(?:safetensors|bin)\\.([\\w-]+)\\.index\\.json$`),
];

/** The variants among names of weights. */
function variantsOf(names: readonly string[]): string[] {
  const found = names.flatMap((name) => VARIANT.map((pattern) => pattern.exec(name)?.[1] ?? []).flat());
  return [...new Set(found)].sort();
}
