import type { ConfigSchema } from "../../io/config.ts";
import type { Shape } from "../../core/shape.ts";
import { project, type Projection } from "../../nn/layers.ts";
import { named, type Tensor, zeros } from "../../tensor/mod.ts";
import { expectInput } from "../inputs.ts";
import { Model } from "../runtime/model.ts";
import type { Tensors } from "../runtime/traces.ts";
import { type IPAdapterConfig, ipAdapterConfig } from "./config.ts";
import { type ImageProjectionWeights, projectImage } from "./projections.ts";

/** Weights of an IP-Adapter; `ip_adapter` has a layer of attention at each odd number. */
export interface IPAdapterWeights {
  image_proj: ImageProjectionWeights;
  ip_adapter: Readonly<Record<number, { to_k_ip: Projection; to_v_ip: Projection }>>;
}

/** Keys and values of pictures, which a layer of attention sees beside those of the prompt. */
export interface ImageKeyValues {
  /** [B, tokens, channels] */
  readonly key: Tensor;
  /** [B, tokens, channels] */
  readonly value: Tensor;
}

const CLIP_STATES = 257; // of a picture of 224 pixels, in patches of 14

/**
 * Lets pictures stand beside the prompt: IP-Adapter (Ye et al. 2023, https://arxiv.org/abs/2308.06721). A UNet's layers
 * of attention to the prompt also see the keys and values that this model makes of pictures, once a run.
 */
export class IPAdapter extends Model<IPAdapterConfig> {
  /** Checks its config. */
  static readonly schema: ConfigSchema<IPAdapterConfig> = ipAdapterConfig;
  /** The name by which a file's parts have it. */
  static readonly folder: string = "ip_adapter";

  /** True if it reads the vision model's states in front of the last layer, false if its embedding. */
  get readsStates(): boolean {
    return this.config.projection !== "ImageProjection";
  }

  /**
   * Keys and values of all layers, of n pictures in each row: embeddings [B, n, K], or states [B, n, N, K].
   */
  forward(images: Tensor): ImageKeyValues[] {
    const { image_embed_dim: K } = this.config;
    expectInput(
      "use pictures",
      images,
      this.readsStates ? ["B", "pictures", "states", K] : ["B", "pictures", K],
    );
    const { results } = this.tapped("forward", { images }, this.#run, []);
    return this.config.attention_dims.map((_, i) => ({
      key: results[`${i}.key`]!,
      value: results[`${i}.value`]!,
    }));
  }

  /** Traces one picture, with guidance: two rows. */
  prepare(): void {
    const { image_embed_dim: K } = this.config;
    const images = zeros(this.readsStates ? [2, 1, CLIP_STATES, K] : [2, 1, K]);
    this.dryRun("forward", { images }, this.#run);
  }

  #run = ({ images }: Tensors): Tensors => {
    const { image_proj, ip_adapter } = this.weights.tree as IPAdapterWeights;
    const { cross_attention_dim: D, attention_dims, projection } = this.config;
    const dtype =
      (projection === "plus"
        ? image_proj.proj_in
        : projection === "full"
        ? image_proj.proj[0]
        : image_proj.proj).bias.dtype;
    const [B, n, ...rest] = images!.shape as Shape<3>;
    const each = images!.cast(dtype).reshape([B * n, ...rest]);
    const tokens = named("image_proj", () => projectImage(each, image_proj, this.config), [each])
      .reshape([B, -1, D]);
    return Object.fromEntries(attention_dims.flatMap((width, i) => {
      const { to_k_ip, to_v_ip } = ip_adapter[2 * i + 1]!;
      return [
        [
          `${i}.key`,
          named(`ip_adapter.${2 * i + 1}.to_k_ip`, () => project(tokens, to_k_ip, width), [tokens]),
        ],
        [
          `${i}.value`,
          named(`ip_adapter.${2 * i + 1}.to_v_ip`, () => project(tokens, to_v_ip, width), [tokens]),
        ],
      ];
    }));
  };
}
