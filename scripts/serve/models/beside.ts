import type { Model } from "denoise/models";
import type { PipelineOptions } from "../../../src/pipelines/model_index.ts";
import type { PartsByName } from "../../../src/pipelines/memory/stage.ts";
import { type BesideKind, openBeside, partsBeside } from "../../../src/pipelines/open_beside.ts";
import type { Addition } from "../../generate/contents.ts";
import type { Offer } from "./offered.ts";
import { RefusalError } from "../request/refusal.ts";

/** Settings that name models beside a model's own, and the kind of each. */
const KINDS = {
  vae: "vae",
  controlnet: "controlnet",
  "t2i-adapter": "adapter",
  "ip-adapter": "ipAdapter",
} as const satisfies { [Setting in Addition]?: BesideKind };

/** A setting that names models beside a model's own. */
export type BesideSetting = keyof typeof KINDS;

/** True for such a setting. */
export function isBeside(setting: Addition): setting is BesideSetting {
  return setting in KINDS;
}

/** What a request names of them, in its order. */
export type NamedBeside = Readonly<Record<BesideSetting, readonly Offer[]>>;

/** The names as one text. */
export function keyOf(named: NamedBeside): string {
  const settings = Object.keys(KINDS) as BesideSetting[];
  return JSON.stringify(settings.map((setting) => named[setting].map(({ name }) => name)));
}

/** Models that stand beside those of one pipeline, each opened when it is first asked for. Weights come and go as the pipeline's own. */
export class Besides implements Disposable {
  readonly #parts: PartsByName;
  readonly #options: PipelineOptions;
  readonly #opened = new Map<string, Promise<readonly Model[]>>();
  readonly #models: Model[] = [];

  /** For the parts of a pipeline, opened with the same options. */
  constructor(parts: object, options: PipelineOptions) {
    this.#parts = parts as PartsByName;
    this.#options = options;
  }

  /** All that are open. */
  get models(): readonly Model[] {
    return this.#models;
  }

  /** Opens one, without its weights. Throws where it was made for another model. */
  async open(setting: BesideSetting, { name, path }: Offer): Promise<readonly Model[]> {
    const key = `${setting} ${name}`;
    const known = this.#opened.get(key);
    if (known) return await known;
    const opening = openBeside(KINDS[setting], this.#parts, path, this.#options);
    this.#opened.set(key, opening);
    try {
      const models = await opening;
      this.#models.push(...models);
      return models;
    } catch (error) {
      this.#opened.delete(key);
      throw error;
    }
  }

  /**
   * The pipeline's parts with what a request names beside them; IP-Adapters count as their scales say. Throws a RefusalError
   * where they do not go together.
   */
  async partsWith<Parts extends object>(
    parts: Parts,
    named: NamedBeside,
    ipAdapterScales?: readonly number[],
  ): Promise<Parts> {
    const open = (setting: BesideSetting) =>
      Promise.all(named[setting].map((offer) => this.open(setting, offer)));
    const beside = {
      vae: await open("vae"),
      controlnet: await open("controlnet"),
      adapter: await open("t2i-adapter"),
      ipAdapter: await open("ip-adapter"),
    };
    if (Object.values(beside).every(({ length }) => length === 0)) return parts;
    try {
      return partsBeside(parts as PartsByName, beside, ipAdapterScales) as Parts;
    } catch (error) {
      throw error instanceof TypeError ? new RefusalError("invalid", error.message) : error;
    }
  }

  /** Frees them. */
  [Symbol.dispose](): void {
    for (const model of this.#models) model[Symbol.dispose]();
  }
}
