import { formatShape, size } from "../../core/shape.ts";
import type { TensorInfo } from "../formats/checkpoint.ts";
import { quote } from "../files/errors.ts";
import type { Alpha, AlphaNotes, PeftRotation } from "./alpha.ts";

/** The names of a layer's tensors in files of adapters, without what programs put around them. */
export type Role =
  | "down"
  | "up"
  | "up_bias"
  | "lora_mid"
  | "hada_w1_a"
  | "hada_w1_b"
  | "hada_w2_a"
  | "hada_w2_b"
  | "hada_t1"
  | "hada_t2"
  | "lokr_w1"
  | "lokr_w1_a"
  | "lokr_w1_b"
  | "lokr_w2"
  | "lokr_w2_a"
  | "lokr_w2_b"
  | "lokr_t2"
  | "dora_scale"
  | "lora_magnitude_vector"
  | "diff"
  | "diff_b"
  | "set_weight"
  | "set_bias"
  | "oft_blocks"
  | "rescale"
  | "oft_R"
  | "alpha";

/** The tensors of one layer. */
export type Found = { readonly [role in Role]?: TensorInfo | undefined };

/** Ways in which a weight is changed. */
export type ChangeKind = "LoRA" | "LoCon" | "LoHa" | "LoKr" | "OFT" | "BOFT" | "difference" | "whole weight";

/** Kinds of adapters, as people call them. */
export type AdapterKind = ChangeKind | "DoRA";

/**
 * A change of a weight that is merged into it, as it is no low-rank product, or is to be part of the weight for
 * good. A weight is meant as a matrix here: rows, and all the rest as columns.
 */
export interface LoraChange extends Pick<Alpha, "alpha" | "source" | "factor"> {
  /** The file's name for the layer. */
  readonly name: string;
  readonly kind: ChangeKind;
  readonly target: "weight" | "bias";
  /** Its tensors, by their names without the layer's. */
  readonly tensors: Found;
  readonly rank: number;
  /** The size of the changed weight; undefined where any fits. */
  readonly rows: number | undefined;
  readonly columns: number | undefined;
  /** Peft's way to make rotations of what the file holds, by its config. */
  readonly rotation?: PeftRotation | undefined;
}

/** The kind of adapter that a change is of: DoRA is one of the others with magnitudes. */
export function kindOfChange({ kind, tensors }: LoraChange): AdapterKind {
  return tensors.dora_scale ?? tensors.lora_magnitude_vector ? "DoRA" : kind;
}

/** The file and the path of a layer's tensors. */
interface Source {
  readonly name: string;
  /** Value of its tensor alpha, where the file has one. */
  readonly alpha: number | undefined;
  readonly notes: AlphaNotes;
  readonly path: string;
}

/** The changes that a layer's tensors make; throws where some are missing, or do not fit each other. */
export function changesOf(found: Found, source: Source): LoraChange[] {
  const { whole, differences } = ownValues(found, source); // what is added goes onto values in place of the model's
  return [...whole, productOf(found, source), rotationOf(found, source), ...differences].filter((change) =>
    change !== undefined
  );
}

/** A matrix of products, with the magnitudes of DoRA or without. */
function productOf(found: Found, source: Source): LoraChange | undefined {
  const { name, alpha, notes, path } = source;
  const kind = kindOf(found);
  const magnitude = found.dora_scale ?? found.lora_magnitude_vector;
  if (!kind) {
    if (!magnitude) return undefined;
    throw incomplete(path, magnitude, "LoRA, LoHa or LoKr");
  }
  if (kind === "LoRA" && !magnitude) return undefined; // it stays a product
  const sides = sidesOf[kind](found, path, name);
  const [rows, columns] = sides.shape;
  if (!(rows > 0 && columns > 0)) throw damaged(path, name, kind, found);
  const rank = sides.rank ?? 0;
  const strength = rank > 0 ? notes.of(name, rank, alpha) : notes.ofWhole(name);
  if (magnitude && !fitsMagnitudes(found, rows, columns)) {
    throw new RangeError(
      `Cannot load ${path}: expected ${quote(magnitude.name)} of one number a row or column of its ` +
        `[${rows}, ${columns}], got ${formatShape(magnitude.shape)}; the file is damaged`,
    );
  }
  return { ...strength, name, kind, target: "weight", tensors: found, rank, rows, columns };
}

const LARGEST = 1024; // rows of a block: a matrix as large is inverted in a second

/**
 * Rotations of blocks of outputs by LyCORIS and kohya (https://arxiv.org/abs/2306.07280), in several stages by BOFT
 * (https://arxiv.org/abs/2311.06243), or of inputs by peft.
 */
function rotationOf(found: Found, { name, alpha = 0, notes, path }: Source): LoraChange | undefined {
  const { oft_blocks, rescale, oft_R } = found;
  if (oft_R) {
    const [blocks = 0, count = 0] = oft_R.shape;
    const b = (1 + Math.sqrt(1 + 8 * count)) / 2; // of b (b − 1) / 2 numbers above the diagonal
    if (!(blocks > 0 && count > 0 && Number.isInteger(b) && b <= LARGEST)) {
      throw damaged(path, name, "OFT", found);
    }
    const rotation = notes.rotationOf(name, path);
    const columns = rotation.isShared ? undefined : blocks * b;
    return {
      ...strengthOf(0),
      name,
      kind: "OFT",
      target: "weight",
      tensors: found,
      rank: 0,
      rows: undefined,
      columns,
      rotation,
    };
  }
  if (!oft_blocks) {
    if (rescale) throw incomplete(path, rescale, "oft_blocks");
    return undefined;
  }
  const [n = 0, b = 0, c] = oft_blocks.shape.slice(-3);
  const [stages, kind] = oft_blocks.shape.length === 4
    ? [oft_blocks.shape[0]!, "BOFT" as const]
    : [1, "OFT" as const];
  const rows = n * b;
  const isWhole = kind === "OFT" || stages > 0 && b % 2 === 0 && rows % (2 ** stages * (b / 2)) === 0;
  const fits = b === c && b <= LARGEST && rows > 0 && isWhole && oft_blocks.shape.length <= 4 &&
    (!rescale || size(rescale.shape) === rows);
  if (!fits) throw damaged(path, name, kind, found);
  return {
    ...strengthOf(alpha),
    name,
    kind,
    target: "weight",
    tensors: found,
    rank: 0,
    rows,
    columns: undefined,
  };
}

/** Alpha of rotations, a bound of their size, by LyCORIS' count. */
function strengthOf(alpha: number): Alpha {
  return { alpha, source: "tensor", factor: 1 };
}

/** LyCORIS has a norm for each output or, with two axes, for each input channel; peft for each output. */
function fitsMagnitudes(
  { dora_scale, lora_magnitude_vector }: Found,
  rows: number,
  columns: number,
): boolean {
  if (lora_magnitude_vector) return size(lora_magnitude_vector.shape) === rows;
  const [first, inputs = 1] = dora_scale!.shape;
  if (first === rows) return size(dora_scale!.shape) === rows;
  return first === 1 && size(dora_scale!.shape) === inputs && columns % inputs === 0;
}

/** Differences of weights and biases, and values in place of theirs. */
function ownValues(
  found: Found,
  source: Source,
): { whole: LoraChange[]; differences: LoraChange[] } {
  const { name, notes, alpha } = source;
  const whole = { name, rank: 0, alpha: 1, source: "rank", factor: 1 } as const;
  const make = (
    kind: ChangeKind,
    target: "weight" | "bias",
    role: Role,
    strength: Alpha | typeof whole = whole,
  ) => {
    const info = found[role];
    if (!info) return [];
    const rows = info.shape[0] ?? 1;
    const change = { ...whole, ...strength, kind, target, tensors: { [role]: info } };
    return [{ ...change, rows, columns: rows && size(info.shape) / rows }];
  };
  const rank = found.down?.shape[0] ?? 1;
  return {
    whole: [...make("whole weight", "weight", "set_weight"), ...make("whole weight", "bias", "set_bias")],
    differences: [
      ...make("difference", "weight", "diff"),
      ...make("difference", "bias", "diff_b"),
      ...make("difference", "bias", "up_bias", notes.of(name, rank, alpha)),
    ],
  };
}

function kindOf(found: Found): "LoRA" | "LoCon" | "LoHa" | "LoKr" | undefined {
  if (Object.keys(found).some((role) => role.startsWith("hada_"))) return "LoHa";
  if (Object.keys(found).some((role) => role.startsWith("lokr_"))) return "LoKr";
  if (found.lora_mid) return "LoCon";
  return found.down || found.up ? "LoRA" : undefined;
}

/** The size of a product, and the rank on which its strength depends. */
interface Sides {
  readonly shape: readonly [rows: number, columns: number];
  /** Undefined where nothing is factorized. */
  readonly rank: number | undefined;
}

const sidesOf: Record<
  "LoRA" | "LoCon" | "LoHa" | "LoKr",
  (found: Found, path: string, name: string) => Sides
> = {
  LoRA: (found, path, name) => {
    const [down, up] = halves(found, path, name, "down", "up");
    const [rank = 0, ...inner] = down.shape;
    const [rows = 0] = up.shape;
    if (size(up.shape) !== rows * rank) throw damaged(path, name, "LoRA", found);
    return { shape: [rows, size(inner)], rank };
  },
  LoCon: (found, path, name) => {
    const [down, up] = halves(found, path, name, "down", "up");
    const [r = 0, s = 0, ...kernel] = found.lora_mid!.shape;
    const [rows = 0, inputs = 0] = [up.shape[0], down.shape[1]];
    if (size(up.shape) !== rows * r || size(down.shape) !== s * inputs || down.shape[0] !== s) {
      throw damaged(path, name, "LoCon", found);
    }
    return { shape: [rows, inputs * size(kernel)], rank: s };
  },
  LoHa: (found, path, name) => {
    const [a1, b1] = halves(found, path, name, "hada_w1_a", "hada_w1_b");
    const [a2, b2] = halves(found, path, name, "hada_w2_a", "hada_w2_b");
    const [one, two] = [product(a1, b1, found.hada_t1), product(a2, b2, found.hada_t2)];
    if (!one || !two || one[0] !== two[0] || one[1] !== two[1]) throw damaged(path, name, "LoHa", found);
    return { shape: one, rank: b1.shape[0] };
  },
  LoKr: (found, path, name) => {
    const factor = (n: 1 | 2, core?: TensorInfo) => {
      const whole = found[`lokr_w${n}`];
      if (whole) return [whole.shape[0] ?? 0, size(whole.shape.slice(1))] as const;
      const [a, b] = halves(found, path, name, `lokr_w${n}_a`, `lokr_w${n}_b`);
      return product(a, b, core);
    };
    const [one, two] = [factor(1), factor(2, found.lokr_t2)];
    if (!one || !two || (found.lokr_w1?.shape.length ?? 2) !== 2) throw damaged(path, name, "LoKr", found);
    const rank = (found.lokr_w2 ? undefined : found.lokr_w2_b) ??
      (found.lokr_w1 ? undefined : found.lokr_w1_b);
    return { shape: [one[0] * two[0], one[1] * two[1]], rank: rank?.shape[0] };
  },
};

/** Rows and columns of a · b; with a core [r, s, kh, kw] those of aᵀ · core · b (Tucker). */
function product(a: TensorInfo, b: TensorInfo, core?: TensorInfo): readonly [number, number] | undefined {
  if (a.shape.length !== 2 || b.shape.length !== 2) return undefined;
  const [[p = 0, q = 0], [r = 0, s = 0]] = [a.shape, b.shape];
  if (!core) return q === r && q > 0 ? [p, s] : undefined;
  const [i, j, ...kernel] = core.shape;
  return i === p && j === r && size(core.shape) > 0 ? [q, s * size(kernel)] : undefined;
}

function halves(found: Found, path: string, name: string, a: Role, b: Role): [TensorInfo, TensorInfo] {
  const [one, two] = [found[a], found[b]];
  if (one && two) return [one, two];
  const here = one ?? two ?? Object.values(found).find((info) => info !== undefined)!;
  const missing = (one ? [b] : two ? [a] : [a, b]).join(" and ");
  throw new Error(
    `Cannot load ${path}: expected both halves of ${quote(name)}, got ${quote(here.name)} without its ` +
      `${missing}; the file is incomplete, download it again`,
  );
}

function incomplete(path: string, { name }: TensorInfo, missing: string): Error {
  return new Error(
    `Cannot load ${path}: expected a ${missing} beside ${quote(name)}, got none; the file is incomplete, ` +
      "download it again",
  );
}

function damaged(path: string, name: string, kind: ChangeKind, found: Found): RangeError {
  const shapes = Object.entries(found).filter(([role, info]) => info && role !== "alpha")
    .map(([role, info]) => `${role} ${formatShape(info!.shape)}`);
  return new RangeError(
    `Cannot load ${path}: expected shapes of one ${kind} in ${quote(name)}, got ${shapes.join(", ")}; ` +
      "the file is damaged",
  );
}
