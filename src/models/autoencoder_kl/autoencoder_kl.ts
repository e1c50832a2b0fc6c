import type { DType } from "../../core/dtype.ts";
import type { ConfigSchema } from "../../io/config.ts";
import { type Tensor, tensor } from "../../tensor/mod.ts";
import { scaledLatents, unscaledLatents } from "../autoencoder.ts";
import { AutoencoderKLBase } from "./autoencoder_kl_base.ts";
import { type AutoencoderKLConfig, autoencoderKLConfig } from "./config.ts";

/** The autoencoder of Stable Diffusion, FLUX.1 and many others, diffusers' AutoencoderKL. */
export class AutoencoderKL extends AutoencoderKLBase<AutoencoderKLConfig> {
  /** Checks a config.json and fills in its defaults. */
  static readonly schema: ConfigSchema<AutoencoderKLConfig> = autoencoderKLConfig;

  /** Type of activations: f32 where the config says that they overflow f16. */
  get activationType(): DType {
    return this.config.force_upcast ? "f32" : this.dtype;
  }

  /** The same whatever it does. */
  activationTypeOf(): DType {
    return this.activationType;
  }

  /** Latents as the denoiser takes them, with variance 1. z [B, L, h, w]. */
  override scaleLatents(z: Tensor): Tensor {
    const channels = this.#channelStatistics();
    if (!channels) return scaledLatents(z, this.config);
    return z.sub(channels.mean).mul(this.config.scaling_factor).div(channels.std);
  }

  /** Latents as `decode` takes them, from those of the denoiser. latents [B, L, h, w]. */
  override unscaleLatents(latents: Tensor): Tensor {
    const channels = this.#channelStatistics();
    if (!channels) return unscaledLatents(latents, this.config);
    return latents.mul(channels.std).div(this.config.scaling_factor).add(channels.mean);
  }

  /** [1, L, 1, 1] each, where the config has them. */
  #channelStatistics(): { mean: Tensor; std: Tensor } | undefined {
    const { latents_mean, latents_std, latent_channels: L } = this.config;
    if (!latents_mean || !latents_std) return undefined;
    return { mean: tensor(latents_mean, [1, L, 1, 1]), std: tensor(latents_std, [1, L, 1, 1]) };
  }
}
