/**
 * What may be said about a single file, which holds the weights of a model or of a pipeline and no config.
 */
export interface SingleFileOptions {
  /**
   * A folder or repository in diffusers' layout whose configs, and whose scheduler, are those of a single
   * file; without it they are what its keys and shapes say, and what its family has in common.
   */
  config?: string | undefined;
  /**
   * A folder or repository in diffusers' layout for what a single file lacks: tokenizers, and text encoders
   * and VAE of a FLUX transformer; by default `config`, or the repository of the family.
   */
  base?: string | undefined;
  /** What the model of a single file predicts, which SD 2 files do not say. */
  predictionType?: "epsilon" | "v_prediction" | undefined;
  /** Told in one line what a single file lacks, and what is guessed of it; console.warn by default. */
  onNotice?: ((line: string) => void) | undefined;
}

/** Whether a path or a repository's name is that of one file of weights. */
export function isSingleFile(pathOrRepo: string): boolean {
  return /\.(safetensors|sft|gguf|ckpt|pt|pth|bin)(\?[\w=&]*)?$/i.test(pathOrRepo); // addresses ask, as ?download=true
}

/** A path that is that of one file of weights; any other is refused. */
export function expectSingleFile(path: string): string {
  if (isSingleFile(path)) return path;
  throw new TypeError(
    `Cannot load ${path} as a single file: expected a name that ends in .safetensors, .gguf or .ckpt; ` +
      "fromPretrained reads folders and repositories",
  );
}
