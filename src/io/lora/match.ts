import { formatShape, sameNumbers, type Shape, size } from "../../core/shape.ts";
import { quote } from "../files/errors.ts";
import { flatName, type LayerRows, loraKeyMap, type LoraPart, splitName } from "../names/lora.ts";
import type { LoraChange } from "./changes.ts";
import type { LoraFile, LoraPair } from "./file.ts";

/** A layer, and the pair whose rows are added to it. */
export interface Placement extends LayerRows {
  readonly pair: LoraPair;
}

/** A change, and the layers that its rows are for: several where the file has a fused matrix. */
export interface ChangePlacement {
  readonly change: LoraChange;
  readonly layers: readonly LayerRows[];
}

/** Changes that a file makes in one model. */
export interface Placed {
  readonly pairs: readonly Placement[];
  readonly changes: readonly ChangePlacement[];
}

/** Layers that the pairs and changes of a file go to. */
export interface Match {
  /** By model. */
  readonly placed: ReadonlyMap<LoraPart, Placed>;
  /** Names of those that no layer of a model has. */
  readonly unmatched: readonly string[];
}

/** A model's layers. */
export interface Layers {
  /** Shapes of the weights of those that multiply, to which products can be added. */
  readonly products: ReadonlyMap<string, Shape>;
  /** Shapes of all weights and biases, by key. */
  readonly tensors: ReadonlyMap<string, Shape>;
  /** Dense layers of whose input a LoRA may read another number of channels than the layer itself does. */
  readonly widens: readonly string[];
}

/** A pair or a change, and the layers of one model that it is for. */
interface Target {
  readonly item: LoraPair | LoraChange;
  readonly part: LoraPart;
  readonly layers: readonly LayerRows[];
  /** The file has the model's own name for the layer. */
  readonly isOwn: boolean;
}

/**
 * Finds the layers of the given models that the pairs and changes of a file are for. A file that has a layer under the
 * model's own name and under another, say in a fused matrix, has it twice: then the own name counts. Throws where shapes
 * do not fit.
 */
export function matchLora(file: LoraFile, models: ReadonlyMap<LoraPart, Layers>): Match {
  const keyMaps = new Map([...models].map(([part, layers]) => [part, loraKeyMap(allLayers(layers))]));
  const targets: Target[] = [];
  const unmatched: string[] = [];
  for (const item of [...file.pairs, ...file.changes]) {
    const { parts, layer } = splitName(item.name);
    const part = parts.find((part) => {
      const layers = keyMaps.get(part)?.get(layer);
      return layers?.every((rows) => shapeFor(item, rows.layer, models.get(part)!));
    });
    if (!part) {
      unmatched.push("target" in item && item.target === "bias" ? `${item.name} (bias)` : item.name);
      continue;
    }
    const layers = keyMaps.get(part)!.get(layer)!;
    if ("down" in item) checkShapes(item, layers, models.get(part)!, file.path);
    else checkSizes(item, layers, models.get(part)!, file.path);
    targets.push({ item, part, layers, isOwn: flatName(layers[0]!.layer) === layer });
  }
  const idOf = ({ part, item }: Target, { layer }: LayerRows) =>
    `${part} ${layer} ${"target" in item ? item.target : "weight"}`;
  const own = new Set(targets.filter(({ isOwn }) => isOwn).map((one) => idOf(one, one.layers[0]!)));
  const used = targets.filter((one) => one.isOwn || !one.layers.some((rows) => own.has(idOf(one, rows))));
  const placed = Map.groupBy(used, ({ part }) => part);
  return {
    placed: new Map([...placed].map(([part, targets]) => [part, placedOf(targets)])),
    unmatched: [...new Set(unmatched)],
  };
}

function placedOf(targets: readonly Target[]): Placed {
  return {
    pairs: targets.flatMap(({ item, layers }) =>
      "down" in item ? layers.map((rows) => ({ ...rows, pair: item })) : []
    ),
    changes: targets.flatMap(({ item, layers }) => "down" in item ? [] : [{ change: item, layers }]),
  };
}

/** Shapes of the weights of all layers, of those that have only a bias of the bias. */
function allLayers({ tensors }: Layers): ReadonlyMap<string, Shape> {
  const layers = new Map<string, Shape>();
  for (const [key, shape] of tensors) {
    const [, layer, end] = /^(.*)\.(weight|bias)$/.exec(key) ?? [];
    if (layer && (end === "weight" || !layers.has(layer))) layers.set(layer, shape);
  }
  return layers;
}

/** The shape of the tensor that is changed, if the layer has it. */
function shapeFor(
  item: LoraPair | LoraChange,
  layer: string,
  { products, tensors }: Layers,
): Shape | undefined {
  return "down" in item ? products.get(layer) : tensors.get(`${layer}.${item.target}`);
}

/** A change has as many rows as all its layers together, and as many columns as each. */
function checkSizes(
  change: LoraChange,
  targets: readonly LayerRows[],
  layers: Layers,
  path: string,
): void {
  const rows = targets.reduce((sum, target) => sum + target.rows, 0);
  for (const { layer } of targets) {
    const shape = shapeFor(change, layer, layers)!;
    const columns = size(shape.slice(1));
    if ((change.rows ?? rows) === rows && (change.columns ?? columns) === columns) continue;
    throw new RangeError(
      `Cannot load ${path}: expected the ${change.kind} ${quote(change.name)} to be of ` +
        `[${rows}, ${columns}] for ${change.target} of the layer ${quote(layer)}, got ` +
        `[${change.rows ?? rows}, ${change.columns ?? columns}]; it was made for another model`,
    );
  }
}

/**
 * A dense layer may stand in a file as a convolution of one pixel, and the other way round; where the model says so, a
 * LoRA's down may have other columns than it.
 */
function checkShapes(
  { down, up, rank }: LoraPair,
  targets: readonly LayerRows[],
  { products, widens }: Layers,
  path: string,
): void {
  const rows = targets.reduce((sum, target) => sum + target.rows, 0);
  const inner = (shape: Shape) => {
    const [, ...rest] = shape;
    return rest.slice(1).every((n) => n === 1) ? rest.slice(0, 1) : rest;
  };
  for (const { layer } of targets) {
    const shape = products.get(layer)!;
    const [own, columns] = [inner(shape), inner(down.shape)];
    const fits = sameNumbers(columns, own) || widens.includes(layer) && columns.length === 1;
    if (fits && up.shape[0] === rows) continue;
    throw new RangeError(
      `Cannot load ${path}: expected ${quote(down.name)} ${
        formatShape([rank, ...shape.slice(1)])
      } and its up ` +
        `${formatShape([rows, rank])} for the layer ${quote(layer)}, got ${formatShape(down.shape)} and ` +
        `${formatShape(up.shape)}; it was made for another model`,
    );
  }
}
