import type { DType } from "../../core/dtype.ts";
import { formatShape, type Shape } from "../../core/shape.ts";
import type { ConfigSchema } from "../../io/config.ts";
import { expectShape } from "../../nn/layers.ts";
import { type Tensor, zeros } from "../../tensor/mod.ts";
import { AutoencoderKLBase, type Verb } from "../autoencoder_kl/autoencoder_kl_base.ts";
import { expectInput } from "../inputs.ts";
import type { Tensors } from "../runtime/traces.ts";
import { type AutoencoderKLFlux2Config, autoencoderKLFlux2Config } from "./config.ts";

/** Statistics of latents, which were measured while it was trained: of each number of a patch [4 latent_channels]. */
interface Statistics {
  bn: { running_mean: Tensor; running_var: Tensor };
}

/**
 * The autoencoder of FLUX.2, diffusers' AutoencoderKLFlux2. Latents are scaled by statistics of patches of 2×2 of
 * them, in place of a factor.
 */
export class AutoencoderKLFlux2 extends AutoencoderKLBase<AutoencoderKLFlux2Config> {
  /** Checks a config.json and fills in its defaults. */
  static readonly schema: ConfigSchema<AutoencoderKLFlux2Config> = autoencoderKLFlux2Config;

  /** It decodes in its own type, see `decodeChecked`; pictures are encoded once a run, in f32, which cannot overflow. */
  activationTypeOf(verb: Verb): DType {
    return verb === "encode" ? "f32" : this.dtype;
  }

  /** Latents as the denoiser takes them, with variance 1. z [B, L, h, w], h and w even. */
  override scaleLatents(z: Tensor): Tensor {
    return this.#rescaled("scale", z);
  }

  /** Latents as `decode` takes them, from those of the denoiser. latents [B, L, h, w], h and w even. */
  override unscaleLatents(latents: Tensor): Tensor {
    return this.#rescaled("unscale", latents);
  }

  /** Traces both ways at the size the model was trained for, and the scaling of their latents. */
  override prepare(): void {
    super.prepare();
    const z = zeros([1, this.config.latent_channels, 2, 2]);
    for (const verb of ["scale", "unscale"] as const) this.dryRun(verb, { z }, this.#scaling(verb));
  }

  #rescaled(verb: "scale" | "unscale", z: Tensor): Tensor {
    expectInput(`${verb} latents`, z, ["B", this.config.latent_channels, "h", "w"]);
    const sides = z.shape.slice(2);
    if (sides.some((side) => side % 2 !== 0)) {
      throw new RangeError(`Cannot ${verb} latents: expected even sides, got ${formatShape(z.shape)}`);
    }
    return this.traced(verb, { z }, this.#scaling(verb)).z;
  }

  /** The scaling of latents there or back, patch by patch. */
  #scaling = (verb: "scale" | "unscale") => ({ z }: Tensors): { z: Tensor } => {
    const { latent_channels: C, batch_norm_eps } = this.config;
    const { running_mean, running_var } = (this.weights.tree as Statistics).bn;
    for (const one of [running_mean, running_var]) expectShape(one, [4 * C]);
    const [B, , h, w] = z!.shape as Shape<4>;
    const patches = z!.reshape([B, C, h / 2, 2, w / 2, 2]);
    const perPatch = (x: Tensor) => x.cast("f32").reshape([C, 1, 2, 1, 2]);
    const mean = perPatch(running_mean);
    const std = perPatch(running_var).add(batch_norm_eps).sqrt();
    const scaled = verb === "scale" ? patches.sub(mean).div(std) : patches.mul(std).add(mean);
    return { z: scaled.reshape([B, C, h, w]) };
  };
}
