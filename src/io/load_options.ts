import { expectOptions, probablyMeant } from "../core/error.ts";
import { isSingleFile } from "./single_file/options.ts";

/** Names of the options of every `fromPretrained`: pipelines pass theirs on to each component. */
export const LOAD_OPTIONS = {
  subfolder: true,
  variant: true,
  revision: true,
  dtype: true,
  quantize: true,
  stream: true,
  defer: true,
  headersOnly: true,
  localFilesOnly: true,
  token: true,
  onProgress: true,
  onNotice: true,
  signal: true,
  memory: true,
  vae: true,
  controlnet: true,
  adapter: true,
  config: true,
  base: true,
  predictionType: true,
} as const;

/** Options that take one of several words. */
const WORDS = {
  dtype: ["f32", "f16"],
  quantize: ["int8", "int4"],
  predictionType: ["epsilon", "v_prediction"],
};

/** Options for single files only. */
const OF_FILES = ["config", "base", "predictionType"];

/** Refuses unknown options, unknown words, and options of single files for anything else. */
export function expectLoadOptions(pathOrRepo: string, options: object): void {
  expectOptions(`load ${pathOrRepo}`, options, Object.keys(LOAD_OPTIONS));
  for (const [name, words] of Object.entries(WORDS)) expectWord(pathOrRepo, name, words, options);
  if (isSingleFile(pathOrRepo)) return;
  const name = OF_FILES.find((name) => options[name as keyof typeof options] !== undefined);
  if (!name) return;
  throw new TypeError(
    `Cannot load ${pathOrRepo} with ${name}: it is for single files; folders and repositories say it themselves`,
  );
}

function expectWord(pathOrRepo: string, name: string, words: readonly string[], options: object): void {
  const word = options[name as keyof typeof options] as unknown;
  if (word === undefined || words.includes(word as string)) return;
  const near = probablyMeant(String(word), words);
  const advice = near ? `; did you mean ${near}?` : "";
  throw new TypeError(
    `Cannot load ${pathOrRepo} with ${name} ${word}: expected ${words.join(" or ")}${advice}`,
  );
}
