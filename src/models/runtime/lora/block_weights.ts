import { ldmLayerNames } from "../../../io/names/ldm_unet.ts";
import type { LoraModels } from "../load_lora.ts";
import type { Model } from "../model.ts";
import type { AdapterScale } from "./adapter_scale.ts";
import type { ComponentScales } from "./component_scales.ts";

/**
 * Blocks of a UNet in lists of so many numbers, as the extension LoRA Block Weight of AUTOMATIC1111's program defines them
 * (https://github.com/hako-mikan/sd-webui-lora-block-weight): BASE is the text encoders, the others are LDM's blocks.
 */
const UNET_BLOCKS: Readonly<Record<number, readonly string[]>> = Object.fromEntries(
  [
    "BASE IN04 IN05 IN07 IN08 M00 OUT00 OUT01 OUT02 OUT03 OUT04 OUT05", // SDXL, LoRA
    "BASE IN01 IN02 IN04 IN05 IN07 IN08 M00 OUT03 OUT04 OUT05 OUT06 OUT07 OUT08 OUT09 OUT10 OUT11", // SD 1.5, LoRA
    "BASE IN00 IN01 IN02 IN03 IN04 IN05 IN06 IN07 IN08 M00 OUT00 OUT01 OUT02 OUT03 OUT04 OUT05 OUT06 OUT07 OUT08",
    "BASE IN00 IN01 IN02 IN03 IN04 IN05 IN06 IN07 IN08 IN09 IN10 IN11 M00 " +
    "OUT00 OUT01 OUT02 OUT03 OUT04 OUT05 OUT06 OUT07 OUT08 OUT09 OUT10 OUT11", // those two for LoCon
  ].map((blocks) => blocks.split(" ")).map((blocks) => [blocks.length, blocks]),
);

/** The extension's lists with names, as BASE, the way down, the middle and the way up. */
const PRESETS: ReadonlyMap<string, string> = new Map(Object.entries({
  NONE: "0 000000 0 000000000",
  ALL: "1 111111 1 111111111",
  INS: "1 111000 0 000000000",
  IND: "1 000111 0 000000000",
  INALL: "1 111111 0 000000000",
  MIDD: "1 000111 1 111100000",
  OUTD: "1 000000 0 111100000",
  OUTS: "1 000000 0 000011111",
  OUTALL: "1 000000 0 111111111",
}));

/** Layers of FLUX outside its blocks, by the extension's names. */
const FLUX_ENDS: readonly [block: string, layers: readonly string[]][] = [
  ["IN", ["x_embedder", "context_embedder", "time_text_embed", "time_guidance_embed"]],
  ["OUT", ["norm_out", "proj_out"]],
];

/** Numbers of a list of block weights, or the text of one: numbers with commas, or a name such as "OUTALL". */
export function readBlockWeights(text: string): number[] {
  const list = PRESETS.get(text.trim())?.replaceAll(" ", "").split("") ?? text.split(",");
  const numbers = list.map((one) => one.trim() === "" ? NaN : Number(one));
  if (numbers.every(Number.isFinite)) return numbers;
  throw new TypeError(
    `Cannot read block weights "${text}": expected numbers with commas between them, or one of ${
      [...PRESETS.keys()].join(", ")
    }`,
  );
}

/**
 * Strengths of an adapter from a list of block weights as AUTOMATIC1111's LoRA Block Weight has them (`lbw=`), each
 * multiplied by `scale`: for `setAdapters`, or for `loadLoraWeights`. For UNets 12, 17, 20 or 26 numbers, or a name such as
 * "OUTALL": blocks that a shorter list leaves out have 0. For FLUX the first and the second text encoder, the layers
 * before the blocks, a number for each double and each single block, and the layers behind them (61 for FLUX.1), or the
 * blocks alone. Layers outside of all blocks keep `scale`.
 */
export function blockWeights(
  weights: string | readonly number[],
  models: LoraModels,
  scale = 1,
): ComponentScales {
  const list = (typeof weights === "string" ? readBlockWeights(weights) : weights).map((one) => one * scale);
  if (models.unet) return ofUnet(list, models, models.unet, scale);
  if (models.transformer) return ofFlux(list, models, models.transformer, scale);
  throw new Error("Cannot use block weights: expected a UNet or a transformer, got none");
}

function ofUnet(list: readonly number[], models: LoraModels, unet: Model, scale: number): ComponentScales {
  const blocks = UNET_BLOCKS[list.length];
  if (!blocks) throw wrongCount(list, "a UNet", Object.keys(UNET_BLOCKS));
  const byBlock = new Map(blocks.map((block, i) => [block, list[i]!]));
  const paths: Record<string, number> = {};
  for (const [layer, ldm] of ldmLayerNames(new Map(layersOf(unet).map((layer) => [layer, layer])))) {
    const [path] = /^(?:(?:down|up)_blocks\.\d+\.\w+\.\d+|mid_block|conv_in)(?=\.|$)/.exec(layer) ?? [];
    const [, way, n] = /^(input|middle|output)_blocks?(?:\.(\d+))?/.exec(ldm) ?? [];
    if (path === undefined || way === undefined) continue;
    const block = way === "middle" ? "M00" : (way === "input" ? "IN" : "OUT") + n!.padStart(2, "0");
    if (UNET_BLOCKS[26]!.includes(block)) paths[path] = byBlock.get(block) ?? 0;
  }
  return { unet: withRest(paths, unet, scale), ...ofEncoders(models, list[0]!, list[0]!) };
}

function ofFlux(list: readonly number[], models: LoraModels, model: Model, scale: number): ComponentScales {
  const layers = layersOf(model);
  const count = (blocks: string) =>
    new Set(layers.flatMap((layer) => new RegExp(`^${blocks}\\.(\\d+)\\.`).exec(layer)?.[1] ?? [])).size;
  const [doubles, singles] = [count("transformer_blocks"), count("single_transformer_blocks")];
  if (doubles * singles === 0) {
    throw new Error(
      "Cannot use block weights: expected a UNet or FLUX, whose blocks have numbers; name parts of the model instead",
    );
  }
  const blocks = doubles + singles;
  const isWhole = list.length === blocks + 4;
  if (!isWhole && list.length !== blocks) {
    throw wrongCount(
      list,
      "this FLUX",
      [blocks, blocks + 4],
      "; lists by name, such as OUTALL, are for UNets",
    );
  }
  const [clip, t5, first] = isWhole ? list as [number, number, number] : [scale, scale, scale];
  const own = isWhole ? list.slice(3, -1) : list;
  const paths: Record<string, number> = {};
  own.forEach((one, i) => {
    paths[i < doubles ? `transformer_blocks.${i}` : `single_transformer_blocks.${i - doubles}`] = one;
  });
  for (const [block, ends] of FLUX_ENDS) {
    const one = block === "IN" ? first : isWhole ? list.at(-1)! : scale;
    for (const part of ends) if (layers.some((layer) => layer.startsWith(part))) paths[part] = one;
  }
  return { transformer: withRest(paths, model, scale), ...ofEncoders(models, clip, t5) };
}

function ofEncoders(
  { textEncoder, textEncoder2 }: LoraModels,
  first: number,
  second: number,
): ComponentScales {
  return { ...textEncoder && { textEncoder: first }, ...textEncoder2 && { textEncoder2: second } };
}

/** The same, with a scale for all that is outside of these parts. */
function withRest(paths: Record<string, number>, model: Model, scale: number): AdapterScale {
  const tops = layersOf(model).map((layer) => layer.split(".")[0]!);
  return { ...Object.fromEntries(tops.map((top) => [top, scale])), ...paths };
}

function layersOf(model: Model): string[] {
  return [...model.adapters.targets.tensors.keys()].map((key) => key.replace(/\.[^.]+$/, ""));
}

function wrongCount(
  list: readonly number[],
  what: string,
  counts: readonly (string | number)[],
  advice = "",
): Error {
  return new RangeError(
    `Cannot use ${list.length} block weights for ${what}: expected ${counts.slice(0, -1).join(", ")} or ${
      counts.at(-1)
    }${advice}`,
  );
}
