import { t5Encoder, T5EncoderModel, type T5EncoderWeights } from "../../src/models/t5_encoder.ts";
import { tapped, type Tensor } from "../../src/tensor/mod.ts";

/** A T5 encoder whose parts and uploads can be seen. */
export class OpenT5Encoder extends T5EncoderModel {
  /** The result of every named part, by path. */
  tapped(inputIds: number[][]): Map<string, Tensor> {
    const inputs = this.inputs(inputIds);
    return tapped(() => t5Encoder(inputs, this.weights.tree as T5EncoderWeights, this.config)).taps;
  }

  get uploaded(): string[] {
    return this.weights.fillings.map(({ info }) => info.name);
  }
}
