import { unwrapped } from "../names/lora.ts";
import { patternOf, type PeftConfig, readHeaderConfigs } from "./peft_config.ts";

/**
 * Source of alpha: a tensor, peft's config, or the rank, so that the factor is 1. As in diffusers,
 * "ss_network_alpha" in the header of kohya's trainer does not count: programs that bake it into the matrices
 * leave it there. A pair without alpha counts with its own rank, as in kohya's trainer, whatever alphas other pairs of
 * the file have. diffusers 0.42 does so for FLUX; in LoRAs of UNets it takes the most common alpha of the file for such a
 * pair, and for pairs of attention with another alpha, too.
 */
export type AlphaSource = "tensor" | "metadata" | "rank";

/** The strength of a pair at scale 1. */
export interface Alpha {
  readonly alpha: number;
  readonly source: AlphaSource;
  /** The factor of up · down: alpha / rank, with rsLoRA alpha / √rank. */
  readonly factor: number;
}

/** Peft's way to make a rotation R of a skew matrix Q. */
export interface PeftRotation {
  /** R = I + 2 Q + 2 Q² + … + Qⁿ⁻¹ with so many terms; else (I − Q)(I + Q)⁻¹. */
  readonly terms: number | undefined;
  /** One block is for all. */
  readonly isShared: boolean;
}

/** Alphas that peft notes beside a file or in its header, for pairs without a tensor of it. */
export class AlphaNotes {
  readonly #peft: ReadonlyMap<string, PeftConfig>;

  /** `config` is the one beside the file, `where` the file's path in errors. */
  constructor(metadata: ReadonlyMap<string, string>, config: PeftConfig | undefined, where: string) {
    this.#peft = config
      ? new Map([["", config]])
      : readHeaderConfigs(metadata.get("lora_adapter_metadata"), where);
  }

  /** True where peft trained DoRA. */
  get dora(): boolean {
    return [...this.#peft.values()].some((config) => config.use_dora);
  }

  /** The alpha of a pair by the file's name for its layer; `own` is the value of its tensor. */
  of(name: string, rank: number, own: number | undefined): Alpha {
    const { config, layer } = this.#configOf(name);
    const noted = patternOf(config?.alpha_pattern, layer) ?? config?.lora_alpha ?? config?.alpha ??
      undefined; // not null
    const alpha = own ?? noted ?? rank;
    const source = own !== undefined ? "tensor" : noted !== undefined ? "metadata" : "rank";
    const divisor = config?.use_rslora && source === "metadata" ? Math.sqrt(rank) : rank;
    return { alpha, source, factor: alpha / divisor };
  }

  /** The rank that peft's config says a layer's LoRA has; undefined where none does. */
  rankOf(name: string): number | undefined {
    const { config, layer } = this.#configOf(name);
    return patternOf(config?.rank_pattern, layer) ?? config?.r ?? undefined;
  }

  /** The strength of matrices that have no rank: that of peft's config, as if they had its r; else 1. */
  ofWhole(name: string): Alpha {
    const { config, layer } = this.#configOf(name);
    const rank = this.rankOf(name);
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
  #configOf(wrapped: string): { config: PeftConfig | undefined; layer: string } {
    const name = unwrapped(wrapped);
    const [, component = "", layer = name] = /^(unet|transformer|text_encoder(?:_2)?)\.(.*)$/.exec(name) ??
      [];
    return { config: this.#peft.get(component) ?? this.#peft.get(""), layer };
  }
}
