import { contiguousStrides } from "../../../core/shape.ts";
import type { Device } from "../../../gpu/device.ts";
import { Leaf } from "../../../graph/node.ts";
import { Tensor } from "../../../tensor/mod.ts";

/** Something in GPU memory. */
export interface Releasable {
  release(): void;
}

const INPUT = "adapter scales"; // of a traced function

/** Factors on the host and on the GPU. */
interface Sent {
  readonly values: readonly number[];
  readonly tensor: Tensor;
}

/**
 * The factors of all ranks of all layers, one after the other. They are an input of the traced model: to change them costs
 * no new trace, and only results that depend on them are computed again.
 */
export class Scales {
  #sent: Sent | undefined;
  /** Those that were set before them. */
  #before: Sent | undefined;
  /** The input of the trace at hand. */
  #traced: Tensor | undefined;

  /** Starts without layers. */
  constructor(readonly device: Device) {}

  /**
   * Sets the factors of later calls. Those before are kept: to go back and forth sends nothing, and to a plan they are the
   * same values again. Returns memory to free once no work reads it.
   */
  set(values: readonly number[]): Releasable[] {
    const [sent, before] = [this.#sent, this.#before];
    if (values.length === 0) {
      this.#sent = this.#before = undefined;
      return storagesOf(sent, before);
    }
    if (isSame(sent, values)) return [];
    this.#before = sent;
    if (isSame(before, values)) {
      this.#sent = before;
      return [];
    }
    this.#sent = { values, tensor: uploadFactors(this.device, values) };
    return storagesOf(before);
  }

  /** Those of one layer, as the trace at hand reads them. [R] */
  slice(first: number, end: number): Tensor {
    return (this.#traced ?? this.#sent!.tensor).slice(0, first, end);
  }

  /** The inputs that a trace needs besides the model's own. */
  get inputs(): Record<string, Tensor> {
    return this.#sent ? { [INPUT]: this.#sent.tensor } : {};
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

function isSame(sent: Sent | undefined, values: readonly number[]): boolean {
  return sent?.values.length === values.length && values.every((value, i) => value === sent.values[i]);
}

function storagesOf(...all: (Sent | undefined)[]): Releasable[] {
  return all.flatMap((sent) => sent?.tensor.node.storage ?? []);
}

/** Factors [R] on the GPU, which no scope owns. */
export function uploadFactors(device: Device, values: readonly number[]): Tensor {
  const bytes = Float32Array.from(values);
  const storage = device.buffers.allocate(INPUT, bytes.byteLength);
  device.gpu.queue.writeBuffer(storage.buffer, 0, bytes);
  const [shape, leaf] = [[values.length], new Leaf("f32", values.length, INPUT, storage)];
  return new Tensor(device, leaf, shape, contiguousStrides(shape), 0);
}
