import { expectOptions } from "../../core/error.ts";
import { type Checkpoint, openCheckpoint } from "../../io/formats/checkpoint.ts";
import type { AlphaSource } from "../../io/lora/alpha.ts";
import { type AdapterKind, kindOfChange } from "../../io/lora/changes.ts";
import { type LoraFile, readLora } from "../../io/lora/file.ts";
import { findLora } from "../../io/lora/find.ts";
import { type Match, matchLora, type Placed } from "../../io/lora/match.ts";
import type { LoraPart } from "../../io/names/lora.ts";
import { modelKind } from "../../io/names/model_kinds.ts";
import {
  type Component,
  type ComponentScales,
  componentsOf,
  expectComponents,
  inComponent,
} from "./lora/component_scales.ts";
import type { Model } from "./model.ts";
import type { SourceOptions } from "./model_source.ts";

/** The models that a LoRA may change, under the names of a pipeline's parts. */
export interface LoraModels {
  /** Denoiser of Stable Diffusion 1, 2 and XL. */
  unet?: Model | undefined;
  /** Denoiser of FLUX.1, FLUX.2 and Z-Image. */
  transformer?: Model | undefined;
  /** The first text encoder. */
  textEncoder?: Model | undefined;
  /** The second one. */
  textEncoder2?: Model | undefined;
}

/** Options of `loadLora`. */
export interface LoraOptions extends
  Pick<
    SourceOptions,
    "subfolder" | "revision" | "token" | "localFilesOnly" | "signal" | "onProgress" | "onNotice"
  > {
  /** The file, where a folder or repository has several. */
  weightName?: string | undefined;
  /** By which its scale is changed; "default_0" and so on by default. */
  adapterName?: string | undefined;
  /** Strength of the LoRA, or its strengths in the models; 1 by default. */
  scale?: number | ComponentScales | undefined;
}

const OPTIONS =
  "weightName subfolder revision token localFilesOnly signal adapterName scale onProgress onNotice";

/** Contents of a LoRA's file, and what became of them. */
export interface LoadReport {
  /** By which its scale is changed. */
  readonly adapterName: string;
  /**
   * Whose names the file uses:
   * "kohya", "peft", "diffusers", "xlabs", "OneTrainer", "ComfyUI", "BFL" or "fal".
   */
  readonly format: string;
  /** Kinds of adapters that it holds: "LoRA", "LoHa", "DoRA", … All but LoRAs are merged into the weights. */
  readonly kinds: readonly AdapterKind[];
  /** The different ranks of its layers, smallest first. */
  readonly ranks: readonly number[];
  /** The different alphas; a product is multiplied by alpha / rank. */
  readonly alphas: readonly number[];
  /** Sources of the alphas: tensors, peft's config, or the ranks, where neither tells. */
  readonly alphaSources: readonly AlphaSource[];
  /** Layers that it changes, e.g. "unet.mid_block.attentions.0.transformer_blocks.0.attn1.to_q". */
  readonly matched: readonly string[];
  /** The file's names of what is not used. */
  readonly unmatched: readonly string[];
}

/**
 * Adds a LoRA (Hu et al. 2021, https://arxiv.org/abs/2106.09685) to models: a file, a folder or a repository
 * of the hub, as diffusers, peft, kohya, LyCORIS, xlabs, OneTrainer, ComfyUI, Black Forest Labs or fal write it.
 * DoRA, LoHa, LoKr, OFT, BOFT, LoCon with a middle tensor and whole weights, norms and biases are merged into the weights.
 *
 * ```ts ignore
 * await loadLora("owner/style", { unet, textEncoder }, { adapterName: "style", scale: 0.8 });
 * unet.adapters.set({ style: 0.5 }); // for the calls from here on
 * await unet.adapters.remove(); // the model computes what it did before, to the bit
 * ```
 */
export async function loadLora(
  pathOrRepo: string,
  models: LoraModels,
  options: LoraOptions = {},
): Promise<LoadReport> {
  expectOptions(`load ${pathOrRepo}`, options, OPTIONS.split(" "));
  const { onNotice = console.warn, scale = 1 } = options;
  const parts = partsOf(models);
  expectComponents(scale, [...parts.values()].map(({ component }) => component));
  const path = await findLora(pathOrRepo, { ...options, onNotice });
  using checkpoint = await openCheckpoint(path);
  const { file, placed, unmatched, unused } = await placesIn(checkpoint, path, parts);
  const adapterName = nameFor([...parts.values()].map(({ model }) => model), options.adapterName);
  const attached: Model[] = [];
  try {
    for (const [part, layers] of placed) {
      const { component, model } = parts.get(part)!;
      const own = inComponent(scale, component);
      await model.adapters.attach(adapterName, layers, () => openCheckpoint(path), {
        ...options,
        scale: own,
      });
      attached.push(model);
    }
  } catch (error) {
    for (const model of attached) await model.adapters.remove(adapterName);
    throw error;
  }
  for (const notice of file.notices) onNotice(notice);
  if (unmatched.length) onNotice(`${path}: not used, as no layer has these names: ${some(unmatched)}`);
  if (file.others.length) {
    onNotice(`${path}: not used, as they are of no kind that is known: ${some(file.others)}`);
  }
  const used = [...placed.values()].flatMap(({ pairs, changes }) => [
    ...pairs.map(({ pair }) => ({ ...pair, called: "LoRA" as const })),
    ...changes.map(({ change }) => ({ ...change, called: kindOfChange(change) })),
  ]);
  const ranked = used.filter(({ rank }) => rank > 0);
  return {
    adapterName,
    format: file.format,
    kinds: [...new Set(used.map(({ called }) => called))],
    ranks: distinct(ranked.map(({ rank }) => rank)),
    alphas: distinct(ranked.map(({ alpha }) => alpha)),
    alphaSources: [...new Set(ranked.map(({ source }) => source))],
    matched: [...placed].flatMap(([part, own]) =>
      layersOf(own).map((layer) => `${parts.get(part)!.name}.${layer}`)
    ),
    unmatched: unused,
  };
}

/**
 * Throws unless models have layers that the file of a LoRA is for: by its names and shapes alone, so that nothing is loaded, and
 * the models need no weights either.
 */
export async function expectLora(path: string, models: LoraModels): Promise<void> {
  using checkpoint = await openCheckpoint(path);
  await placesIn(checkpoint, path, partsOf(models));
}

/** The contents of a LoRA's file, and its places in models. Throws where these have none of its layers, or have others. */
async function placesIn(
  checkpoint: Checkpoint,
  path: string,
  parts: ReadonlyMap<LoraPart, Target>,
): Promise<Match & { readonly file: LoraFile; readonly unused: readonly string[] }> {
  const file = await readLora(checkpoint, path);
  const layers = [...parts].map(([part, { model }]) => [part, model.adapters.targets] as const);
  const { placed, unmatched } = matchLora(file, new Map(layers));
  const unused = [...unmatched, ...file.others];
  if (placed.size === 0) throw nothingMatched(path, unused, [...parts.values()].map(({ name }) => name));
  return { file, placed, unmatched, unused };
}

/** Names of the layers that something is added to, each once. */
function layersOf({ pairs, changes }: Placed): string[] {
  const all = [...pairs, ...changes.flatMap(({ layers }) => layers)];
  return [...new Set(all.map(({ layer }) => layer))];
}

/** diffusers' names for the models, and which of a pipeline's each is. */
const COMPONENTS: Readonly<Record<Component, readonly [name: string, part: LoraPart]>> = {
  unet: ["unet", "image"],
  transformer: ["transformer", "image"],
  textEncoder: ["text_encoder", "textEncoder"],
  textEncoder2: ["text_encoder_2", "textEncoder2"],
};

/** A model that a LoRA may change. */
interface Target {
  readonly component: Component;
  /** In diffusers. */
  readonly name: string;
  readonly model: Model;
}

/** The models; of a UNet and a transformer the UNet. */
function partsOf(models: LoraModels): Map<LoraPart, Target> {
  const given = componentsOf<Model>(models).map(([component, model]): [LoraPart, Target] => {
    const [name, part] = COMPONENTS[component];
    return [part, { component, name, model }];
  });
  if (given.length === 0) throw new Error("Cannot load a LoRA: expected a model to hang it on, got none");
  return new Map(given.toReversed());
}

/** The name that is asked for, unless it is taken, else the next free one. */
function nameFor(models: readonly Model[], asked: string | undefined): string {
  const taken = new Set(models.flatMap(({ adapters }) => adapters.names));
  if (asked === undefined) {
    let n = 0;
    while (taken.has(`default_${n}`)) n++;
    return `default_${n}`;
  }
  if (!taken.has(asked)) return asked;
  throw new Error(`Cannot load a LoRA as "${asked}": there is one of that name; choose another adapterName`);
}

function nothingMatched(path: string, unused: readonly string[], models: readonly string[]): Error {
  if (unused.length === 0) return new Error(`Cannot use ${path}: expected a LoRA, got no tensors`);
  const kind = modelKind(unused);
  if (kind && !kind.use) {
    return new TypeError(
      `Cannot use ${path}: expected a LoRA, got the keys of ${kind.name}; name the file of a LoRA, or load this as a model`,
    );
  }
  return new Error(
    `Cannot use ${path}: expected names of layers of ${models.join(" or ")}, got ${unused.length} others, ` +
      `e.g. "${unused[0]}"; it is of another model, or no LoRA`,
  );
}

function distinct(numbers: readonly number[]): number[] {
  return [...new Set(numbers)].sort((a, b) => a - b);
}

/** The first of some names, and how many follow. */
function some(names: readonly string[]): string {
  const shown = names.slice(0, 5).join(", ");
  return names.length > 5 ? `${shown} and ${names.length - 5} more` : shown;
}
