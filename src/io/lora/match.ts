import { formatShape, sameNumbers, type Shape } from "../../core/shape.ts";
import { quote } from "../files/errors.ts";
import { flatName, type LayerRows, loraKeyMap, type LoraPart, splitName } from "../names/lora.ts";
import type { LoraFile, LoraPair } from "./file.ts";

/** A layer, and the pair whose rows are added to it. */
export interface Placement extends LayerRows {
  readonly pair: LoraPair;
}

/** Layers that the pairs of a file go to. */
export interface Match {
  /** By model. */
  readonly placed: ReadonlyMap<LoraPart, readonly Placement[]>;
  /** Names of pairs that no layer of a model has. */
  readonly unmatched: readonly string[];
}

/** The shapes of the weights of each model's layers. */
export type Layers = ReadonlyMap<LoraPart, ReadonlyMap<string, Shape>>;

/** A pair, and the layers of one model that it is for. */
interface Target {
  readonly pair: LoraPair;
  readonly part: LoraPart;
  readonly layers: readonly LayerRows[];
  /** The file has the model's own name for the layer. */
  readonly isOwn: boolean;
}

/**
 * Finds the layers of the given models that the pairs of a file are for. A file that has a layer under the model's own name
 * and under another, say in a fused matrix, has it twice: then the own name counts. Throws where shapes do not fit.
 */
export function matchLora(file: LoraFile, models: Layers): Match {
  const keyMaps = new Map([...models].map(([part, layers]) => [part, loraKeyMap(layers)]));
  const targets: Target[] = [];
  const unmatched: string[] = [];
  for (const pair of file.pairs) {
    const { parts, layer } = splitName(pair.name);
    const part = parts.find((part) => keyMaps.get(part)?.has(layer));
    if (!part) {
      unmatched.push(pair.name);
      continue;
    }
    const layers = keyMaps.get(part)!.get(layer)!;
    checkShapes(pair, layers, models.get(part)!, file.path);
    targets.push({ pair, part, layers, isOwn: flatName(layers[0]!.layer) === layer });
  }
  const idOf = ({ part }: Target, { layer }: LayerRows) => `${part} ${layer}`;
  const own = new Set(targets.filter(({ isOwn }) => isOwn).map((one) => idOf(one, one.layers[0]!)));
  const placed = new Map<LoraPart, Placement[]>();
  for (const one of targets) {
    const { pair, part, layers, isOwn } = one;
    if (!isOwn && layers.some((rows) => own.has(idOf(one, rows)))) continue;
    placed.set(part, [...placed.get(part) ?? [], ...layers.map((rows) => ({ ...rows, pair }))]);
  }
  return { placed, unmatched };
}

/** A dense layer may stand in a file as a convolution of one pixel, and the other way round. */
function checkShapes(
  { down, up, rank }: LoraPair,
  targets: readonly LayerRows[],
  layers: ReadonlyMap<string, Shape>,
  path: string,
): void {
  const rows = targets.reduce((sum, target) => sum + target.rows, 0);
  const inner = (shape: Shape) => {
    const [, ...rest] = shape;
    return rest.slice(1).every((n) => n === 1) ? rest.slice(0, 1) : rest;
  };
  for (const { layer } of targets) {
    const shape = layers.get(layer)!;
    if (sameNumbers(inner(down.shape), inner(shape)) && up.shape[0] === rows) continue;
    throw new RangeError(
      `Cannot load ${path}: expected ${quote(down.name)} ${
        formatShape([rank, ...shape.slice(1)])
      } and its up ` +
        `${formatShape([rows, rank])} for the layer ${quote(layer)}, got ${formatShape(down.shape)} and ` +
        `${formatShape(up.shape)}; it was made for another model`,
    );
  }
}
