import { FluxTransformer2DModel, type FluxTransformer2DOptions } from "../../src/models/mod.ts";
import { fluxTransformer2D, type FluxTransformer2DWeights } from "../../src/models/flux_transformer_2d.ts";
import { fluxTransformer2DInputs, PositionCache } from "../../src/models/flux_transformer_2d_inputs.ts";
import { tapped, type Tensor } from "../../src/tensor/mod.ts";

/** A model whose parts can be watched. */
export class OpenFluxTransformer2D extends FluxTransformer2DModel {
  /** Runs it untraced, and keeps the result of every part by its dotted path. */
  tapped(
    hiddenStates: Tensor,
    options: FluxTransformer2DOptions,
  ): { result: Tensor; taps: Map<string, Tensor> } {
    const inputs = fluxTransformer2DInputs(hiddenStates, options, new PositionCache(), this.config);
    return tapped(() =>
      fluxTransformer2D(inputs, this.weights.tree as FluxTransformer2DWeights, this.config)
    );
  }
}
