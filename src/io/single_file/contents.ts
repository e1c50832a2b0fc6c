import { basename, join } from "node:path";
import { readJson } from "../config.ts";
import type { Checkpoint } from "../formats/checkpoint.ts";
import { resolveRepo } from "../hub/resolve_repo.ts";
import { modelKind } from "../names/model_kinds.ts";
import { families, type Family, pipelineOf } from "./families.ts";
import { familyDetails, type FetchOptions, openSingleFile, predictionOf, type SingleFile } from "./file.ts";
import type { SingleFileOptions } from "./options.ts";
import type { Part } from "./parts.ts";

/** Options of opening single files. */
export type OpenOptions = FetchOptions & SingleFileOptions;

/** A model's config and its weights, whether they are in a folder, in a single file or on the hub. */
export interface ModelSource {
  /** The content of config.json. */
  readonly json: Record<string, unknown>;
  /** The config's name in errors. */
  readonly configPath: string;
  /** The name of the weights in errors. */
  readonly where: string;
  /** The commit of the repository; folders and files of this machine have none. */
  readonly commit?: string | undefined;
  /** Opens the weights each time that they are loaded. Headers are read and checked, but no tensors. */
  open(): Promise<Checkpoint>;
}

/** The place of a part that a single file lacks. */
export interface Elsewhere {
  readonly pathOrRepo: string;
  readonly subfolder: string;
}

const CLIP = "openai/clip-vit-large-patch14";
const T5 = "google/t5-v1_1-xxl";
const QWEN3 = "Qwen/Qwen3-4B";

/** Tokenizers by the text encoders beside them: their classes, and repositories of vocabularies that all of them have. */
const TOKENIZERS: Readonly<Record<string, readonly [className: string, repo: string]>> = {
  CLIPTextModel: ["CLIPTokenizer", CLIP],
  CLIPTextModelWithProjection: ["CLIPTokenizer", CLIP],
  T5EncoderModel: ["T5TokenizerFast", T5],
  Qwen3Model: ["Qwen2Tokenizer", QWEN3],
};

/** The model_index.json of the pipeline in a file. */
export async function readSingleFileIndex(
  pathOrUrl: string,
  options: OpenOptions,
): Promise<{ json: Record<string, unknown> & { _class_name: string }; commit?: string | undefined }> {
  const file = await openSingleFile(pathOrUrl, options);
  const family = familyDetails(file);
  if (!file.family || !family) {
    throw new TypeError(
      `Cannot load a pipeline from ${file.path}: expected the UNet of Stable Diffusion 1, 2 or XL, ` +
        `or the transformer of FLUX.1, FLUX.2 or Z-Image, got ${gotIn(file)}`,
    );
  }
  const scheduler = await schedulerOf(file, { ...options, onNotice: () => {} }); // its notices are for when it is loaded
  // Tensors of klein and of its base model, which was not distilled, are alike: only the file's name tells.
  const denoiser = file.parts.get("unet") ?? file.parts.get("transformer")!;
  return {
    json: {
      _class_name: pipelineOf(file.family, denoiser.config(file.tensors)["in_channels"]),
      ...componentsOf(family, scheduler["_class_name"]),
      ...file.family.startsWith("flux2Klein") && { is_distilled: !/base/i.test(basename(file.path)) },
      ...file.family === "sdxlRefiner" && {
        requires_aesthetics_score: true,
        force_zeros_for_empty_prompt: false,
      },
    },
    commit: file.commit,
  };
}

/** Words for a file that is no pipeline, for an error. */
function gotIn(file: SingleFile): string {
  const kind = modelKind(file.tensors.keys());
  const name = classesIn(file) || kind?.name || "neither";
  const advice = kind?.use ?? (kind && "name the folder or repository of its whole pipeline");
  return advice ? `${name}; ${advice}` : name;
}

function classesIn({ parts }: SingleFile): string {
  return [...parts.values()].map(({ className }) => className).join(", ");
}

/** A family's components as model_index.json lists them; each text encoder has a tokenizer. */
function componentsOf({ models }: Family, scheduler: unknown): Record<string, [string, unknown]> {
  const encoders = Object.entries(models).filter(([folder]) => folder.startsWith("text_encoder"));
  const tokenizers = encoders.map(([folder, model]) => [
    folder.replace("text_encoder", "tokenizer"),
    TOKENIZERS[model]![0],
  ]);
  const classes = { ...models, ...Object.fromEntries(tokenizers), scheduler };
  return Object.fromEntries(Object.entries(classes).map(([name, type]) => [name, ["", type]]));
}

/** The place of a part that the file lacks, with a notice. */
function elsewhere(
  { path }: SingleFile,
  subfolder: string,
  { base, onNotice = console.warn }: OpenOptions & { base: string },
): Elsewhere {
  onNotice(`${path} has no ${subfolder}: taking it from ${base}; the option base names another place`);
  return { pathOrRepo: base, subfolder };
}

function baseOf(file: SingleFile, { base, config }: SingleFileOptions): string {
  const given = base ?? config ?? familyDetails(file)?.repo;
  if (given) return given;
  throw new Error(`Cannot load what ${file.path} lacks: expected a folder or repository as base, got none`);
}

/** The model that diffusers would keep in `folder`, or where to find it if the file lacks it. */
export async function findSingleFileModel(
  pathOrUrl: string,
  folder: string,
  options: OpenOptions,
): Promise<ModelSource | Elsewhere> {
  const file = await openSingleFile(pathOrUrl, options);
  const { path, commit, parts, tensors } = file;
  const part = parts.get(folder);
  if (!part && parts.size > 0) {
    if (file.family) return elsewhere(file, folder, { ...options, base: baseOf(file, options) });
    throw new TypeError(
      `Cannot load ${folder} from ${path}: expected its keys, got those of ${classesIn(file)}`,
    );
  }
  const where = { where: path, commit, open: () => file.open(part?.view) };
  const beside = options.config
    ? await readConfig(options.config, folder, options)
    : !part || part.mayHaveConfig
    ? await configBeside(path)
    : undefined;
  if (beside) return { ...beside, ...where };
  if (!part) throw unknownKeys(file, folder);
  const json = { ...part.config(tensors), ...await valuesOf(file, part), ...commonOf(file, folder, options) };
  return { json, configPath: `the config of ${path}`, ...where };
}

/** Config keys that values of a file decide. */
async function valuesOf(file: SingleFile, { values }: Part): Promise<Record<string, unknown>> {
  if (!values) return {};
  using checkpoint = await file.open();
  return await values(checkpoint);
}

/** Config keys that a whole family has in common; for a VAE alone its channels tell the family. */
function commonOf(
  file: SingleFile,
  folder: string,
  options: SingleFileOptions,
): Record<string, unknown> {
  const { parts, tensors } = file;
  const vae = parts.get("vae");
  if (vae?.className === "AutoencoderTiny") return {}; // its latents are the denoiser's
  const alone = vae?.className === "AutoencoderKLFlux2"
    ? families.flux2Dev
    : vae?.config(tensors)["latent_channels"] === 16
    ? families.fluxDev
    : families.sd1;
  const { configs }: Family = familyDetails(file) ?? alone;
  const isHalf = file.family === "sd2" && predictionOf(file, options).type === "epsilon"; // trained on 512 pixels
  return { ...configs[folder], ...isHalf && folder === "unet" && { sample_size: 64 } };
}

/** The config.json in a file's folder. */
async function configBeside(path: string) {
  const configPath = join(path, "..", "config.json");
  if (!(await Deno.stat(configPath).then(({ isFile }) => isFile, () => false))) return undefined;
  return { json: await readJson(configPath) as Record<string, unknown>, configPath };
}

function unknownKeys({ path, tensors }: SingleFile, folder: string): Error {
  const kind = modelKind(tensors.keys());
  const got = kind?.name ?? [...tensors.keys()].slice(0, 2).map((key) => `"${key}"`).join(", ");
  const advice = kind?.use ?? "if these are diffusers' names, give the folder or repository of its config";
  return new TypeError(
    `Cannot load ${folder} from ${path}: expected the keys of Stable Diffusion 1, 2 or XL, of FLUX.1 or of Z-Image, got ` +
      `${got}; ${advice}`,
  );
}

async function readConfig(pathOrRepo: string, folder: string, options: OpenOptions, name = "config.json") {
  const { folder: root, files: [file] } = await resolveRepo(pathOrRepo, {
    ...options,
    revision: undefined, // of the file's repository
    files: (listing) => [listing.includes(`${folder}/${name}`) ? `${folder}/${name}` : name],
  });
  const configPath = join(root, file!);
  return { json: await readJson(configPath) as Record<string, unknown>, configPath };
}

/** The scheduler_config.json of a file. */
export async function readSingleFileScheduler(
  pathOrUrl: string,
  options: OpenOptions,
): Promise<Record<string, unknown>> {
  return await schedulerOf(await openSingleFile(pathOrUrl, options), options);
}

async function schedulerOf(file: SingleFile, options: OpenOptions): Promise<Record<string, unknown>> {
  if (options.config) {
    const { json } = await readConfig(options.config, "scheduler", options, "scheduler_config.json");
    return options.predictionType ? { ...json, prediction_type: options.predictionType } : json;
  }
  const { scheduler } = familyDetails(file) ?? families.sd1;
  if (scheduler._class_name === "FlowMatchEulerDiscreteScheduler") return scheduler;
  const { type, isGuess } = predictionOf(file, options);
  if (isGuess) {
    const { onNotice = console.warn } = options;
    onNotice(`${file.path} does not say what it predicts: taking ${type}; the option predictionType decides`);
  }
  const zeroSnr = file.tensors.has("ztsnr") && { rescale_betas_zero_snr: true };
  return { ...scheduler, prediction_type: type, ...zeroSnr };
}

/** Finds a tokenizer, as files have none; CLIP's vocabulary alone does not tell the pad token. */
export async function findSingleFileTokenizer(
  pathOrUrl: string,
  folder: string,
  options: OpenOptions,
): Promise<Elsewhere & { padToken: string | undefined }> {
  const given = options.base ?? options.config;
  if (given) return { pathOrRepo: given, subfolder: folder, padToken: undefined };
  const file = await openSingleFile(pathOrUrl, options);
  const family = familyDetails(file);
  const model = family?.models[folder.replace("tokenizer", "text_encoder")];
  const [, base] = TOKENIZERS[model ?? "CLIPTextModel"]!;
  const padToken = family?.zeroPadded.includes(folder) ? "!" : undefined;
  return { ...elsewhere(file, folder, { ...options, base }), subfolder: "", padToken };
}
