import { type Tensor, tensor } from "denoise";
import type { HostValues } from "./recording.ts";

/** A recorded call's arguments by torch's names, parts of them behind dots; each is to be asked for. */
export class RecordedInputs {
  readonly #values: ReadonlyMap<string, HostValues>;
  readonly #where: string;
  readonly #left: Set<string>;

  /** `where` names the call and its file in messages. */
  constructor(values: ReadonlyMap<string, HostValues>, where: string) {
    this.#values = values;
    this.#where = where;
    this.#left = new Set(values.keys());
  }

  /** True if there is one of this name. */
  has(name: string): boolean {
    return this.#values.has(name);
  }

  /** As a tensor. */
  tensor(name: string): Tensor {
    const { shape, data } = this.#take(name);
    return tensor(data, shape);
  }

  /** The tensors NAME.0, NAME.1, …. */
  list(name: string): Tensor[] {
    const all: Tensor[] = [];
    while (this.has(`${name}.${all.length}`)) all.push(this.tensor(`${name}.${all.length}`));
    return all;
  }

  /** One number, or one for each row. */
  numbers(name: string): number | number[] {
    const { data } = this.#take(name);
    return data.length === 1 ? data[0]! : [...data];
  }

  /** Rows of numbers; of a list of equal ones, as older versions take positions, the first. */
  rows(name: string): number[][] {
    const { shape, data } = this.#take(name);
    const [rows = 0, columns = 0] = shape.slice(-2);
    return Array.from({ length: rows }, (_, i) => [...data.subarray(i * columns, (i + 1) * columns)]);
  }

  /** Throws where an argument was not asked for: results would be others. */
  expectAllUsed(): void {
    const [odd] = this.#left;
    if (odd === undefined) return;
    throw new TypeError(
      `Cannot repeat ${this.#where}: expected no input "${odd}", which nothing here takes; record without it`,
    );
  }

  #take(name: string): HostValues {
    const values = this.#values.get(name);
    if (!values) {
      const got = [...this.#values.keys()].join(", ") || "none";
      throw new TypeError(
        `Cannot repeat ${this.#where}: expected an input "${name}", got ${got}; record it with docs/record_features.py`,
      );
    }
    this.#left.delete(name);
    return values;
  }
}
