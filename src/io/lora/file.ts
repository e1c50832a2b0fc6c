import { formatShape, size } from "../../core/shape.ts";
import type { Checkpoint, TensorInfo } from "../formats/checkpoint.ts";
import { isNumeric, toFloats } from "../formats/numbers.ts";
import { quote } from "../files/errors.ts";
import { type Alpha, AlphaNotes } from "./alpha.ts";
import { changesOf, type Found, type LoraChange, type Role } from "./changes.ts";
import { formatOf, unbuiltKind } from "./kinds.ts";
import { isPeftFile, isSavedWhole, type PeftConfig, readAdapterConfig } from "./peft_config.ts";

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
  /** Changes that are merged into weights. */
  readonly changes: readonly LoraChange[];
  /** Keys that belong to neither. */
  readonly others: readonly string[];
  /** Notices for the user, in a line each. */
  readonly notices: readonly string[];
}

/** `….lora_down.weight`, `….lora_A.default.weight`, `…to_q_lora.up.weight`, `….qkv_lora1.down.weight`, … */
const HALF = /^(.*)[._]lora(\d?)(?:_linear_layer)?[._](down|up|A|B)(?:\.[^.]+)?\.weight$/;
/** `….alpha`, also behind the name of a half. */
const ALPHA = /^(.*?)(?:[._]lora(\d?)(?:_\w+)?)?\.alpha$/;

/** Tensors of other kinds, which may have the name of a half or of an adapter behind theirs. */
const OTHER =
  /^(.*)\.(hada_w[12]_[ab]|hada_t[12]|lokr_w[12](?:_[ab])?|lokr_t2|lora_mid|dora_scale|lora_magnitude_vector|diff(?:_b)?|[wb]_norm|set_weight|oft_blocks|rescale|oft_R|(?:lora_(?:B|up)|modules_to_save)(?=(?:\.[^.]+)?\.bias$)|base_layer(?=\.bias$)|modules_to_save)(?:\.[^.]+)??(?:\.weight|\.bias)?$/;

/** Whole weights of norms of queries and keys, which Control LoRAs of FLUX.1 hold beside their pairs. */
const NORM = /^(.*\.(?:norm(?:_added)?_[qk](?=\.weight$)|norm\.(?:query|key)_norm(?=\.scale$)))\.\w+$/;

/** The roles of tensors that files name otherwise. */
const ROLES: Readonly<Record<string, Role>> = {
  "w_norm": "diff",
  "b_norm": "diff_b",
  "lora_B.bias": "up_bias",
  "lora_up.bias": "up_bias",
  "base_layer.bias": "set_bias",
  "modules_to_save.weight": "set_weight",
  "modules_to_save.bias": "set_bias",
};

/** Reads names, shapes and alphas of a LoRA file, but no matrices. `path` names it in errors. */
export async function readLora(checkpoint: Checkpoint, path: string): Promise<LoraFile> {
  const { tensors, metadata } = checkpoint;
  const keys = [...tensors.keys()];
  const config = await readAdapterConfig(path);
  const notes = new AlphaNotes(metadata, config, path);
  const unbuilt = keys.find(unbuiltKind);
  if (unbuilt !== undefined) {
    throw new Error(
      `Cannot load ${path}: expected a LoRA, got ${unbuiltKind(unbuilt)} (${
        quote(unbuilt)
      }), which is not built`,
    );
  }
  const { layers, others } = sort(tensors, config);
  const pairs: LoraPair[] = [];
  const changes: LoraChange[] = [];
  for (const [name, found] of layers) {
    if (Object.keys(found).join() === "alpha") {
      others.push(found.alpha!.name);
      continue;
    }
    const alpha = found.alpha && await readAlpha(checkpoint, found.alpha, path);
    const own = changesOf(found, { name, alpha, notes, path });
    changes.push(...own);
    const isMerged = own.some(({ tensors }) => tensors === found);
    if ((found.down || found.up) && !isMerged) pairs.push(pairOf(name, found, { alpha, notes, path }));
  }
  if (notes.dora && !changes.some(({ tensors }) => tensors.lora_magnitude_vector)) {
    throw new Error(
      `Cannot load ${path}: expected the magnitudes of DoRA, as its config has use_dora, got none; ` +
        "the file is incomplete, save it again",
    );
  }
  const isAlone = isPeftFile(path) && !config &&
    [...pairs, ...changes].some(({ source }) => source === "rank");
  const notices = isAlone
    ? [`${path}: alphas are taken for the ranks, as there is no adapter_config.json beside it`]
    : [];
  return { path, format: formatOf(keys), pairs, changes, others, notices };
}

/** Tensors of adapters by layer, and all other keys. */
function sort(
  tensors: ReadonlyMap<string, TensorInfo>,
  config: PeftConfig | undefined,
): { layers: Map<string, Found>; others: string[] } {
  const layers = new Map<string, { [role in Role]?: TensorInfo }>();
  const others: string[] = [];
  const norms = new Map<string, TensorInfo>();
  const layer = (front: string, number = "") => {
    const name = front + number;
    if (!layers.has(name)) layers.set(name, {});
    return layers.get(name)!;
  };
  for (const [key, info] of tensors) {
    const [, front, number, half] = HALF.exec(key) ?? [];
    const [, owner, ownNumber] = ALPHA.exec(key) ?? [];
    const [, name, role = ""] = OTHER.exec(key) ?? [];
    const [, norm] = NORM.exec(key) ?? [];
    if (half) layer(front!, number)[half === "down" || half === "A" ? "down" : "up"] = info;
    else if (owner !== undefined) layer(owner, ownNumber).alpha = info;
    else if (name !== undefined) layer(name)[roleOf(role, key)] = info;
    else if (norm !== undefined) norms.set(norm, info);
    else if (config && isSavedWhole(config, key)) {
      const [, own, end] = /^(.*)\.(weight|bias)$/.exec(key)!;
      layer(own!)[end === "weight" ? "set_weight" : "set_bias"] = info;
    } else others.push(key);
  }
  const isLora = layers.values().some(({ down, up }) => down ?? up); // else a model, which has such norms, too
  for (const [name, info] of norms) {
    if (isLora) layer(name).set_weight = info;
    else others.push(info.name);
  }
  return { layers, others };
}

function roleOf(role: string, key: string): Role {
  const [end] = /(?:weight|bias)$/.exec(key) ?? ["weight"];
  return ROLES[role] ?? ROLES[`${role}.${end}`] ?? role as Role;
}

function pairOf(
  name: string,
  { down, up }: Found,
  { alpha, notes, path }: { alpha: number | undefined; notes: AlphaNotes; path: string },
): LoraPair {
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
  const noted = notes.rankOf(name);
  if (noted !== undefined && noted !== rank) {
    throw new RangeError(
      `Cannot load ${path}: expected ${
        quote(down.name)
      } of rank ${noted}, as its config has r or rank_pattern, got ` +
        `${formatShape(down.shape)}; config and weights are of two LoRAs, save them again`,
    );
  }
  return { name, down, up, rank, ...notes.of(name, rank, alpha) };
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
