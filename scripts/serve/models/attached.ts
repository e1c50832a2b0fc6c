import { DeviceLostError, OutOfMemoryError } from "denoise";
import type { AnyPipeline, StableDiffusionBase, StableDiffusionXLBase } from "denoise/pipelines";
import type { PipelineOptions } from "../../../src/pipelines/model_index.ts";
import { strengthsOf } from "../../generate/lora.ts";
import { readEmbedding, readLora } from "../../generate/named_files.ts";
import { type Shelf, WORDS } from "./offered.ts";
import { RefusalError } from "../request/refusal.ts";

/** The texts by which a request names what is attached to a model. */
export interface Wanted {
  /** LoRAs, with scales. */
  readonly loras: readonly string[];
  /** Textual inversions, with tokens. */
  readonly embeddings: readonly string[];
}

/** LoRAs and textual inversions on the models of a pipeline: those of the request that it draws, and no others. */
export class Attached {
  readonly #pipeline: AnyPipeline;
  readonly #shelf: Shelf;
  readonly #onNotice: PipelineOptions["onNotice"];
  /** Names of LoRAs in the order in which they came; undefined where that failed. */
  #loras: readonly string[] | undefined = [];
  /** Textual inversions, and the tokens that they have. */
  #embeddings: readonly string[] = [];
  #tokens: readonly string[] = [];

  /** With nothing on the models. */
  constructor(pipeline: AnyPipeline, shelf: Shelf, { onNotice }: Pick<PipelineOptions, "onNotice">) {
    this.#pipeline = pipeline;
    this.#shelf = shelf;
    this.#onNotice = onNotice;
  }

  /** Adds what a request names, and removes what it does not. Throws a RefusalError where it does not fit. */
  async attach({ loras, embeddings }: Wanted): Promise<void> {
    await this.#attachLoras(loras);
    await this.#learn(embeddings);
  }

  /** Those and no others, in their order: one with scale 0 would still decide which kernels run, and with them the last bits. */
  async #attachLoras(loras: readonly string[]): Promise<void> {
    const pipeline = this.#pipeline;
    const wanted = loras.map(readLora);
    const names = wanted.map(({ path }) => path);
    if (names.join("\n") !== this.#loras?.join("\n")) {
      this.#loras = undefined; // until all are there
      await pipeline.unloadLora();
      for (const name of names) await this.#load(name);
      this.#loras = names;
    }
    if (names.length === 0) return;
    const strengths = wanted.map((lora) => {
      try {
        return strengthsOf(lora, pipeline.parts);
      } catch (error) {
        throw new RefusalError("invalid", (error as Error).message, "lora");
      }
    });
    await pipeline.setAdapters(names, strengths);
  }

  async #load(name: string): Promise<void> {
    const { path } = this.#shelf.find("lora", name);
    try {
      await this.#pipeline.loadLoraWeights(path, { adapterName: name, onNotice: this.#onNotice });
    } catch (error) {
      if (error instanceof OutOfMemoryError || error instanceof DeviceLostError) throw error;
      throw unreadable("lora", name, error);
    }
  }

  async #learn(embeddings: readonly string[]): Promise<void> {
    if (embeddings.join("\n") === this.#embeddings.join("\n")) return;
    const pipeline = this.#pipeline as StableDiffusionBase | StableDiffusionXLBase; // no others take one
    this.#forget(pipeline);
    for (const { path: name, token } of embeddings.map(readEmbedding)) {
      const { path } = this.#shelf.find("embedding", name);
      try {
        this.#tokens = [...this.#tokens, await pipeline.loadTextualInversion(path, { token })];
      } catch (error) {
        this.#forget(pipeline);
        const { message } = error as Error;
        if (!message.startsWith("Cannot add the token ")) throw unreadable("embedding", name, error);
        throw new RefusalError("invalid", message, "embedding");
      }
    }
    this.#embeddings = embeddings;
  }

  #forget(pipeline: StableDiffusionBase | StableDiffusionXLBase): void {
    for (const token of this.#tokens) pipeline.unloadTextualInversion(token);
    [this.#embeddings, this.#tokens] = [[], []];
  }
}

/** The refusal of a file that fitted when it was offered. The log has the error, as it may name the file. */
function unreadable(setting: "lora" | "embedding", name: string, error: unknown): RefusalError {
  console.error(error);
  const message = `Cannot draw with the ${
    WORDS[setting]
  } ${name}: its file is damaged, or gone; the log says more`;
  return new RefusalError("failed", message, setting);
}
