import type { Shape } from "../../core/shape.ts";
import { FLUX_NAMES, SWAPPED, XLABS_NAMES } from "./flux.ts";
import { FLUX2_NAMES } from "./flux2.ts";
import { ldmLayerNames } from "./ldm_unet.ts";
import { Z_IMAGE_NAMES } from "./z_image.ts";

/** Names in LoRA files: a prefix for one of the pipeline's models, then one of its layers. */

/** The models of a pipeline that a LoRA may be for; "image" is the UNet or transformer. */
export type LoraPart = "image" | "textEncoder" | "textEncoder2";

const ANY: readonly LoraPart[] = ["image", "textEncoder", "textEncoder2"];

/** Prefixes, and the model that each stands for. Of two that begin alike the longer one comes first. */
const FRONTS: readonly [front: string, parts: readonly LoraPart[]][] = [
  ["lora_unet_", ["image"]],
  ["lora_transformer_", ["image"]],
  ["lycoris_", ANY],
  ["lora_te_", ["textEncoder"]],
  ["lora_te1_", ["textEncoder"]],
  ["lora_te2_", ["textEncoder2"]],
  ["lora_te3_", ["textEncoder2"]], // T5 beside CLIP, in kohya's count of FLUX's encoders
  ["text_encoders.clip_l.transformer.", ["textEncoder"]],
  ["text_encoders.clip_g.transformer.", ["textEncoder2"]],
  ["text_encoders.t5xxl.transformer.", ["textEncoder2"]],
  ["text_encoder.", ["textEncoder"]],
  ["text_encoder_2.", ["textEncoder2"]],
  ["diffusion_model.", ["image"]],
  ["unet.", ["image"]],
  ["transformer.", ["image"]],
];

/** Prefixes that programs put in front of all names, also several of them; they tell nothing. */
const WRAPPERS =
  /^(?:(?:base_model\.model|module|model(?=\.diffusion_model\.))\.|base_model_model_|module_|_orig_mod_)/;

/** Parts that torch.compile and others insert into names. */
const INNER = /(?:_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\./g;

/** A name without such wrappers: "base_model.model.transformer.…" is "transformer.…". */
export function unwrapped(name: string): string {
  const plain = name.replaceAll(INNER, "");
  const rest = plain.replace(WRAPPERS, "");
  return rest === plain ? plain : unwrapped(rest);
}

/** Splits a file's name into the models that may have the layer, and the layer as `flatName` writes it. */
export function splitName(name: string): { parts: readonly LoraPart[]; layer: string } {
  let parts = ANY;
  let layer = unwrapped(name);
  for (;;) {
    const [front, own] = FRONTS.find(([front]) => layer.startsWith(front)) ?? [];
    if (!front || !own) return { parts, layer: flatName(layer) };
    if (parts === ANY) parts = own;
    layer = unwrapped(layer.slice(front.length));
  }
}

/**
 * A layer's name in the form that all formats can be compared in: with underscores for dots, as kohya writes
 * it, and without diffusers' old "processor", which is no layer.
 */
export function flatName(name: string): string {
  return name.replaceAll(".", "_").replace(/_processor(?=_)/, "");
}

/** A layer, and its rows in the file's matrix, which several layers may share. */
export interface LayerRows {
  /** E.g. "transformer_blocks.0.attn.to_q". */
  readonly layer: string;
  /** The first of its rows in the file's matrix. */
  readonly first: number;
  /** Number of rows. */
  readonly rows: number;
  /** The file has the two halves of these rows in the other order. */
  readonly swapped: boolean;
}

/** For each name that a file may use, as `flatName` writes it, the layers of one model that it stands for. */
export type LoraKeyMap = ReadonlyMap<string, readonly LayerRows[]>;

/** Layers of attention in files older than peft: `…to_out_lora`, in text encoders `…to_q_lora`. */
const OLD_ENDS: readonly [end: RegExp, old: string][] = [
  [/\.to_out\.0$/, ".to_out"],
  [/\.self_attn\.([qkv])_proj$/, ".self_attn.to_$1"],
  [/\.self_attn\.out_proj$/, ".self_attn.to_out"],
];

/**
 * The key map of a model, from the shapes of its layers' weights. Where a name could stand for two layers,
 * the model's own names go before those of others.
 */
export function loraKeyMap(layers: ReadonlyMap<string, Shape>): LoraKeyMap {
  const map = new Map<string, readonly LayerRows[]>();
  const add = (name: string, members: readonly string[], swapped = false) => {
    const flat = flatName(name);
    if (map.has(flat)) return;
    let first = 0;
    const rowsOf = (layer: string): LayerRows => {
      const rows = layers.get(layer)![0]!;
      first += rows;
      return { layer, first: first - rows, rows, swapped };
    };
    map.set(flat, members.map(rowsOf));
  };
  const own = [...layers.keys()];
  for (const layer of own) add(layer, [layer]);
  for (const layer of own) {
    for (const front of ["", "text_model."]) { // all LoRAs for CLIP have it, and some checkpoints
      add(front + layer, [layer]);
      for (const [end, old] of OLD_ENDS) add(front + layer.replace(end, old), [layer]);
    }
  }
  for (const [layer, name] of ldmLayerNames(layers)) add(name, [layer]);
  for (const [name, members] of authorsNames(layers, FLUX_TABLES)) add(name, members, name === SWAPPED);
  for (const [name, members] of authorsNames(layers, [Z_IMAGE_NAMES])) add(name, members);
  return map;
}

type Names = Readonly<Record<string, readonly string[]>>;

const FLUX_TABLES: readonly Names[] = [FLUX_NAMES, XLABS_NAMES, FLUX2_NAMES];

/** The rows of tables of names whose layers the model has, once for each of its blocks. */
function* authorsNames(
  layers: ReadonlyMap<string, Shape>,
  tables: readonly Names[],
): Generator<[name: string, members: string[]]> {
  for (const [name, members] of tables.flatMap((table) => Object.entries(table))) {
    const last = name.includes(".N.") ? Infinity : 0;
    for (let n = 0; n <= last; n++) {
      const numbered = members.map((member) => member.replace(".N.", `.${n}.`));
      if (!numbered.every((member) => layers.has(member))) break;
      yield [name.replace(".N.", `.${n}.`), numbered];
    }
  }
}
