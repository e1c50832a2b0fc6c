import { formatShape, size } from "../../core/shape.ts";
import type { Checkpoint, TensorInfo } from "../formats/checkpoint.ts";
import { isNumeric, toFloats } from "../formats/numbers.ts";
import { quote } from "../files/errors.ts";
import { type Alpha, AlphaNotes } from "./alpha.ts";
import { additionKind, formatOf, unbuiltKind } from "./kinds.ts";

/** Two matrices whose product is added to a layer's weight. */
export interface LoraPair extends Alpha {
  /** The file's name for the layer, e.g. "lora_unet_single_blocks_0_linear1". */
  readonly name: string;
  /** [rank, K], of a convolution [rank, C, kh, kw]. */
  readonly down: TensorInfo;
  /** [N, rank], of a convolution [N, rank, 1, 1]. */
  readonly up: TensorInfo;
  readonly rank: number;
}

/** The contents of a LoRA file. */
export interface LoraFile {
  /** Its path. */
  readonly path: string;
  /** The program whose names it uses: "kohya", "peft", "xlabs", … */
  readonly format: string;
  readonly pairs: readonly LoraPair[];
  /** Keys that belong to no pair and no addition. */
  readonly others: readonly string[];
  /** Keys of additions that are not built, by kind. */
  readonly additions: ReadonlyMap<string, readonly string[]>;
}

/** `….lora_down.weight`, `….lora_A.default.weight`, `…to_q_lora.up.weight`, `….qkv_lora1.down.weight`, … */
const HALF = /^(.*)[._]lora(\d?)(?:_linear_layer)?[._](down|up|A|B)(?:\.[^.]+)?\.weight$/;
/** `….alpha`, also behind the name of a half. */
const ALPHA = /^(.*?)(?:[._]lora(\d?)(?:_\w+)?)?\.alpha$/;

/** The tensors of one layer. */
interface Found {
  down?: TensorInfo | undefined;
  up?: TensorInfo | undefined;
  alpha?: TensorInfo | undefined;
}

/** Reads names, shapes and alphas of a LoRA file, but no matrices. `path` names it in errors. */
export async function readLora(checkpoint: Checkpoint, path: string): Promise<LoraFile> {
  const { tensors, metadata } = checkpoint;
  const keys = [...tensors.keys()];
  const notes = new AlphaNotes(metadata, path);
  const unbuilt = keys.find(unbuiltKind);
  if (unbuilt !== undefined || notes.dora) {
    const kind = unbuilt === undefined ? "DoRA" : unbuiltKind(unbuilt);
    const shown = unbuilt === undefined ? "use_dora in its header" : quote(unbuilt);
    throw new Error(`Cannot load ${path}: expected a LoRA, got ${kind} (${shown}), which is not built`);
  }
  const { layers, others } = sort(tensors);
  const pairs: LoraPair[] = [];
  for (const [name, found] of layers) {
    if (!found.down && !found.up) others.push(found.alpha!.name);
    else pairs.push(await pairOf(name, found, { checkpoint, notes, path }));
  }
  const additions = Map.groupBy(others.filter(additionKind), (key) => additionKind(key)!);
  const [first] = additions;
  if (first && pairs.length === 0) {
    const [kind, [key]] = first;
    throw new Error(`Cannot load ${path}: expected a LoRA, got ${kind} (${quote(key)}), which is not built`);
  }
  return {
    path,
    format: formatOf(keys),
    pairs,
    others: others.filter((key) => !additionKind(key)),
    additions,
  };
}

/** Tensors of LoRAs by layer, and all other keys. */
function sort(tensors: ReadonlyMap<string, TensorInfo>): { layers: Map<string, Found>; others: string[] } {
  const layers = new Map<string, Found>();
  const others: string[] = [];
  const layer = (front: string, number = "") => {
    const name = front + number;
    if (!layers.has(name)) layers.set(name, {});
    return layers.get(name)!;
  };
  for (const [key, info] of tensors) {
    const [, front, number, half] = HALF.exec(key) ?? [];
    const [, owner, ownNumber] = ALPHA.exec(key) ?? [];
    if (half) layer(front!, number)[half === "down" || half === "A" ? "down" : "up"] = info;
    else if (owner !== undefined) layer(owner, ownNumber).alpha = info;
    else others.push(key);
  }
  return { layers, others };
}

async function pairOf(
  name: string,
  { down, up, alpha }: Found,
  { checkpoint, notes, path }: { checkpoint: Checkpoint; notes: AlphaNotes; path: string },
): Promise<LoraPair> {
  if (!down || !up) {
    const [here, missing] = down ? [down, "up"] : [up!, "down"];
    throw new Error(
      `Cannot load ${path}: expected both halves of ${quote(name)}, got ${quote(here.name)} without its ` +
        `${missing}; the file is incomplete, download it again`,
    );
  }
  const rank = down.shape[0]!;
  const isPair = (down.shape.length === 2 || down.shape.length === 4) && size(down.shape) > 0 &&
    (up.shape.length === 2 || up.shape.length === 4) && size(up.shape) === up.shape[0]! * rank &&
    up.shape[0]! > 0;
  if (!isPair) {
    throw new RangeError(
      `Cannot load ${path}: expected ${quote(down.name)} [rank, K] and its up [N, rank] of one rank, got ` +
        `${formatShape(down.shape)} and ${formatShape(up.shape)}; the file is damaged`,
    );
  }
  const own = alpha && await readAlpha(checkpoint, alpha, path);
  const wide = down.shape.length === 4 && down.shape[2]! * down.shape[3]! > 1;
  return { name, down, up, rank, ...notes.of({ name, rank, wide }, own) };
}

async function readAlpha(checkpoint: Checkpoint, info: TensorInfo, path: string): Promise<number> {
  if (size(info.shape) !== 1 || !isNumeric(info.dtype)) {
    throw new TypeError(
      `Cannot load ${path}: expected one number in ${quote(info.name)}, got ${info.dtype} ` +
        `${formatShape(info.shape)}; the file is damaged`,
    );
  }
  const [value] = toFloats(await checkpoint.read(info, 0, 1), info.dtype);
  if (value !== undefined && Number.isFinite(value)) return value;
  throw new RangeError(
    `Cannot load ${path}: expected a finite ${quote(info.name)}, got ${value}; the file is damaged`,
  );
}
