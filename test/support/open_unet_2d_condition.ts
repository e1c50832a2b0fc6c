import { UNet2DConditionModel } from "../../src/models/mod.ts";
import { unet2DCondition, type UNet2DConditionWeights } from "../../src/models/unet_2d_condition.ts";
import {
  unet2DConditionInputs,
  type UNet2DConditionOptions,
} from "../../src/models/unet_2d_condition_inputs.ts";
import { tapped, type Tensor } from "../../src/tensor/mod.ts";

/** A model whose parts can be watched. */
export class OpenUNet2DCondition extends UNet2DConditionModel {
  /** Runs it untraced, and keeps the result of every part by its dotted path. */
  tapped(
    sample: Tensor,
    t: number | readonly number[],
    encoderHiddenStates: Tensor,
    options: UNet2DConditionOptions = {},
  ): { result: Tensor; taps: Map<string, Tensor> } {
    const inputs = unet2DConditionInputs(sample, t, encoderHiddenStates, options, this.config);
    return tapped(() => unet2DCondition(inputs, this.weights.tree as UNet2DConditionWeights, this.config));
  }
}
