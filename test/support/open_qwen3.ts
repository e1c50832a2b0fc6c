import { Qwen3Model } from "../../src/models/mod.ts";

/** A Qwen3 model whose uploads can be seen. */
export class OpenQwen3 extends Qwen3Model {
  get uploaded(): string[] {
    return this.weights.fillings.map(({ info }) => info.name);
  }
}
