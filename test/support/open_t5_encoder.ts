import { T5EncoderModel } from "../../src/models/mod.ts";

/** A T5 encoder whose uploads can be seen. */
export class OpenT5Encoder extends T5EncoderModel {
  get uploaded(): string[] {
    return this.weights.fillings.map(({ info }) => info.name);
  }
}
