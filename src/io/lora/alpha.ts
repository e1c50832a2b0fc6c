import { z } from "zod";
import { parseConfig } from "../config.ts";
import { parseJson } from "../files/json.ts";
import { unwrapped } from "../names/lora.ts";

/** Source of alpha: a tensor, the metadata of the file, or the rank, so that the factor is 1. */
export type AlphaSource = "tensor" | "metadata" | "rank";

/** The strength of a pair at scale 1. */
export interface Alpha {
  readonly alpha: number;
  readonly source: AlphaSource;
  /** The factor of up · down: alpha / rank, with rsLoRA alpha / √rank. */
  readonly factor: number;
}

/** The pair whose alpha is wanted. */
export interface AlphaOf {
  /** The file's name for the layer. */
  readonly name: string;
  readonly rank: number;
  /** It is for a convolution whose kernel is larger than one pixel. */
  readonly wide: boolean;
}

/** The config that peft writes of an adapter. */
const peftConfig = z.looseObject({
  lora_alpha: z.number().nullish(),
  /** The same of LoHa and LoKr. */
  alpha: z.number().nullish(),
  r: z.number().nullish(),
  /** Alphas and ranks of layers whose names end so. */
  alpha_pattern: z.record(z.string(), z.number()).nullish(),
  rank_pattern: z.record(z.string(), z.number()).nullish(),
  use_rslora: z.boolean().nullish(),
  use_dora: z.boolean().nullish(),
  /** Of OFT. */
  use_cayley_neumann: z.boolean().nullish(),
  num_cayley_neumann_terms: z.int().min(1).max(64).nullish(),
  block_share: z.boolean().nullish(),
  coft: z.boolean().nullish(),
});

/** How peft makes a rotation R of a skew matrix Q. */
export interface PeftRotation {
  /** R = I + 2 Q + 2 Q² + … + Qⁿ⁻¹ with so many terms; else (I − Q)(I + Q)⁻¹. */
  readonly terms: number | undefined;
  /** One block is for all. */
  readonly isShared: boolean;
}

const COMPONENTS = ["unet", "transformer", "text_encoder", "text_encoder_2"];

/** Alphas in the metadata of kohya's trainer: of layers, and of convolutions with more than one tap. */
interface KohyaAlphas {
  alpha: number | undefined;
  wideAlpha: number | undefined;
}

/** Alphas that the metadata of a file has, for pairs without a tensor of it. */
export class AlphaNotes {
  readonly #peft: ReadonlyMap<string, z.output<typeof peftConfig>>;
  readonly #kohya: KohyaAlphas;

  /** `where` is the file's path in errors. */
  constructor(metadata: ReadonlyMap<string, string>, where: string) {
    this.#peft = readPeft(metadata.get("lora_adapter_metadata"), where);
    this.#kohya = readKohya(metadata);
  }

  /** True where peft trained DoRA. */
  get dora(): boolean {
    return [...this.#peft.values()].some((config) => config.use_dora);
  }

  /** The alpha of a pair; `own` is the value of its tensor. */
  of({ name: wrapped, rank, wide }: AlphaOf, own: number | undefined): Alpha {
    const { config, layer } = this.#configOf(wrapped);
    const noted = patternOf(config?.alpha_pattern, layer) ?? config?.lora_alpha ?? config?.alpha ??
      (wide ? this.#kohya.wideAlpha : undefined) ?? this.#kohya.alpha;
    const alpha = own ?? noted ?? rank;
    const source = own !== undefined ? "tensor" : noted !== undefined ? "metadata" : "rank";
    const divisor = config?.use_rslora && source === "metadata" ? Math.sqrt(rank) : rank;
    return { alpha, source, factor: alpha / divisor };
  }

  /** The strength of matrices that have no rank: that of peft's config, as if they had its r; else 1. */
  ofWhole(name: string): Alpha {
    const { config, layer } = this.#configOf(name);
    const rank = patternOf(config?.rank_pattern, layer) ?? config?.r;
    if (!config?.alpha || !rank) return { alpha: 1, source: "rank", factor: 1 };
    const alpha = patternOf(config.alpha_pattern, layer) ?? config.alpha;
    return { alpha, source: "metadata", factor: alpha / rank };
  }

  /** The options of peft's OFT, by default as peft has them. */
  rotationOf(name: string, where: string): PeftRotation {
    const { config } = this.#configOf(name);
    if (config?.coft) {
      throw new Error(
        `Cannot load ${where}: expected OFT, got one with the constraint coft, which is not built`,
      );
    }
    const terms = config?.use_cayley_neumann === false ? undefined : config?.num_cayley_neumann_terms ?? 5;
    return { terms, isShared: config?.block_share ?? false };
  }

  /** peft's config for a layer, and the layer's name there. */
  #configOf(wrapped: string): { config: z.output<typeof peftConfig> | undefined; layer: string } {
    const name = unwrapped(wrapped);
    const [, component = "", layer = name] = /^(unet|transformer|text_encoder(?:_2)?)\.(.*)$/.exec(name) ??
      [];
    return { config: this.#peft.get(component) ?? this.#peft.get(""), layer };
  }
}

/** The value for the end of a layer's name. */
function patternOf(patterns: Readonly<Record<string, number>> | null | undefined, layer: string) {
  return Object.entries(patterns ?? {}).find(([end]) => layer === end || layer.endsWith(`.${end}`))?.[1];
}

/** peft's configs by component, as `unet.lora_alpha`; of a component that was saved alone, by "". */
function readPeft(text: string | undefined, where: string): Map<string, z.output<typeof peftConfig>> {
  if (text === undefined) return new Map();
  const what = `the lora_adapter_metadata of ${where}`;
  const json = Object.entries(parseJson(text, what) as Record<string, unknown>);
  const configs = [...COMPONENTS, ""].map((component) => {
    const front = component && `${component}.`;
    const own = json.filter(([key]) => key.startsWith(front) && !key.slice(front.length).includes("."));
    const entries = own.map(([key, value]) => [key.slice(front.length), value]);
    return [component, parseConfig(peftConfig, Object.fromEntries(entries), what)] as const;
  });
  return new Map(configs.filter(([, config]) => Object.keys(config).length > 0));
}

/** kohya's trainer writes numbers as strings; others, such as "None" or "Dynamic", are ignored. */
function readKohya(metadata: ReadonlyMap<string, string>): KohyaAlphas {
  const args = metadata.get("ss_network_args") ?? "";
  const [, wide] = /"conv_alpha"\s*:\s*"?([\d.]+)/.exec(args) ?? [];
  return { alpha: numberOf(metadata.get("ss_network_alpha")), wideAlpha: numberOf(wide) };
}

function numberOf(text: string | undefined): number | undefined {
  const value = Number.parseFloat(text ?? "");
  return Number.isFinite(value) ? value : undefined;
}
