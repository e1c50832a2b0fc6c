import check from "../../../shaders/convert/check.wgsl" with { type: "text" };
import convert from "../../../shaders/convert/convert.wgsl" with { type: "text" };
import stored from "../../../shaders/convert/lib/stored.wgsl" with { type: "text" };
import storedBlocks from "../../../shaders/convert/lib/stored_blocks.wgsl" with { type: "text" };
import storedElements from "../../../shaders/convert/lib/stored_elements.wgsl" with { type: "text" };
import storedKBlocks from "../../../shaders/convert/lib/stored_k_blocks.wgsl" with { type: "text" };
import quantize from "../../../shaders/convert/quantize.wgsl" with { type: "text" };
import { type DType, isPacked } from "../../core/dtype.ts";
import { compose } from "../../gpu/shader/compose.ts";
import type { BindingUse, PipelineSpec } from "../../gpu/shader/pipelines.ts";
import { type Snippet, snippet } from "../../gpu/shader/snippet.ts";
import { ELEMENT_MAIN, WORKGROUP_MAIN } from "../../gpu/shader/grid.ts";
import { packParams } from "../../gpu/shader/params.ts";
import { blockOf, type CheckpointDType } from "../formats/stored_dtype.ts";

const STORED = snippet("convert/lib/stored", stored);
const CONVERT = snippet("convert/convert", convert, [ELEMENT_MAIN, STORED]);
const QUANTIZE = snippet("convert/quantize", quantize, [WORKGROUP_MAIN, STORED]);
const CHECK = snippet("convert/check", check, [ELEMENT_MAIN, STORED]);

/** Bindings: words of the file, scales, notes, the leaf's memory, params. */
const CONVERTING: readonly BindingUse[] = ["read", "read", "write", "write", "uniform"];
/** Bindings: the leaf's memory, scales, notes, params. */
const CHECKING: readonly BindingUse[] = ["read", "read", "write", "uniform"];

const F32_MAX = 3.4028234663852886e38;
const F16_MAX = 65504;

/** A snippet that reads several types; its param `kind` is the index among them. */
interface Reader {
  readonly code: Snippet;
  readonly types: readonly CheckpointDType[];
}

const ELEMENTS: Reader = {
  code: snippet("convert/lib/stored_elements", storedElements, [STORED]),
  types: ["F32", "F16", "BF16", "F8_E4M3", "F8_E5M2"],
};
const READERS: readonly Reader[] = [
  ELEMENTS,
  {
    code: snippet("convert/lib/stored_blocks", storedBlocks, [STORED]),
    types: ["Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0"],
  },
  {
    code: snippet("convert/lib/stored_k_blocks", storedKBlocks, [STORED]),
    types: ["Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K"],
  },
];

/** The kernel that converts one type of files to one type of leaves. */
export interface Conversion {
  readonly spec: PipelineSpec;
  /** Bytes of an element in a piece. */
  readonly width: number;
  /** No shader reads the type: the host converts it to F32 first. */
  readonly isForeign: boolean;
  /** Packs the kernel's params. */
  params(values: ConversionParams): Uint8Array<ArrayBuffer>;
}

/** The params of a piece; see convert/lib/stored.wgsl. */
export interface ConversionParams {
  readonly count: number;
  readonly first: number;
  readonly inputs: number;
  readonly taps: number;
  readonly tensor: number;
  readonly scaled: number;
}

/** The kernel that converts `from` to `to`; with `isThere`, one that only checks values in the leaf. */
export function conversionOf(from: CheckpointDType, to: DType, isThere = false): Conversion {
  const known = READERS.find(({ types }) => types.includes(from));
  const reader = known ?? ELEMENTS;
  const [label, kernel, set] = isThere
    ? ["check", CHECK, {}] as const
    : isPacked(to)
    ? ["quantize", QUANTIZE, { BITS: to === "int8" ? 8 : 4 }] as const
    : ["convert", CONVERT, { W: to }] as const;
  const bindings = isThere ? CHECKING : CONVERTING;
  const { bytes, elements } = blockOf(from);
  const kind = Math.max(0, reader.types.indexOf(from)); // 0 is F32
  return {
    width: known ? bytes / elements : 4,
    isForeign: !known,
    spec: {
      key: `${label}|${to}|${reader.code.name}`,
      label,
      bindings,
      source: (texts) => compose({ label, kernel: { code: [reader.code, kernel], bindings }, set }, texts),
    },
    params: (values) =>
      packParams(label, stored, { ...values, kind, largest: to === "f32" ? F32_MAX : F16_MAX }),
  };
}
