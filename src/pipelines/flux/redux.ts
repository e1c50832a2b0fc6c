import { expectOptions } from "../../core/error.ts";
import { formatShape } from "../../core/shape.ts";
import { ReduxImageEncoder, SiglipImageProcessor, SiglipVisionModel } from "../../models/mod.ts";
import { cat, scope, type Tensor, tensor, zeros } from "../../tensor/mod.ts";
import { fractionsOf } from "../latents/init_image.ts";
import { memoryBudget, modelsOf, type Residents, withModels } from "../memory/acquire.ts";
import { expectComponent, type PipelineOptions, readIndex } from "../model_index.ts";
import { openModel } from "../open_parts.ts";
import { type PooledTextEmbeddings, spreadTexts } from "../prompts.ts";
import { expectNumber } from "../run_options.ts";
import type { FluxTextParts } from "./parts.ts";
import { embedPrompts } from "./prompts.ts";

/** The parts of FLUX.1 Redux; the text encoders, for pictures beside prompts, are those of a FLUX pipeline. */
export interface FluxPriorReduxParts extends Residents, Partial<FluxTextParts> {
  /** Sees pictures. */
  imageEncoder: SiglipVisionModel;
  /** Makes pictures its input. */
  featureExtractor: SiglipImageProcessor;
  /** Makes what it sees tokens of a prompt. */
  imageEmbedder: ReduxImageEncoder;
}

/** Options of `FluxPriorReduxPipeline.run`. */
export interface FluxPriorReduxRunOptions {
  /** The pictures in [0, 1]: rows of one tensor, or of several, whose sizes may differ. [n, 3, H, W] */
  image: Tensor | readonly Tensor[];
  /** One text for all pictures, or one for each; none by default. It needs the text encoders of a FLUX pipeline. */
  prompt?: string | readonly string[] | undefined;
  /** For T5: one text for all, or one for each picture; the prompt itself by default. */
  prompt2?: string | readonly string[] | undefined;
  /** Embeddings in place of a prompt. [n, N, D] */
  promptEmbeds?: Tensor | undefined;
  /** CLIP's. [n, P] */
  pooledPromptEmbeds?: Tensor | undefined;
  /** Factor of each picture's tokens and of its prompt's, one for all or one each; 1 by default. */
  promptEmbedsScale?: number | readonly number[] | undefined;
  /** Factor of CLIP's embeddings; 1 by default. */
  pooledPromptEmbedsScale?: number | readonly number[] | undefined;
  /** Ends the loading. */
  signal?: AbortSignal | undefined;
  /** Told in one line what of a prompt was cut, and what was done where the GPU had no memory left; console.warn by default. */
  onNotice?: ((line: string) => void) | undefined;
}

/** Embeddings for a FLUX pipeline's `run` in place of a prompt: one row, the sum of all pictures. */
export interface FluxPriorReduxOutput {
  /** Tokens of prompts, then of pictures. [1, N, D] */
  promptEmbeds: Tensor;
  /** CLIP's embeddings of prompts. [1, P] */
  pooledPromptEmbeds: Tensor;
}

const OPTIONS = [
  "image",
  "prompt",
  "prompt2",
  "promptEmbeds",
  "pooledPromptEmbeds",
  "promptEmbedsScale",
  "pooledPromptEmbedsScale",
  "signal",
  "onNotice",
] satisfies (keyof FluxPriorReduxRunOptions)[];

const TOKENS = 512; // of T5, where there is no prompt
const POOLED = 768; // width of CLIP's embedding

/**
 * Pictures as prompts, by FLUX.1 Redux (Black Forest Labs, 2024): what it makes of them a FLUX pipeline takes in place of a
 * prompt, to draw pictures like them.
 *
 * ```ts ignore
 * using prior = await FluxPriorReduxPipeline.fromPretrained("black-forest-labs/FLUX.1-Redux-dev");
 * using pipeline = await FluxPipeline.fromPretrained("black-forest-labs/FLUX.1-dev");
 * const seen = await prior.run({ image: await loadImage("robot.png") });
 * const { images } = await pipeline.run({ ...seen, guidanceScale: 2.5 });
 * ```
 */
export class FluxPriorReduxPipeline implements Disposable {
  /** The text encoders of a FLUX pipeline may be added: `{ ...prior.parts, textEncoder, … }`. */
  constructor(readonly parts: FluxPriorReduxParts) {}

  /** Opens the parts of a folder or a repository; the models' weights are loaded when they are needed. */
  static async fromPretrained(
    pathOrRepo: string,
    options: Omit<PipelineOptions, "vae" | "controlnet" | "adapter"> = {},
  ): Promise<FluxPriorReduxPipeline> {
    const { components, commit } = await readIndex(pathOrRepo, options);
    expectComponent(components, "image_embedder", ["ReduxImageEncoder"]); // says best that this is another pipeline
    expectComponent(components, "image_encoder", ["SiglipVisionModel"]);
    expectComponent(components, "feature_extractor", ["SiglipImageProcessor", "SiglipImageProcessorFast"]);
    const memory = await memoryBudget(options);
    const source = (subfolder: string) => ({ ...options, revision: commit ?? options.revision, subfolder });
    return new FluxPriorReduxPipeline({
      memory,
      featureExtractor: await SiglipImageProcessor.fromPretrained(pathOrRepo, source("feature_extractor")),
      imageEncoder: await openModel(SiglipVisionModel, pathOrRepo, source("image_encoder"), memory),
      imageEmbedder: await openModel(ReduxImageEncoder, pathOrRepo, source("image_embedder"), memory),
    });
  }

  /** Makes embeddings of pictures. */
  async run(options: FluxPriorReduxRunOptions): Promise<FluxPriorReduxOutput> {
    expectOptions("run FluxPriorReduxPipeline", options, OPTIONS);
    const { signal, onNotice } = options;
    const { parts } = this;
    const { imageEncoder, imageEmbedder } = parts;
    using made = scope();
    const pixels = await pixelsOf(parts, options.image);
    const n = pixels.shape[0]!;
    const scales = scalesOf("promptEmbedsScale", options.promptEmbedsScale, n);
    const pooledScales = scalesOf("pooledPromptEmbedsScale", options.pooledPromptEmbedsScale, n);
    const seen = await withModels(parts, [imageEncoder, imageEmbedder], { signal, onNotice }, () => {
      using made = scope();
      return made.keep(imageEmbedder.forward(imageEncoder.forward(pixels).lastHiddenState).imageEmbeds);
    });
    const { states, pooled } = await promptsOf(parts, options, n, seen.shape[2]!);
    const sum = (x: Tensor, scales: Tensor) =>
      made.keep(x.mul(scales.reshape([n, ...x.shape.slice(1).map(() => 1)])).sum(0, { keepdim: true }));
    return {
      promptEmbeds: sum(cat([states, seen], 1), scales),
      pooledPromptEmbeds: sum(pooled, pooledScales),
    };
  }

  /** Gives the memory of the models back. */
  [Symbol.dispose](): void {
    for (const model of modelsOf(this.parts)) model[Symbol.dispose]();
  }
}

/** The pictures as the vision model takes them. [n, 3, S, S] */
async function pixelsOf(
  { featureExtractor }: FluxPriorReduxParts,
  image: Tensor | readonly Tensor[],
): Promise<Tensor> {
  const images = [image ?? []].flat() as Tensor[];
  if (images.length === 0) throw new TypeError("Cannot see pictures: expected image, got none");
  const pixels: Tensor[] = [];
  for (const one of images) {
    await fractionsOf("a picture that is seen", one);
    pixels.push(await featureExtractor.preprocess(one));
  }
  return cat(pixels);
}

/** Embeddings of words beside each of n pictures: of prompts, or zeros. */
async function promptsOf(
  parts: FluxPriorReduxParts,
  options: FluxPriorReduxRunOptions,
  n: number,
  D: number,
): Promise<PooledTextEmbeddings> {
  const { prompt, prompt2, promptEmbeds: states, pooledPromptEmbeds: pooled, signal, onNotice } = options;
  if (states ?? pooled) {
    if (prompt !== undefined || prompt2 !== undefined) {
      throw new TypeError("Cannot see pictures: expected a prompt or promptEmbeds, got both");
    }
    if (states && pooled && states.shape[0] === n && states.shape[2] === D && pooled.shape[0] === n) {
      return { states, pooled };
    }
    const got = [states, pooled].map((x) => x ? formatShape(x.shape) : "none").join(" and ");
    throw new RangeError(
      `Cannot see pictures: expected promptEmbeds [${n}, N, ${D}] and pooledPromptEmbeds [${n}, P], got ${got}`,
    );
  }
  if (prompt === undefined && prompt2 === undefined) {
    return { states: zeros([n, TOKENS, D]), pooled: zeros([n, POOLED]) };
  }
  const { tokenizer, tokenizer2, textEncoder, textEncoder2, memory } = parts;
  if (!tokenizer || !tokenizer2 || !textEncoder || !textEncoder2) {
    throw new TypeError(
      "Cannot see a prompt beside pictures: expected text encoders and tokenizers among the parts, got none; " +
        "add those of a FLUX pipeline",
    );
  }
  const texts = { tokenizer, tokenizer2, textEncoder, textEncoder2, memory };
  const { embeddings: [embedded] } = await embedPrompts(texts, {
    prompt: spreadTexts(prompt ?? "", n, "prompt"),
    prompt2: prompt2 === undefined ? undefined : spreadTexts(prompt2, n, "prompt2"),
    signal,
    onNotice,
  });
  return embedded!;
}

/** A factor for each of n pictures. [n] */
function scalesOf(name: string, given: number | readonly number[] = 1, n: number): Tensor {
  const scales = typeof given === "number" ? new Array<number>(n).fill(given) : [...given];
  if (scales.length !== n) {
    throw new RangeError(
      `Cannot see ${n} pictures with ${scales.length} values of ${name}: expected one, or one for each`,
    );
  }
  for (const scale of scales) expectNumber(name, scale);
  return tensor(scales);
}
