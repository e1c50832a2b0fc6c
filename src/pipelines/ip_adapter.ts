import { dirname } from "node:path/posix";
import { expectOptions } from "../core/error.ts";
import { fileOnHub } from "../io/hub/address.ts";
import { processEnv } from "../io/hub/settings.ts";
import { type AdditionKind, findLora } from "../io/lora/find.ts";
import { isSingleFile } from "../io/single_file/options.ts";
import {
  clipPixels,
  CLIPVisionModelWithProjection,
  type ImageAttention,
  type ImageKeyValues,
  IPAdapter,
  type LoadOptions,
  type UNet2DConditionModel,
} from "../models/mod.ts";
import { imageAttentionPaths } from "../models/unet_2d_condition/image_attention.ts";
import { cat, free, scope, type Tensor, zerosLike } from "../tensor/mod.ts";
import type { BegunRun } from "./latents/begun.ts";
import { fractionsOf } from "./latents/init_image.ts";
import { type AcquireOptions, type Residents, withModels } from "./memory/acquire.ts";

/** Strength of pictures: everywhere the same, or by the beginnings of module paths, e.g. { "up_blocks.1": 1 }. */
export type IPAdapterScale = number | Readonly<Record<string, number>>;

/** The parts of a pipeline that look at pictures for the prompt. */
export interface IPAdapterParts extends Residents {
  /** Whose attention to the prompt sees the pictures, too. */
  readonly unet: UNet2DConditionModel;
  /** Sees the pictures. */
  imageEncoder?: CLIPVisionModelWithProjection | undefined;
  /** Those that were loaded, in this order. */
  ipAdapters?: readonly IPAdapter[] | undefined;
  /** Strength of each. */
  ipAdapterScales?: readonly IPAdapterScale[] | undefined;
}

/** Options of `loadIpAdapter`. */
export interface IPAdapterOptions extends
  Pick<
    LoadOptions,
    | "subfolder"
    | "revision"
    | "token"
    | "localFilesOnly"
    | "headersOnly"
    | "signal"
    | "onProgress"
    | "onNotice"
  > {
  /** The file, where the folder or repository has several, e.g. "ip-adapter-plus_sd15.safetensors". */
  weightName?: string | undefined;
  /** The folder of the vision model beside the file; "image_encoder" by default. */
  imageEncoderFolder?: string | undefined;
  /** The vision model itself, in place of a folder. */
  imageEncoder?: CLIPVisionModelWithProjection | undefined;
  /** Strength of the pictures; 1 by default. */
  scale?: IPAdapterScale | undefined;
}

const OPTIONS =
  "weightName imageEncoderFolder imageEncoder scale subfolder revision token localFilesOnly headersOnly signal " +
  "onProgress onNotice";
/** Names of the file that `--ip-adapter` and `loadIpAdapter` look for. */
export const IP_ADAPTER: AdditionKind = { name: "an IP-Adapter", usual: "ip-adapter" };

/** Loads an IP-Adapter beside those that the parts have, and the vision model where they have none. */
export async function loadIpAdapter(
  parts: IPAdapterParts,
  pathOrRepo: string,
  options: IPAdapterOptions,
): Promise<void> {
  expectOptions("load an IP-Adapter", options, OPTIONS.split(" "));
  const { weightName, imageEncoderFolder = "image_encoder", imageEncoder, scale = 1, ...source } = options;
  expectScale(scale, parts.unet);
  const path = await findLora(pathOrRepo, { ...source, weightName }, IP_ADAPTER);
  const { subfolder, revision: _, ...reading } = source;
  const dtype = parts.unet.dtype === "f16" ? "f16" : "f32";
  const adapter = await IPAdapter.fromSingleFile(path, { ...reading, dtype, defer: true });
  let opened: CLIPVisionModelWithProjection | undefined;
  try {
    expectFitting(adapter, parts.unet, path);
    let encoder = imageEncoder ?? parts.imageEncoder;
    if (!encoder || options.imageEncoderFolder !== undefined) {
      const place = await fileOnHub(pathOrRepo, processEnv); // owner/name/folder/file
      const isFile = isSingleFile(pathOrRepo) && !place;
      const own = place?.path ? dirname(place.path).replace(/^\.$/, "") : subfolder;
      const folder = isFile || imageEncoderFolder.includes("/")
        ? imageEncoderFolder
        : [own, imageEncoderFolder].filter(Boolean).join("/");
      encoder = opened = await CLIPVisionModelWithProjection.fromPretrained(
        isFile ? dirname(path) : place?.repo ?? pathOrRepo,
        { ...source, revision: place?.revision ?? source.revision, dtype, subfolder: folder, defer: true },
      );
    }
    for (const one of [...parts.ipAdapters ?? [], adapter]) expectSeen(one, encoder, path);
    if (opened && parts.imageEncoder) parts.imageEncoder[Symbol.dispose]();
    parts.imageEncoder = encoder;
  } catch (error) {
    adapter[Symbol.dispose]();
    opened?.[Symbol.dispose]();
    throw error;
  }
  parts.ipAdapters = [...parts.ipAdapters ?? [], adapter];
  parts.ipAdapterScales = [...parts.ipAdapterScales ?? [], scale];
}

/** Sets how strongly pictures count: one scale for all adapters, or one each. */
export function setIpAdapterScale(
  parts: IPAdapterParts,
  scale: IPAdapterScale | readonly IPAdapterScale[],
): void {
  const count = parts.ipAdapters?.length ?? 0;
  const scales = Array.isArray(scale) ? scale as readonly IPAdapterScale[] : new Array(count).fill(scale);
  if (count === 0 || scales.length !== count) {
    throw new RangeError(
      `Cannot set ${scales.length} scales of IP-Adapters: expected ${count}, one for each that is loaded`,
    );
  }
  for (const scale of scales) expectScale(scale, parts.unet);
  parts.ipAdapterScales = scales;
}

/** Takes all IP-Adapters off, and frees them; the vision model is freed with them. */
export function unloadIpAdapter(parts: IPAdapterParts): void {
  for (const model of [...parts.ipAdapters ?? [], parts.imageEncoder]) model?.[Symbol.dispose]();
  parts.ipAdapters = parts.ipAdapterScales = parts.imageEncoder = undefined;
}

/** Options of a run with IP-Adapters. */
export interface IPAdapterImageOptions {
  /**
   * The pictures in [0, 1], for each IP-Adapter one or several that count together [n, 3, H, W]; in a list where there
   * are several adapters.
   */
  ipAdapterImage?: Tensor | readonly Tensor[] | undefined;
  /**
   * Embeddings by the vision model, in their place: under guidance those that stand against them come first [2 or 1, n,
   * K], or [2 or 1, n, N, K] of its states.
   */
  ipAdapterImageEmbeds?: readonly Tensor[] | undefined;
}

/** Tokens of pictures that the UNet sees in a run. */
export interface RunImages {
  /** For all rows, under guidance those without pictures first. */
  readonly both: ImageAttention;
  /** For the prompts' rows. */
  readonly alone: ImageAttention;
}

/** Looks at the pictures of a run, under guidance with what stands against them. The tokens are the run's. */
export async function lookAtImages(
  parts: IPAdapterParts,
  options: IPAdapterImageOptions & AcquireOptions,
  { B, guided, owned }: BegunRun,
): Promise<RunImages | undefined> {
  const { ipAdapters = [], imageEncoder, ipAdapterScales = [], unet } = parts;
  const given = options.ipAdapterImageEmbeds ?? (options.ipAdapterImage && [options.ipAdapterImage].flat());
  if (ipAdapters.length === 0) {
    if (given) {
      throw new TypeError("Cannot see ipAdapterImage: expected an IP-Adapter, got none; see loadIpAdapter");
    }
    return undefined;
  }
  if (given?.length !== ipAdapters.length) {
    throw new TypeError(
      `Cannot draw with ${ipAdapters.length} IP-Adapters: expected ipAdapterImage with a tensor for each, got ` +
        `${given?.length ?? "none"}; unloadIpAdapter takes them off`,
    );
  }
  if (options.ipAdapterImage && options.ipAdapterImageEmbeds) {
    throw new TypeError("Cannot see ipAdapterImage and ipAdapterImageEmbeds: expected one of them");
  }
  const images = given as readonly Tensor[];
  const pixels: Tensor[] = [];
  if (!options.ipAdapterImageEmbeds) {
    for (const image of images) {
      await fractionsOf("a picture that is seen", image);
      pixels.push(owned.adopt(await clipPixels(image, imageEncoder!.config.image_size), free));
    }
  }
  const paths = imageAttentionPaths(unet.config);
  return await withModels(parts, [imageEncoder, ...ipAdapters], options, () => {
    using made = scope(...pixels);
    const keep = ({ key, value }: ImageKeyValues): ImageKeyValues => ({
      key: owned.adopt(made.keep(key), free),
      value: owned.adopt(made.keep(value), free),
    });
    const rows = (x: Tensor, from: number) => x.slice(0, from).repeatInterleave(B, 0);
    const [both, alone]: [ImageKeyValues[][], ImageKeyValues[][]] = [[], []];
    for (const [i, adapter] of ipAdapters.entries()) {
      const seen = options.ipAdapterImageEmbeds
        ? expectEmbeds(images[i]!, guided)
        : embed(pixels[i]!, adapter, imageEncoder!, guided);
      const layers = adapter.forward(seen).map(({ key, value }, layer) => ({
        key,
        value: value.mul(scaleAt(paths[layer]!, ipAdapterScales[i]!)), // so attention is multiplied by it
      }));
      const of = (from: number) =>
        layers.map(({ key, value }) => keep({ key: rows(key, from), value: rows(value, from) }));
      both.push(of(0));
      alone.push(guided ? of(1) : both.at(-1)!);
    }
    return { both, alone };
  });
}

/** Embeds pictures [n, 3, S, S] by the vision model, under guidance behind what stands against them. */
function embed(
  pixels: Tensor,
  adapter: IPAdapter,
  encoder: CLIPVisionModelWithProjection,
  guided: boolean,
): Tensor {
  const see = (pixels: Tensor) => {
    const { imageEmbeds, hiddenStates } = encoder.forward(pixels);
    return (adapter.readsStates ? hiddenStates.at(-2)! : imageEmbeds).unsqueeze(0);
  };
  const seen = see(pixels);
  if (!guided) return seen;
  const against = adapter.readsStates ? see(zerosLike(pixels)) : zerosLike(seen); // as diffusers has it
  return cat([against, seen]);
}

function expectEmbeds(embeds: Tensor, guided: boolean): Tensor {
  const count = guided ? 2 : 1;
  if (embeds.shape[0] === count) return embeds;
  throw new RangeError(
    `Cannot use ipAdapterImageEmbeds: expected ${count} rows ${guided ? "under" : "without"} guidance, got ${
      embeds.shape[0]
    }`,
  );
}

function scaleAt(path: string, scale: IPAdapterScale): number {
  if (typeof scale === "number") return scale;
  const found = Object.entries(scale).filter(([front]) => isUnder(path, front));
  return found.sort(([a], [b]) => b.length - a.length)[0]?.[1] ?? 0;
}

function expectScale(scale: IPAdapterScale, unet: UNet2DConditionModel): void {
  const isRecord = typeof scale === "object" && scale !== null && !Array.isArray(scale);
  const values: unknown[] = isRecord ? Object.values(scale) : [scale];
  const odd = values.findIndex((value) => !Number.isFinite(value));
  if (odd >= 0) {
    throw new RangeError(`Cannot set the scale of an IP-Adapter to ${values[odd]}: expected a number`);
  }
  if (!isRecord) return;
  const paths = imageAttentionPaths(unet.config);
  const unknown = Object.keys(scale).find((front) => !paths.some((path) => isUnder(path, front)));
  if (unknown === undefined && values.length > 0) return;
  throw new RangeError(
    `Cannot set the scale of an IP-Adapter at ${
      JSON.stringify(unknown ?? "")
    }: expected the beginning of a path such as ` +
      paths[0],
  );
}

function isUnder(path: string, front: string): boolean {
  return path === front || path.startsWith(`${front}.`);
}

/** Throws unless an adapter's layers are those of the UNet. */
function expectFitting({ config }: IPAdapter, unet: UNet2DConditionModel, path: string): void {
  const { cross_attention_dim } = unet.config;
  const layers = imageAttentionPaths(unet.config).length;
  if (config.cross_attention_dim === cross_attention_dim && config.attention_dims.length === layers) return;
  throw new TypeError(
    `Cannot load ${path}: expected an IP-Adapter of ${layers} layers and tokens of ${cross_attention_dim} numbers, as ` +
      `this UNet has, got ${config.attention_dims.length} and ${config.cross_attention_dim}; it is for another model`,
  );
}

/** Numbers that an adapter is given of each state or embedding of a vision model. */
export function seenWidth(
  { readsStates }: IPAdapter,
  { config: { projection_dim, hidden_size } }: CLIPVisionModelWithProjection,
): number {
  return readsStates ? hidden_size : projection_dim;
}

/** Throws unless an adapter reads what the vision model makes. */
function expectSeen(adapter: IPAdapter, encoder: CLIPVisionModelWithProjection, path: string): void {
  const { image_embed_dim } = adapter.config;
  const width = seenWidth(adapter, encoder);
  if (image_embed_dim === width) return;
  throw new TypeError(
    `Cannot load ${path}: expected a vision model of ${image_embed_dim} numbers, got one of ${width}; ` +
      "name the adapter's own as imageEncoderFolder",
  );
}
