/** Options for a single file, which has the weights of a model or of a pipeline and no configs. */
export interface SingleFileOptions {
  /**
   * A folder or repository in diffusers' layout that has the configs and the scheduler. Without it they
   * follow from the file's keys and shapes, and from what its family has in common.
   */
  config?: string | undefined;
  /**
   * A folder or repository in diffusers' layout for what a single file lacks: tokenizers, and text encoders
   * and VAE of a FLUX transformer; by default `config`, or the repository of the family.
   */
  base?: string | undefined;
  /** The model's prediction type, which files of SD 2 do not tell. */
  predictionType?: "epsilon" | "v_prediction" | undefined;
  /** Called with a line about what the file lacks or what is guessed; console.warn by default. */
  onNotice?: ((line: string) => void) | undefined;
}

/** True where a path, address or owner/name/file ends like a file of weights. */
export function isSingleFile(pathOrRepo: string): boolean {
  return /\.(safetensors|sft|gguf|ckpt|pt|pth|bin)(\?[\w=&]*)?$/i.test(pathOrRepo); // addresses ask, as ?download=true
}

/** Refuses paths that are not those of single files. */
export function expectSingleFile(path: string): string {
  if (isSingleFile(path)) return path;
  throw new TypeError(
    `Cannot load ${path} as a single file: expected a name that ends in .safetensors, .gguf or .ckpt; ` +
      "fromPretrained reads folders and repositories",
  );
}
