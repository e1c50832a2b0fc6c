import { UNet2DModel } from "../../src/models/mod.ts";
import { unet2D, type UNet2DWeights } from "../../src/models/unet_2d.ts";
import { type ClassLabels, unet2DInputs } from "../../src/models/unet_2d_inputs.ts";
import { tapped, type Tensor } from "../../src/tensor/mod.ts";

/** A model whose parts can be watched. */
export class OpenUNet2D extends UNet2DModel {
  /** Runs it untraced, and keeps the result of every part by its dotted path. */
  tapped(
    sample: Tensor,
    t: number | readonly number[],
    classLabels?: ClassLabels,
  ): { result: Tensor; taps: Map<string, Tensor> } {
    const inputs = unet2DInputs(sample, t, classLabels, this.config);
    return tapped(() => unet2D(inputs, this.weights.tree as UNet2DWeights, this.config));
  }
}
