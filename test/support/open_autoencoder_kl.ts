import { AutoencoderKL } from "../../src/models/mod.ts";
import { type AutoencoderKLWeights, decodeKL, encodeKL } from "../../src/models/autoencoder_kl_coders.ts";
import { tapped, type Tensor } from "../../src/tensor/mod.ts";

/** An autoencoder whose parts can be watched. */
export class OpenAutoencoderKL extends AutoencoderKL {
  /** Runs both ways untraced, and keeps the result of every part by its dotted path. */
  tapped(image: Tensor, z: Tensor): Map<string, Tensor> {
    return new Map([
      ...tapped(() => this.encodeIn(image, 1)).taps,
      ...tapped(() => this.decodeIn(z, 1)).taps,
    ]);
  }

  /** Mean and logvar, in bands whatever the adapter's limits are. */
  encodeIn(image: Tensor, bands: number): Tensor {
    return encodeKL(image, this.weights.tree as AutoencoderKLWeights, this.config, this.#in(bands));
  }

  /** The picture, in bands whatever the adapter's limits are. */
  decodeIn(z: Tensor, bands: number): Tensor {
    return decodeKL(z, this.weights.tree as AutoencoderKLWeights, this.config, this.#in(bands));
  }

  #in = (bands: number) => ({ dtype: this.activationType, bands });
}
