/** Stems of weight files in the order in which they are looked for: diffusers', then transformers'. */
export const WEIGHT_STEMS: readonly string[] = ["diffusion_pytorch_model", "model", "pytorch_model"];

/**
 * The first name of a component's weights that is there: safetensors before pickles, shards before one file.
 */
export function chooseWeights(
  present: ReadonlySet<string>,
  variant?: string,
  stems: readonly string[] = WEIGHT_STEMS,
): string | undefined {
  return ["safetensors", "bin"]
    .flatMap((extension) => stems.flatMap((stem) => namesOf(stem, extension, variant)))
    .find((name) => present.has(name));
}

/** The index of shards, then the one file; of a variant's index there is an older form. */
function namesOf(stem: string, extension: string, variant?: string): string[] {
  if (!variant) return [`${stem}.${extension}.index.json`, `${stem}.${extension}`];
  return [
    `${stem}.${extension}.index.${variant}.json`,
    `${stem}.${extension}.${variant}.index.json`,
    `${stem}.${variant}.${extension}`,
  ];
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
