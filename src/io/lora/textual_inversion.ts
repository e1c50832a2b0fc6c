import { basename, extname } from "node:path";
import { formatShape, size } from "../../core/shape.ts";
import { openCheckpoint } from "../formats/checkpoint.ts";
import { isNumeric, toFloats } from "../formats/numbers.ts";
import type { AdditionKind } from "./find.ts";
import { modelKind } from "../names/model_kinds.ts";

/** Name of the files in errors, and their usual name. */
export const TEXTUAL_INVERSION: AdditionKind = { name: "a textual inversion", usual: "learned_embeds" };

/** Embeddings that stand for one token of a text encoder. */
export interface LearnedEmbeddings {
  /** The encoder that they are for, where the file says it: the first or the second one of SDXL. */
  readonly encoder?: "clip_l" | "clip_g" | undefined;
  /** Vectors of [D] numbers each. */
  readonly vectors: readonly Float32Array[];
}

/** The contents of a file of textual inversion (Gal et al. 2022, https://arxiv.org/abs/2208.01618). */
export interface TextualInversionFile {
  /** The token that the file names, else the file's own name. */
  readonly token: string;
  readonly embeddings: readonly LearnedEmbeddings[];
}

const MOST = 256; // vectors: no prompt has so many tokens

/**
 * Reads a file of any form: diffusers' { "<token>": vectors }, AUTOMATIC1111's string_to_param or emb_params, SDXL's
 * clip_l and clip_g.
 */
export async function readTextualInversion(path: string): Promise<TextualInversionFile> {
  using checkpoint = await openCheckpoint(path);
  const embeddings: LearnedEmbeddings[] = [];
  let token = checkpoint.metadata.get("name"); // of AUTOMATIC1111
  for (const [key, info] of checkpoint.tensors) {
    if (key.startsWith("string_to_token.")) continue; // the id of "*", which means nothing here
    const { shape } = info;
    const isRows = shape.length === 1 || shape.length === 2 && shape[0]! <= MOST;
    if (!isRows || size(shape) === 0 || !isNumeric(info.dtype)) {
      const kind = modelKind([...checkpoint.tensors.keys()])?.name;
      const got = kind === undefined || kind === "a textual inversion"
        ? `${info.dtype} ${formatShape(shape)} in "${key}"`
        : kind;
      throw new TypeError(
        `Cannot load ${path}: expected a textual inversion, vectors of one token, got ${got}`,
      );
    }
    const width = shape.at(-1)!;
    const values = toFloats(await checkpoint.read(info, 0, size(shape)), info.dtype);
    if (!values.every(Number.isFinite)) {
      throw new TypeError(`Cannot load ${path}: expected numbers in "${key}", got NaN or infinity`);
    }
    const vectors = Array.from(
      { length: values.length / width },
      (_, i) => values.slice(i * width, (i + 1) * width),
    );
    const encoder = key === "clip_l" || key === "clip_g" ? key : undefined;
    if (!encoder && key !== "emb_params" && !key.startsWith("string_to_param.")) token = key;
    embeddings.push({ encoder, vectors });
  }
  const several = embeddings.filter(({ encoder }) => encoder === undefined).length;
  if (embeddings.length === 0 || several > 1 || (several === 1 && embeddings.length > 1)) {
    throw new TypeError(
      `Cannot load ${path}: expected the vectors of one token, got ${
        [...checkpoint.tensors.keys()].join(", ") || "none"
      }`,
    );
  }
  return { token: token ?? basename(path, extname(path)), embeddings };
}
