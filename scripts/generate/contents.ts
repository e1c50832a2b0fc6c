import { dirname, join } from "node:path";
import type { Model } from "denoise/models";
import type { AnyPipeline } from "denoise/pipelines";
import { type AdditionKind, findLora } from "../../src/io/lora/find.ts";
import { configBeside, isPeftFile } from "../../src/io/lora/peft_config.ts";
import { TEXTUAL_INVERSION } from "../../src/io/lora/textual_inversion.ts";
import { IP_ADAPTER } from "../../src/pipelines/ip_adapter.ts";
import { modelsOf } from "../../src/pipelines/memory/acquire.ts";
import { folderOf } from "../../src/pipelines/open_parts.ts";
import { fingerprintOfFile, fingerprintOfModel, fingerprintOfPart } from "./fingerprint.ts";
import { readControlNet, readEmbedding, readLora, readScaled } from "./named_files.ts";
import type { Settings } from "./options.ts";

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

/** A setting that names files beside the model. */
export type Addition = "lora" | "embedding" | "vae" | "controlnet" | "t2i-adapter" | "ip-adapter";

/** All of them. */
export const ADDITIONS: readonly Addition[] = [
  "lora",
  "embedding",
  "vae",
  "controlnet",
  "t2i-adapter",
  "ip-adapter",
];

/** An object of what a function gives for each of them. */
export function forAdditions<T>(give: (setting: Addition) => T): Record<Addition, T> {
  return Object.fromEntries(ADDITIONS.map((setting) => [setting, give(setting)])) as Record<Addition, T>;
}

/** Fingerprints of a file beside the model: its own, and that of peft's config or of the vision model that belongs to it. */
export interface AdditionContent {
  /** Of the file, or of a model's files. */
  readonly own: string;
  /** Of peft's config beside a LoRA, or of an IP-Adapter's vision model. */
  readonly companion?: string | undefined;
}

/** The path or repository that a setting names, without scales and the like. */
export function placeIn(setting: Addition, text: string): string {
  switch (setting) {
    case "lora":
      return readLora(text).path;
    case "embedding":
      return readEmbedding(text).path;
    case "vae":
      return text;
    case "controlnet":
      return readControlNet(text).path;
    default:
      return readScaled(text).path;
  }
}

/** The fingerprints of what a setting names, which was loaded before. */
export async function additionContent(
  setting: Addition,
  pathOrRepo: string,
  variant?: string,
): Promise<AdditionContent> {
  const found = (kind?: AdditionKind) => findLora(pathOrRepo, { localFilesOnly: true }, kind);
  switch (setting) {
    case "lora": {
      const path = await found();
      const companion = isPeftFile(path) ? await fingerprintOfFile(configBeside(path)) : undefined;
      return { own: await fingerprintOfFile(path), companion };
    }
    case "embedding":
      return { own: await fingerprintOfFile(await found(TEXTUAL_INVERSION)) };
    case "ip-adapter": {
      const path = await found(IP_ADAPTER);
      const encoder = join(dirname(path), "image_encoder");
      return {
        own: await fingerprintOfFile(path),
        companion: await fingerprintOfPart(encoder, { library: "transformers" }),
      };
    }
    default:
      return { own: await fingerprintOfPart(pathOrRepo, { variant }) };
  }
}

/** The same of all, by their names in a recipe. */
export function additionContents(
  of: Readonly<Record<Addition, readonly AdditionContent[]>>,
): Contents {
  const own = (setting: Addition) => of[setting].map(({ own }) => own);
  const companions = (setting: Addition) => of[setting].flatMap(({ companion }) => companion ?? []);
  return {
    loraWeights: unlessNone(own("lora")),
    loraConfigs: unlessNone(companions("lora")),
    vaeWeights: own("vae")[0],
    controlnetWeights: unlessNone(own("controlnet")),
    t2iAdapterWeights: unlessNone(own("t2i-adapter")),
    ipAdapterWeights: unlessNone([...own("ip-adapter"), ...companions("ip-adapter")]),
    embeddingWeights: unlessNone(own("embedding")),
  };
}

/** Fingerprints of the pictures of a run, by their names in a recipe. */
export function pictureContents(
  of: { readonly [Setting in "image" | "mask" | "control" | "ip-image"]?: readonly string[] | undefined },
): Contents {
  const [mask] = of.mask ?? [];
  return {
    imageContent: oneOrSeveral(of.image ?? []),
    maskContent: mask,
    controlContent: unlessNone(of.control ?? []),
    ipContent: unlessNone(of["ip-image"] ?? []),
  };
}

/** The contents of the files that settings name. */
export async function contentsOf(
  pipeline: AnyPipeline,
  settings: Settings,
  model: string,
): Promise<Contents> {
  const { image, mask, control, "ip-image": ip, variant } = settings;
  const each = (paths: readonly string[] = []) => Promise.all(paths.map(fingerprintOfFile));
  const additions = forAdditions<AdditionContent[]>(() => []);
  for (const setting of ADDITIONS) {
    const texts = [settings[setting] ?? []].flat();
    additions[setting] = await Promise.all(
      texts.map((text) => additionContent(setting, placeIn(setting, text), variant)),
    );
  }
  return {
    weights: await weightsOf(pipeline, model, settings),
    ...additionContents(additions),
    ...pictureContents({
      image: await each(image),
      mask: await each(mask === undefined ? [] : [mask]),
      control: await each(control),
      "ip-image": await each(ip),
    }),
  };
}

/** The fingerprint of a pipeline's files, where no revision names them; another autoencoder is none of them. */
export async function weightsOf(
  pipeline: AnyPipeline,
  model: string,
  { vae, ...options }: Parameters<typeof fingerprintOfModel>[2] & { vae?: string | undefined },
): Promise<string | undefined> {
  const [first] = modelsOf(pipeline.parts) as [Model, ...Model[]];
  if (first.revision !== undefined) return undefined;
  const folders = new Set(Object.keys(pipeline.parts).map(folderOf));
  if (vae !== undefined) folders.delete("vae");
  return await fingerprintOfModel(model, folders, options);
}

/** A recipe has no empty lists. */
function unlessNone(fingerprints: readonly string[]): readonly string[] | undefined {
  return fingerprints.length > 0 ? fingerprints : undefined;
}

/** One alone stands by itself in a recipe. */
function oneOrSeveral(fingerprints: readonly string[]): string | readonly string[] | undefined {
  return fingerprints.length > 1 ? fingerprints : fingerprints[0];
}
