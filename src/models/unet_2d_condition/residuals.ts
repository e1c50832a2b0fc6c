import { formatShape, sameNumbers } from "../../core/shape.ts";
import type { Tensor } from "../../tensor/mod.ts";

/** What another network adds to features of the UNet. Tensors have the shapes of what they are added to. */
export interface ResidualOptions {
  /** Of a ControlNet: added to each of the skip connections, that of conv_in first. */
  downBlockAdditionalResiduals?: readonly Tensor[] | undefined;
  /** Of a ControlNet: added to what the middle block gives. */
  midBlockAdditionalResidual?: Tensor | undefined;
  /** Of a T2I adapter: added within each block on the way down; one more is added behind the middle block. */
  downIntrablockAdditionalResiduals?: readonly Tensor[] | undefined;
}

const DOWN = "downBlockAdditionalResiduals";
const MID = "midBlockAdditionalResidual";
const INTRA = "downIntrablockAdditionalResiduals";

/** Residuals by the names of inputs of a trace. */
export type ResidualInputs = {
  [name: `${typeof DOWN | typeof INTRA}.${number}`]: Tensor;
  [MID]?: Tensor;
};

/** Residuals as inputs of a trace. */
export function residualInputs(options: ResidualOptions): ResidualInputs {
  const numbered = (name: typeof DOWN | typeof INTRA) =>
    (options[name] ?? []).map((x, i) => [`${name}.${i}`, x] as const);
  const mid = options[MID];
  return Object.fromEntries([...numbered(DOWN), ...numbered(INTRA), ...(mid ? [[MID, mid]] : [])]);
}

/** The residuals of one call, as the UNet adds them. */
export class Residuals {
  readonly #inputs: ResidualInputs;

  /** Of a trace's inputs. */
  constructor(inputs: ResidualInputs) {
    this.#inputs = inputs;
  }

  /** The skip connections with what a ControlNet adds. */
  toSkips(skips: readonly Tensor[]): Tensor[] {
    const given = this.#count(DOWN);
    if (given === 0) return [...skips];
    expectCount(DOWN, given, [skips.length]);
    return skips.map((x, i) => this.#add(x, `${DOWN}.${i}`));
  }

  /** What the middle block gives, with what a ControlNet and an adapter add. */
  toMid(x: Tensor, blocks: number): Tensor {
    return this.#add(this.#add(x, `${INTRA}.${blocks}`), MID);
  }

  /** What a T2I adapter adds within each of so many blocks on the way down. */
  within(blocks: number): (x: Tensor, block: number) => Tensor {
    const given = this.#count(INTRA);
    if (given > 0) expectCount(INTRA, given, [blocks, blocks + 1]);
    return (x, block) => this.#add(x, `${INTRA}.${block}`);
  }

  #count(name: typeof DOWN | typeof INTRA): number {
    return Object.keys(this.#inputs).filter((key) => key.startsWith(`${name}.`)).length;
  }

  #add(x: Tensor, name: string & keyof ResidualInputs): Tensor {
    const residual = this.#inputs[name];
    if (!residual) return x;
    if (sameNumbers(residual.shape, x.shape)) return x.add(residual.cast(x.dtype));
    throw new RangeError(
      `Cannot use ${name}: expected shape ${formatShape(x.shape)}, got ${formatShape(residual.shape)}`,
    );
  }
}

function expectCount(name: string, got: number, expected: readonly number[]): void {
  if (expected.includes(got)) return;
  throw new RangeError(`Cannot denoise: expected ${expected.join(" or ")} ${name}, got ${got}`);
}
