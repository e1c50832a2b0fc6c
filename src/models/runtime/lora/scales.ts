import { contiguousStrides } from "../../../core/shape.ts";
import type { Device } from "../../../gpu/device.ts";
import { Leaf } from "../../../graph/node.ts";
import { Tensor } from "../../../tensor/mod.ts";

const INPUT = "adapter scales"; // of a traced function

/**
 * The factors of all ranks of all layers, one after the other. They are an input of the traced model: to change them costs
 * no new trace, and only results that depend on them are computed again.
 */
export class Scales {
  #values: Tensor | undefined;
  /** The input of the trace at hand. */
  #traced: Tensor | undefined;

  /** Starts without layers. */
  constructor(readonly device: Device) {}

  /** Sets the factors of later calls. Returns the memory of those before, to free once no work reads it. */
  set(values: readonly number[]): { release(): void } | undefined {
    const before = this.#values?.node.storage;
    this.#values = values.length ? uploadFactors(this.device, values) : undefined;
    return before;
  }

  /** Those of one layer, as the trace at hand reads them. [R] */
  slice(first: number, end: number): Tensor {
    return (this.#traced ?? this.#values!).slice(0, first, end);
  }

  /** The inputs that a trace needs besides the model's own. */
  get inputs(): Record<string, Tensor> {
    return this.#values ? { [INPUT]: this.#values } : {};
  }

  /** Traces with the factors among the inputs. */
  during<T>(inputs: Record<string, Tensor>, trace: () => T): T {
    const outer = this.#traced;
    this.#traced = inputs[INPUT];
    try {
      return trace();
    } finally {
      this.#traced = outer;
    }
  }
}

/** Factors [R] on the GPU, which no scope owns. */
export function uploadFactors(device: Device, values: readonly number[]): Tensor {
  const bytes = Float32Array.from(values);
  const storage = device.buffers.allocate(INPUT, bytes.byteLength);
  device.gpu.queue.writeBuffer(storage.buffer, 0, bytes);
  const [shape, leaf] = [[values.length], new Leaf("f32", values.length, INPUT, storage)];
  return new Tensor(device, leaf, shape, contiguousStrides(shape), 0);
}
