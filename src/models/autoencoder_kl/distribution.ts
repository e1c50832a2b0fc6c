import { randn, type RandomOptions } from "../../random/mod.ts";
import type { Tensor } from "../../tensor/mod.ts";

/** The latents of a picture: a normal distribution for each number. */
export class DiagonalGaussianDistribution {
  /** Also the mode. [B, C, h, w] */
  readonly mean: Tensor;
  /** Logarithm of the variance, from -30 to 20. [B, C, h, w] */
  readonly logvar: Tensor;

  /** Takes both halves of an encoder's output [B, 2 C, h, w]. */
  constructor(moments: Tensor) {
    const [mean, logvar] = moments.chunk(2, 1);
    this.mean = mean;
    this.logvar = logvar.clamp(-30, 20);
  }

  /** Standard deviation. [B, C, h, w] */
  get std(): Tensor {
    return this.logvar.mul(0.5).exp();
  }

  /** The likeliest latents. */
  mode(): Tensor {
    return this.mean;
  }

  /** Latents drawn from the distribution: one stream for all rows, or a list with one a row. */
  sample(options: RandomOptions = {}): Tensor {
    return this.mean.add(this.std.mul(randn(this.mean.shape, options)));
  }
}
