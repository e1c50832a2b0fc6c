import type { Shape } from "../../core/shape.ts";
import { FLUX_NAMES, SWAPPED } from "./flux.ts";
import { flatName } from "./lora.ts";
import { unetNames } from "./lora_ldm_unet.ts";
import { XLABS_NAMES } from "./xlabs.ts";

/** Where rows of a pair's up go. */
export interface Target {
  /** The model's layer, e.g. "transformer_blocks.0.attn.to_q". */
  readonly layer: string;
  /** The first row, and how many. */
  readonly first: number;
  readonly rows: number;
  /** The file has the halves of these rows in the other order. */
  readonly swapped: boolean;
}

/** All names that files may have for the layers of one model, as `flatName` writes them. */
export type Directory = ReadonlyMap<string, readonly Target[]>;

/** How files before peft call the layers of attention: `…to_out_lora`, and of text encoders `…to_q_lora`. */
const OLD_ENDS: readonly [end: RegExp, old: string][] = [
  [/\.to_out\.0$/, ".to_out"],
  [/\.self_attn\.([qkv])_proj$/, ".self_attn.to_$1"],
  [/\.self_attn\.out_proj$/, ".self_attn.to_out"],
];

/**
 * The directory of a model, from the shapes of its layers' weights. Its own names go before those of others.
 */
export function directoryOf(layers: ReadonlyMap<string, Shape>): Directory {
  const directory = new Map<string, readonly Target[]>();
  const add = (name: string, members: readonly string[]) => {
    const flat = flatName(name);
    if (directory.has(flat)) return;
    let first = 0;
    directory.set(
      flat,
      members.map((layer) => {
        const rows = layers.get(layer)![0]!;
        first += rows;
        return { layer, first: first - rows, rows, swapped: name === SWAPPED };
      }),
    );
  };
  const own = [...layers.keys()];
  for (const layer of own) add(layer, [layer]);
  for (const layer of own) {
    for (const front of ["", "text_model."]) { // which some checkpoints and all LoRAs of CLIP have
      add(front + layer, [layer]);
      for (const [end, old] of OLD_ENDS) add(front + layer.replace(end, old), [layer]);
    }
  }
  for (const [layer, name] of unetNames(own)) add(name, [layer]);
  for (const [name, members] of fluxNames(layers)) add(name, members);
  return directory;
}

/** The rows of the tables for FLUX that a model has all members of, with the numbers of its blocks. */
function* fluxNames(layers: ReadonlyMap<string, Shape>): Generator<[name: string, members: string[]]> {
  for (const [name, members] of Object.entries({ ...FLUX_NAMES, ...XLABS_NAMES })) {
    const last = name.includes(".N.") ? Infinity : 0;
    for (let n = 0; n <= last; n++) {
      const numbered = members.map((member) => member.replace(".N.", `.${n}.`));
      if (!numbered.every((member) => layers.has(member))) break;
      yield [name.replace(".N.", `.${n}.`), numbered];
    }
  }
}
