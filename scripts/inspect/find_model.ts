import type { LoadOptions, Model } from "denoise/models";
import { openSingleFile } from "../../src/io/single_file/file.ts";
import { isSingleFile } from "../../src/io/single_file/options.ts";
import { openModelSource } from "../../src/models/runtime/model_source.ts";
import { readIndex } from "../../src/pipelines/model_index.ts";
import { modelClasses } from "./open_models.ts";

/** The one of a pipeline's models that is meant. */
export interface ModelChoice {
  /** Name of the part, e.g. "vae". */
  readonly part?: string | undefined;
  /** Where no part is named, a part of this class; else, or where there is none, the UNet or transformer. */
  readonly className?: string | undefined;
}

/** Opens a model, or one of a pipeline's. `verb` says what for, e.g. "profile". */
export async function openOneModel(
  verb: string,
  target: string,
  choice: ModelChoice,
  options: LoadOptions,
): Promise<Model> {
  const { name, subfolder } = await findModel(verb, target, choice, options);
  if (!Object.hasOwn(modelClasses, name)) {
    throw new TypeError(
      `Cannot ${verb} ${target}: expected one of ${Object.keys(modelClasses).join(", ")}, got ${name}`,
    );
  }
  const type = modelClasses[name as keyof typeof modelClasses];
  return await type.fromPretrained(target, { ...options, ...subfolder && { subfolder } });
}

/** What the call of a model depends on in the pipeline that it is a part of; undefined where that is not at hand. */
export interface PipelineFacts {
  /** Tokens of a text as its CLIP reads it. */
  readonly tokens?: number | undefined;
  /** Pixels on the side of a latent of its VAE. */
  readonly pixels?: number | undefined;
}

/** The facts of a model's pipeline, from its configs. */
export async function pipelineFacts(target: string, options: LoadOptions): Promise<PipelineFacts> {
  const components = await componentsOf(target, options) ?? {};
  const { base, config, token, localFilesOnly } = options;
  const configOf = async (name: RegExp) => {
    const subfolder = Object.keys(components).find((part) => name.test(components[part]!));
    if (subfolder === undefined) return {};
    const source = { base, config, token, localFilesOnly, subfolder, headersOnly: true };
    const found = await openModelSource(target, source).catch(() => undefined); // a folder may hold the UNet alone
    return found?.json ?? {};
  };
  const { max_position_embeddings: tokens } = await configOf(/^CLIPText/);
  const { block_out_channels, num_encoder_blocks } = await configOf(/^Autoencoder/);
  const levels = block_out_channels ?? num_encoder_blocks; // the latter of tiny ones; each but the first halves
  return {
    tokens: typeof tokens === "number" ? tokens : undefined,
    pixels: Array.isArray(levels) ? 2 ** (levels.length - 1) : undefined,
  };
}

/** The class of a model, and where in `target` it lies. */
async function findModel(
  verb: string,
  target: string,
  { part, className }: ModelChoice,
  options: LoadOptions,
): Promise<{ name: string; subfolder?: string | undefined }> {
  const components = await componentsOf(target, options);
  if (!components) {
    if (part !== undefined) {
      throw new TypeError(`Cannot take --part ${part} for ${target}: expected a pipeline, got one model`);
    }
    const { json } = await openModelSource(target, { ...options, headersOnly: true });
    return { name: String([json["_class_name"] ?? json["architectures"]].flat()[0]) };
  }
  const built = Object.keys(components).filter((name) => Object.hasOwn(modelClasses, components[name]!));
  const subfolder = part ?? built.find((name) => components[name] === className) ??
    built.find((name) => /^(unet|transformer)$/.test(name)) ?? built[0];
  if (subfolder !== undefined && Object.hasOwn(components, subfolder)) {
    return { name: components[subfolder]!, subfolder };
  }
  throw new TypeError(
    `Cannot ${verb} ${part ?? "a model"} of ${target}: expected one of ${built.join(", ")}`,
  );
}

/** The classes of a pipeline's parts by their folders; undefined of one model. */
export async function componentsOf(
  target: string,
  options: LoadOptions,
): Promise<Readonly<Record<string, string>> | undefined> {
  if (isSingleFile(target)) {
    const { parts } = await openSingleFile(target, { headersOnly: true });
    if (parts.size > 0) {
      return Object.fromEntries([...parts].map(([name, { className }]) => [name, className]));
    }
    return undefined;
  }
  try {
    return (await readIndex(target, options)).components;
  } catch (error) {
    const isModel = await openModelSource(target, { ...options, headersOnly: true }).then(
      () => true,
      () => false,
    );
    if (isModel) return undefined;
    throw error;
  }
}
