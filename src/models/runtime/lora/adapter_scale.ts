import { nearest } from "../../../core/error.ts";

/**
 * Strength of an adapter: one number, or one for each part of the model whose layers' names begin so, such as
 * `{ "down_blocks.1": 0.5, "mid_block": 0 }`. Of several that fit a layer the longest counts; layers without one have 1.
 * Blocks of a UNet may be named as in diffusers' set_adapters, too.
 */
export type AdapterScale = number | UNetScales | Readonly<Record<string, number>>;

/**
 * Strengths by blocks of a UNet, in the form of diffusers' set_adapters: they are for blocks with attention, whose
 * residual blocks have the strength of the attention of the same number, and down- and upsamplers that of the first. In
 * the middle only attention has it. All other layers have 1.
 */
export interface UNetScales {
  /** Strengths of the blocks on the way down. */
  readonly down?: WayScales | undefined;
  /** Strength of the attention in the middle. */
  readonly mid?: number | readonly [number] | undefined;
  /** Strengths of the blocks on the way up. */
  readonly up?: WayScales | undefined;
}

/** One strength for a block, or one for each of its attentions. */
export type BlockScale = number | readonly number[];

/** One strength for all blocks of a way, or one for each, counted from 0; blocks that are not named have 1. */
export type WayScales = BlockScale | { readonly [block in `block_${number}`]?: BlockScale };

/** Parts of a model's layers, which scales may be for. */
export class LayerNames {
  /** Layers and all that they are in. */
  readonly parts: ReadonlySet<string>;
  /** Numbers of attentions of the blocks that have some, as "block_1". */
  readonly attentions: Readonly<Record<"down" | "up", ReadonlyMap<string, number>>>;

  /** For a model whose weights have these keys. */
  constructor(keys: Iterable<string>) {
    const parts = new Set<string>();
    const attentions = { down: new Map<string, number>(), up: new Map<string, number>() };
    for (const key of keys) {
      for (const part of partsOf(key)) parts.add(part);
      const [, way, n, i] = /^(down|up)_blocks\.(\d+)\.attentions\.(\d+)\./.exec(key) ?? [];
      if (way !== "down" && way !== "up") continue;
      const block = `block_${n}`;
      attentions[way].set(block, Math.max(attentions[way].get(block) ?? 0, Number(i) + 1));
    }
    this.parts = parts;
    this.attentions = attentions;
  }
}

/** A scale by paths of parts of a model; layers outside of them have 1. */
export type ScalesByPath = number | ReadonlyMap<string, number>;

/** A scale with blocks by their paths; throws for numbers that are not finite, and parts that the model does not have. */
export function byPath(name: string, scale: AdapterScale, layers: LayerNames): ScalesByPath {
  if (typeof scale === "number") return expectFactor(scale);
  const paths = new Map<string, number>();
  for (const [part, value] of Object.entries(scale) as [string, WayScales | undefined][]) {
    if (value === undefined) continue;
    if (part === "down" || part === "up") setWay(paths, name, part, value, layers);
    else if (part === "mid") {
      const attention = "mid_block.attentions.0";
      if (!layers.parts.has(attention)) throw unknownPart(name, part, layers);
      paths.set(attention, eachOf(name, part, value as BlockScale, 1)[0]!);
    } else if (layers.parts.has(part)) paths.set(part, expectFactor(value as number));
    else throw unknownPart(name, part, layers);
  }
  return paths;
}

/** The scale for a layer. */
export function scaleOf(scale: ScalesByPath, layer: string): number {
  if (typeof scale === "number") return scale;
  for (const part of partsOf(layer)) {
    const own = scale.get(part);
    if (own !== undefined) return own;
  }
  return 1;
}

/** Sets the scales of the blocks of one way. */
function setWay(
  paths: Map<string, number>,
  name: string,
  way: "down" | "up",
  scales: WayScales,
  layers: LayerNames,
): void {
  const counts = layers.attentions[way];
  if (counts.size === 0) throw unknownPart(name, way, layers);
  const isOne = typeof scales === "number" || Array.isArray(scales);
  const given = isOne
    ? [...counts.keys()].map((block) => [block, scales as BlockScale] as const)
    : Object.entries(scales as Record<string, BlockScale>);
  for (const [block, scale] of given) {
    const count = counts.get(block);
    if (count === undefined) {
      throw new Error(
        `Cannot set adapter "${name}" in "${way}.${block}": expected a block with attention, one of ${
          [...counts.keys()].join(", ")
        }`,
      );
    }
    const path = block.replace("block_", `${way}_blocks.`);
    const each = eachOf(name, `${way}.${block}`, scale, count);
    each.forEach((factor, i) => {
      for (const part of ["attentions", "resnets"]) paths.set(`${path}.${part}.${i}`, factor);
    });
    paths.set(`${path}.${way}samplers.0`, each[0]!);
  }
}

/** One scale for each of so many attentions. */
function eachOf(name: string, where: string, scale: BlockScale, count: number): readonly number[] {
  const list = ([scale].flat() as number[]).map(expectFactor);
  if (list.length === count) return list;
  if (list.length === 1) return Array<number>(count).fill(list[0]!);
  throw new RangeError(
    `Cannot set adapter "${name}" in "${where}": expected ${count} scales, one for each attention, got ${list.length}`,
  );
}

/** A name and all that it is in, the longest first: "mid_block.resnets.0", "mid_block.resnets", "mid_block". */
function* partsOf(name: string): Generator<string> {
  for (let end = name.length; end > 0; end = name.lastIndexOf(".", end - 1)) yield name.slice(0, end);
}

function unknownPart(name: string, part: string, { parts }: LayerNames): Error {
  return new Error(
    `Cannot set adapter "${name}" in "${part}": the model has no layer whose name begins so; nearest is "${
      nearest(part, parts)
    }"`,
  );
}

function expectFactor(scale: number): number {
  if (Number.isFinite(scale)) return scale;
  throw new RangeError(`Cannot set an adapter's scale to ${scale}: expected a finite number`);
}
