import { dirname, join } from "node:path";
import type { Recipe } from "denoise";
import type { AnyPipeline } from "denoise/pipelines";
import { Model } from "denoise/models";
import { type AdditionKind, findLora } from "../../src/io/lora/find.ts";
import { configBeside, isPeftFile } from "../../src/io/lora/peft_config.ts";
import { TEXTUAL_INVERSION } from "../../src/io/lora/textual_inversion.ts";
import { IP_ADAPTER } from "../../src/pipelines/ip_adapter.ts";
import { folderOf } from "../../src/pipelines/open_parts.ts";
import { fingerprintOfFile, fingerprintOfModel, fingerprintOfPart } from "./fingerprint.ts";
import { pathsOf, readEmbedding, readLora } from "./named_files.ts";
import type { Settings } from "./options.ts";

/** Options that decide how a picture looks. */
export const KEPT = [
  "negative",
  "prompt-syntax",
  "model",
  "base",
  "config",
  "variant",
  "lora",
  "embedding",
  "vae",
  "controlnet",
  "t2i-adapter",
  "control",
  "control-mode",
  "ip-adapter",
  "ip-image",
  "scheduler",
  "steps",
  "guidance",
  "true-cfg",
  "pag",
  "cache",
  "clip-skip",
  "max-sequence-length",
  "image",
  "strength",
  "mask",
  "quantize",
] as const;

/** Settings that a recipe keeps. */
type Kept = {
  readonly [Name in typeof KEPT[number] | "prompt" | "memory"]?: Settings[Name] | undefined;
};

/** Fingerprints of files that decide how a picture looks, by their names in a recipe. */
export interface Contents {
  /** Of the model's files, where no revision names them. */
  readonly weights?: string | undefined;
  /** One for each LoRA. */
  readonly loraWeights?: readonly string[] | undefined;
  /** Of peft's configs, one for each LoRA that peft wrote. */
  readonly loraConfigs?: readonly string[] | undefined;
  /** Of the autoencoder in place of the model's own. */
  readonly vaeWeights?: string | undefined;
  /** One for each ControlNet, likewise of others. */
  readonly controlnetWeights?: readonly string[] | undefined;
  readonly t2iAdapterWeights?: readonly string[] | undefined;
  /** Of each file, and of the vision model beside it. */
  readonly ipAdapterWeights?: readonly string[] | undefined;
  readonly embeddingWeights?: readonly string[] | undefined;
  /** Of the picture that is changed, or of each where there are several. */
  readonly imageContent?: string | readonly string[] | undefined;
  readonly maskContent?: string | undefined;
  readonly controlContent?: readonly string[] | undefined;
  readonly ipContent?: readonly string[] | undefined;
}

/** The contents of the files that settings name. */
export async function contentsOf(
  pipeline: AnyPipeline,
  settings: Settings,
  model: string,
): Promise<Contents> {
  const { lora, image, mask, control, "ip-image": ip, vae, variant } = settings;
  const each = (paths: readonly string[] = []) => Promise.all(paths.map(fingerprintOfFile));
  const found = (paths: readonly string[] = [], kind?: AdditionKind) =>
    Promise.all(paths.map((path) => findLora(path, { localFilesOnly: true }, kind))); // they were loaded before
  const parts = (paths: readonly string[] | undefined) =>
    paths && Promise.all(paths.map((path) => fingerprintOfPart(path, { variant })));
  const loras = await found(lora?.map((text) => readLora(text).path));
  const adapters = await found(pathsOf(settings["ip-adapter"]), IP_ADAPTER);
  const embeddings = await found(
    settings.embedding?.map((text) => readEmbedding(text).path),
    TEXTUAL_INVERSION,
  );
  const [maskContent] = await each(mask === undefined ? [] : [mask]);
  return {
    weights: await weightsOf(pipeline, model, settings),
    loraWeights: unlessNone(await each(loras)),
    loraConfigs: unlessNone((await Promise.all(loras.map(fingerprintOfConfig))).flatMap((one) => one ?? [])),
    vaeWeights: (await parts(vae === undefined ? undefined : [vae]))?.[0],
    controlnetWeights: await parts(pathsOf(settings.controlnet)),
    t2iAdapterWeights: await parts(pathsOf(settings["t2i-adapter"])),
    ipAdapterWeights: unlessNone([
      ...await each(adapters),
      ...await Promise.all(adapters.map(fingerprintOfEncoder)),
    ]),
    embeddingWeights: unlessNone(await each(embeddings)),
    imageContent: oneOrSeveral(await each(image)),
    maskContent,
    controlContent: control && await each(control),
    ipContent: ip && await each(ip),
  };
}

/** The fingerprint of a pipeline's files, where no revision names them; another autoencoder is none of them. */
export async function weightsOf(
  pipeline: AnyPipeline,
  model: string,
  { vae, ...options }: Parameters<typeof fingerprintOfModel>[2] & { vae?: string | undefined },
): Promise<string | undefined> {
  const [[, first]] = modelsOf(pipeline);
  if (first.revision !== undefined) return undefined;
  const folders = new Set(Object.keys(pipeline.parts).map(folderOf));
  if (vae !== undefined) folders.delete("vae");
  return await fingerprintOfModel(model, folders, options);
}

/** Of the vision model beside an IP-Adapter's file. */
async function fingerprintOfEncoder(path: string): Promise<string> {
  return await fingerprintOfPart(join(dirname(path), "image_encoder"), { library: "transformers" });
}

/** Of the config beside a LoRA that peft wrote. */
export async function fingerprintOfConfig(path: string): Promise<string | undefined> {
  return isPeftFile(path) ? await fingerprintOfFile(configBeside(path)) : undefined;
}

/** A recipe has no empty lists. */
export function unlessNone(fingerprints: readonly string[]): readonly string[] | undefined {
  return fingerprints.length > 0 ? fingerprints : undefined;
}

/** One alone stands by itself in a recipe. */
export function oneOrSeveral(fingerprints: readonly string[]): string | readonly string[] | undefined {
  return fingerprints.length > 1 ? fingerprints : fingerprints[0];
}

/** The recipe of a run's pictures: all that changes a pixel, except for the seeds. */
export function recipeOf(pipeline: AnyPipeline, settings: Kept, contents: Contents): Recipe {
  const { parts } = pipeline;
  const models = modelsOf(pipeline);
  const packed = models.flatMap(([name, { quantize }]) => quantize ? [`${name} ${quantize}`] : []);
  const { scheduler } = parts;
  const { prompt, memory } = settings;
  const [[, first]] = models;
  return {
    prompt: "vae" in parts ? prompt : undefined,
    ...Object.fromEntries(KEPT.map((name) => [name, settings[name]])),
    memory: memory && `${memory}B`,
    dtype: first.dtype,
    storage: packed.length > 0 ? packed : undefined,
    schedulerClass: scheduler.constructor.name,
    schedulerConfig: { ...scheduler.config },
    revision: first.revision,
    ...contents,
  };
}

/** The models of a pipeline by the names of its parts. */
function modelsOf({ parts }: AnyPipeline): [[string, Model], ...[string, Model][]] {
  const models = Object.entries(parts).filter((part): part is [string, Model] => part[1] instanceof Model);
  return models as [[string, Model], ...[string, Model][]];
}
