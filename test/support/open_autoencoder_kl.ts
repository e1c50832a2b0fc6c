import { AutoencoderKL } from "../../src/models/mod.ts";
import { type AutoencoderKLWeights, decodeKL, encodeKL } from "../../src/models/autoencoder_kl/coders.ts";
import type { Tensor } from "../../src/tensor/mod.ts";

/** An autoencoder that takes pictures in bands. */
export class OpenAutoencoderKL extends AutoencoderKL {
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
