import type { Shape } from "../../../core/shape.ts";
import { Parameter } from "../../../ops/low_rank.ts";
import type { Weights } from "../weights.ts";
import type { Adapter } from "./adapter.ts";
import { type Joined, joinMatrices } from "./matrices.ts";
import type { Releasable, Scales } from "./scales.ts";

/** The low-rank products that adapters add to those of a model's layers: two for a layer, however many adapters it has. */
export class Products {
  readonly #weights: Weights;
  readonly #scales: Scales;
  readonly #forget: () => void;
  /** Those whose products are added, by name. */
  #adapters: ReadonlyMap<string, Adapter> = new Map();
  /** Matrices that the products of each layer are given. */
  #joined: ReadonlyMap<string, Joined> = new Map();

  /** For layers without products so far: traces take `scales` as an input, and `forget` drops them. */
  constructor(weights: Weights, scales: Scales, forget: () => void) {
    this.#weights = weights;
    this.#scales = scales;
    this.#forget = forget;
  }

  /** Shapes of the weights that products can be added to: those of dense layers and convolutions. */
  get layers(): ReadonlyMap<string, Shape> {
    const found = [...this.#weights.tensors].filter(([key, { node }]) =>
      key.endsWith(".weight") && node instanceof Parameter && node.multiplied
    );
    return new Map(found.map(([key, { shape }]) => [key.slice(0, -".weight".length), shape]));
  }

  /** Adds the products of these adapters, all in memory, and no others; returns what is to be freed after the recorded work. */
  async become(adapters: ReadonlyMap<string, Adapter>): Promise<Releasable[]> {
    const matrices = [...adapters].map(([name, { matrices }]) => [name, matrices!] as const);
    const joined = await joinMatrices(
      this.#scales.device,
      matrices,
      this.#joined,
      (layer) => this.#weights.tensor(`${layer}.weight`)!.shape,
    );
    return this.#set(adapters, joined);
  }

  /** Adds none any more; returns what is to be freed after the recorded work. */
  clear(): Releasable[] {
    return this.#set(new Map(), new Map());
  }

  /** Sends the scales that the adapters have now, for the calls from here on; returns what is to be freed likewise. */
  send(): Releasable[] {
    const factors = [...this.#joined].flatMap(([layer, joined]) => this.#factorsOf(layer, joined));
    return this.#scales.set(factors);
  }

  #set(adapters: ReadonlyMap<string, Adapter>, joined: ReadonlyMap<string, Joined>): Releasable[] {
    this.#forget();
    for (const layer of this.#joined.keys()) this.#parameter(layer).lowRank = undefined;
    const used = new Set(joined.values());
    const unused = [...this.#joined.values()].filter((one) => !used.has(one));
    [this.#adapters, this.#joined] = [adapters, joined];
    let end = 0;
    for (const [layer, { down, up }] of joined) {
      const [first, next] = [end, end += down.shape[0]!];
      this.#parameter(layer).lowRank = { down, up, scale: () => this.#scales.slice(first, next) };
    }
    return [...unused, ...this.send()];
  }

  /** Factor of the product of each rank. */
  #factorsOf(layer: string, { factors }: Joined): number[] {
    return factors.flatMap(({ name, rank, factor }) =>
      Array<number>(rank).fill(factor * this.#adapters.get(name)!.scaleOf(layer))
    );
  }

  #parameter(layer: string): Parameter {
    return this.#weights.tensor(`${layer}.weight`)!.node as Parameter;
  }
}
