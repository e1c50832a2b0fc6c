import { basename } from "node:path/posix";

/** The libraries whose names and order files of weights have: text encoders are transformers', all else diffusers'. */
export type Library = "diffusers" | "transformers";

/** Which weights to look for. */
export interface WeightOptions {
  /** E.g. "fp16"; the plain weights serve where it is absent. */
  readonly variant?: string | undefined;
  /** Whose names go first; diffusers' by default. The other's serve where there are none. */
  readonly library?: Library | undefined;
}

/**
 * The weights among the names of a component's files, one file or the index of its shards: the variant that is asked
 * for, else the plain ones, else the only variant that there is. Undefined where there are none; throws where several
 * variants are left to choose from. `where` is the folder that errors name.
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

/** What the user should know of weights that were chosen: that they are not of the variant that was asked for. */
export function noticeOf(name: string, variant: string | undefined): string | undefined {
  const [taken] = variantsOf([basename(name)]);
  if (taken === variant) return undefined;
  return taken ? `${name} is taken, as there are no other weights` : `no ${variant} weights; taking ${name}`;
}

/** The name that complete weights would have. */
export function usualName(library: Library = "diffusers"): string {
  return namesOf(library)[library === "diffusers" ? 1 : 0]!;
}

/** All names that weights may have, in the order in which they are looked for. */
function namesOf(library: Library, variant?: string): string[] {
  const own = { diffusers: diffusersNames(variant), transformers: transformersNames(variant) };
  return [...own[library], ...library === "diffusers" ? own.transformers : own.diffusers];
}

/** diffusers: shards before one file, and of pickles one file before shards. */
function diffusersNames(variant?: string): string[] {
  const stem = "diffusion_pytorch_model";
  return [
    ...indicesOf(`${stem}.safetensors`, variant),
    fileOf(stem, "safetensors", variant),
    fileOf(stem, "bin", variant),
    ...indicesOf(`${stem}.bin`, variant),
  ];
}

/** transformers: one file before shards. */
function transformersNames(variant?: string): string[] {
  return ([["model", "safetensors"], ["pytorch_model", "bin"]] as const).flatMap(([stem, extension]) => [
    fileOf(stem, extension, variant),
    ...indicesOf(`${stem}.${extension}`, variant),
  ]);
}

function fileOf(stem: string, extension: string, variant?: string): string {
  return variant ? `${stem}.${variant}.${extension}` : `${stem}.${extension}`;
}

/** Of a variant's index there is an older form. */
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

/** The variants that names tell. */
function variantsOf(names: readonly string[]): string[] {
  const found = names.flatMap((name) => VARIANT.map((pattern) => pattern.exec(name)?.[1] ?? []).flat());
  return [...new Set(found)].sort();
}

/** Whether a name is that of an index of sharded weights. */
export function isIndex(name: string): boolean {
  return /\.index(\.[\w-]+)?\.json$/.test(name);
}

/** Whether a relative path stays in its folder: no root, no drive, no way up. */
export function isInside(path: string): boolean {
  return !/[\\:\0]/.test(path) &&
    path.split("/").every((part) => part !== "" && part !== "." && part !== "..");
}
