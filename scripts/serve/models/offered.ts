import { nearest } from "../../../src/core/error.ts";
import { findLora } from "../../../src/io/lora/find.ts";
import { readTextualInversion, TEXTUAL_INVERSION } from "../../../src/io/lora/textual_inversion.ts";
import type { PipelineOptions } from "../../../src/pipelines/model_index.ts";
import {
  type Addition,
  type AdditionContent,
  additionContent,
  ADDITIONS,
  forAdditions,
} from "../../generate/contents.ts";
import { RefusalError } from "../request/refusal.ts";

/** What is offered to clients: the name by which they ask for it, and where it is. */
export interface Offer {
  /** What clients call it. */
  readonly name: string;
  /** A folder, a file or a repository. */
  readonly path: string;
}

/** What is offered beside models, by the settings that name it. */
export type Additions = { readonly [Setting in Addition]?: readonly Offer[] | undefined };

/** One of each setting's, as sentences call it. */
export const WORDS: Readonly<Record<Addition, string>> = {
  lora: "LoRA",
  embedding: "textual inversion",
  vae: "autoencoder",
  controlnet: "ControlNet",
  "t2i-adapter": "T2I-Adapter",
  "ip-adapter": "IP-Adapter",
};

/** A file beside models that is offered. */
export interface OfferedAddition extends Offer {
  /** The setting that names it. */
  readonly setting: Addition;
  /** Fingerprints of it. */
  readonly content: AdditionContent;
  /** The token of a textual inversion. */
  readonly token: string | undefined;
}

/**
 * What tells files from others of the same name: their revision in the hub, or fingerprints of them, of models followed by how
 * these are stored; by the key under which requests name them (model, lora, vae and so on), then by their names.
 */
export type Versions = Readonly<Record<string, Readonly<Record<string, string>>>>;

/** The files beside models that are offered, by the settings that name them. */
export class Shelf {
  readonly #all = forAdditions(() => new Map<string, OfferedAddition>());

  /**
   * Finds all files and downloads what is not here. `fit` is told of each before it is read: it opens it beside the models
   * that take it, and throws where there is none.
   */
  async fill(
    additions: Additions,
    options: Pick<PipelineOptions, "onProgress">,
    fit: (setting: Addition, offer: Offer) => Promise<void>,
  ): Promise<void> {
    for (const setting of ADDITIONS) {
      for (const offer of additions[setting] ?? []) {
        expectNew(offer, WORDS[setting], this.#all[setting]);
        const path = await found(setting, offer.path, options);
        await fit(setting, { ...offer, path });
        const content = await additionContent(setting, path);
        const token = setting === "embedding" ? (await readTextualInversion(path)).token : undefined;
        this.#all[setting].set(offer.name, { ...offer, path, setting, content, token });
      }
    }
  }

  /** All of a setting. */
  of(setting: Addition): readonly OfferedAddition[] {
    return [...this.#all[setting].values()];
  }

  /** The one that a request names. Throws a RefusalError where it is not offered. */
  find(setting: Addition, name: string): OfferedAddition {
    return named(name, setting, this.#all[setting]);
  }

  /** Versions of all, by their settings and names. */
  get versions(): Versions {
    return forAdditions((setting) => {
      const versions = this.of(setting).map(({ name, content: { own, companion } }) => [
        name,
        companion === undefined ? own : `${own}-${companion}`,
      ]);
      return Object.fromEntries(versions);
    });
  }
}

/** The path of one file; folders and repositories of models stay as they are. */
async function found(
  setting: Addition,
  pathOrRepo: string,
  options: Pick<PipelineOptions, "onProgress">,
): Promise<string> {
  if (setting === "lora") return await findLora(pathOrRepo, options);
  return setting === "embedding" ? await findLora(pathOrRepo, options, TEXTUAL_INVERSION) : pathOrRepo;
}

/** Throws where a name is taken already. */
export function expectNew({ name }: Offer, kind: string, known: ReadonlyMap<string, unknown>): void {
  if (!known.has(name)) return;
  throw new TypeError(`Cannot offer two ${kind}s under the name ${name}: expected a name for each`);
}

/** What a request names. Throws a RefusalError where it is not offered. */
export function named<T>(name: string, kind: string, known: ReadonlyMap<string, T>): T {
  const one = known.get(name);
  if (one) return one;
  const near = nearest(name, known.keys());
  const advice = near === undefined ? "none is offered" : `nearest is ${near}`;
  throw new RefusalError("not found", `Cannot find the ${kind} ${name}: ${advice}`, kind);
}

/** The refusal of an addition that a model does not take. */
export function madeForAnother(setting: Addition, name: string, model: string): RefusalError {
  const what = WORDS[setting];
  const message = `Cannot draw with the ${what} ${name} on ${model}: it was made for another model`;
  return new RefusalError("invalid", message, setting);
}

/** The error of an addition that none of the models takes. */
export function fitsNone(setting: Addition, { name }: Offer, reasons: readonly Error[]): Error {
  const what = WORDS[setting];
  const why = reasons.at(-1)?.message ?? "no model here takes one";
  return new TypeError(`Cannot offer the ${what} ${name}: ${why}`, { cause: reasons.at(-1) });
}
